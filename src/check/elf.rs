//! `elf`: the programs and libraries of the merged view.

use super::entry::pattern;
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::elf::Linking;
use crate::image::Binary;
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// Which files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// A glob over the merged view; everything where left out. Of what it covers, the ELF files
    /// count, by their content.
    pub glob: Option<String>,
}

/// The ELF files found.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How many there are.
    pub count: u64,
    /// The files, sorted by path.
    pub files: Vec<ElfFile>,
}

/// One ELF file.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct ElfFile {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The layer it comes from: `rootfs.sqsh`, or an extension.
    pub layer: String,
    /// The machine it is for: `aarch64`, `x86_64`, `arm`, `i386`, `riscv64`, … `unknown-N`.
    pub machine: Option<String>,
    /// 32 or 64.
    pub class: Option<u8>,
    /// `exec`, `dyn`, `rel`, `core` or `other`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["exec", "dyn", "rel", "core", "other"]))]
    pub kind: Option<String>,
    /// `static`, `dynamic`, or `none` for what no dynamic linker loads, such as a module.
    #[schemars(extend("enum" = ["static", "dynamic", "none"]))]
    pub linking: Option<String>,
    /// Whether it is a program that needs no interpreter and no library.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// The program that loads it.
    pub interpreter: Interpreter,
    /// The libraries it needs, in its order.
    pub needed: Vec<Library>,
    /// Whether every needed library is in the merged view, for the same machine.
    pub libraries_resolve: bool,
    /// The name a library gives itself.
    pub soname: Option<String>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its permissions, as four octal digits.
    pub mode: String,
    /// Why its headers cannot be read; absent where they can.
    pub damaged: Option<String>,
}

/// The program that loads a file.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Interpreter {
    /// Its path; absent where none is asked for.
    #[schemars(extend("format" = "image-path"))]
    pub path: Option<String>,
    /// Whether it is in the merged view, for the same machine; true where none is asked for.
    pub resolves: bool,
}

/// A library a file needs.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Library {
    /// The name it asks for.
    pub name: String,
    /// Where it was found in the merged view.
    #[schemars(extend("format" = "image-path"))]
    pub path: Option<String>,
    /// Whether it was found.
    pub resolves: bool,
}

impl From<&Binary> for ElfFile {
    fn from(binary: &Binary) -> Self {
        let elf = binary.elf.as_ref();
        let needed: Vec<Library> = binary
            .needed
            .iter()
            .map(|l| Library {
                resolves: l.path.is_some(),
                name: l.name.clone(),
                path: l.path.clone(),
            })
            .collect();
        Self {
            path: binary.path.clone(),
            layer: binary.layer.clone(),
            class: elf.map(|e| e.class),
            kind: elf.map(|e| e.kind.name().to_owned()),
            is_static: elf.is_some_and(|e| e.linking == Linking::Static),
            linking: elf.map(|e| e.linking.name().to_owned()),
            soname: elf.and_then(|e| e.soname.clone()),
            machine: elf.map(|e| e.machine.clone()),
            interpreter: Interpreter {
                path: binary.interpreter.path.clone(),
                resolves: binary.interpreter.resolves,
            },
            libraries_resolve: binary.damaged.is_none() && needed.iter().all(|l| l.resolves),
            needed,
            size: binary.size,
            mode: format!("{:04o}", binary.mode & 0o7777),
            damaged: binary.damaged.clone(),
        }
    }
}

impl Kind for TheKind {
    const NAME: &'static str = "elf";
    const SUMMARY: &'static str =
        "the ELF files of the merged view: machine, interpreter, libraries";
    const MAIN: Option<&'static str> = Some("glob");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: nothing in the image is built for another machine
  elf: \"**\"
  in: _out/assets/initramfs-metal-arm64.xz
  expect:
    files: { every: { machine: aarch64, interpreter: { resolves: true } } }
    count: { ge: 20 }";
    const DESCRIBES: &'static [&'static str] = &["count", "files"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        super::entry::pattern(args.glob.as_deref().unwrap_or("**")).map(drop)
    }

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no image is named"))?;
        let image = context.image(subject)?;
        let pattern = pattern(args.glob.as_deref().unwrap_or("**"))?;
        let files = image.merged()?.binaries(&pattern)?;
        Ok(Evidence {
            count: files.len() as u64,
            files: files
                .iter()
                .map(|binary| ElfFile::from(binary.as_ref()))
                .collect(),
        })
    }
}
