//! `uki`: a unified kernel image: its sections, its profiles, and whether they agree.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::cmdline::Cmdline;
use crate::format::kernel::Kernel;
use crate::format::node::escape;
use crate::format::pe::{Pe, Section, arch};
use crate::format::pieces::overlaps;
use crate::format::uki::{self, Profile, Uki};
use crate::format::{Content, FormatError, Reader, source_error};
use crate::model::{Address, Sha256Digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind.
pub struct TheKind;

/// It takes no arguments; the image is the subject.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the image says. Where it has profiles, it is the first one that is looked at, which UEFI
/// starts unless somebody chooses another.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The machine that the stub is for.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm", "riscv64", "riscv32", "loongarch64", "loongarch32", "unknown"]))]
    pub machine: String,
    /// What the stub calls itself, such as `systemd-stub 257.2`; absent where it does not say.
    pub stub: Option<String>,
    /// The sections in the order of the table, those of the stub among them.
    pub sections: Vec<SectionEntry>,
    /// The SHA-256 digest of each section, by name. They are taken only where something asks.
    pub digests: BTreeMap<String, String>,
    /// The profiles in their order; none where there is only one way to start it.
    pub profiles: Vec<ProfileEntry>,
    /// The fields of `.osrel`, which is the system's `os-release`.
    pub os_release: BTreeMap<String, Option<String>>,
    /// The release of the kernel as `.uname` has it.
    pub uname: Option<String>,
    /// The command line; absent where whoever starts it gives it. The kind `cmdline` takes it apart.
    pub cmdline: Option<String>,
    /// The kernel in `.linux`. It is decoded only where something asks.
    pub kernel: Option<KernelEntry>,
    /// The initramfs in `.initrd`; absent where there is none. The kind `initramfs` looks inside, at
    /// the address `…!/.initrd`.
    pub initrd: Option<Initrd>,
    /// The components of `.sbat`, by which a signed image is revoked.
    pub sbat: Vec<Component>,
    /// Whether there is a signature in its table of certificates. Whose it is, and whether it is one
    /// of this image, is not looked at.
    pub signed: bool,
    /// How many signatures there are.
    pub signatures: u64,
    /// Whether `.uname` is the release that the kernel itself tells; absent where one of them is not
    /// known.
    pub kernel_matches_uname: Option<bool>,
    /// Whether stub and kernel are for the same machine; absent where the kernel does not say.
    pub machine_agrees: Option<bool>,
    /// Sections that one profile has several of although only the first is used.
    pub duplicate_sections: Vec<String>,
    /// Sections that share bytes, in the file or in memory, as `.linux and .initrd`: one of them is
    /// not what was put there.
    pub overlaps: Vec<String>,
}

/// One section.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct SectionEntry {
    /// The name that leads to it in an address: a second `.cmdline` is `.cmdline#2`.
    pub name: String,
    /// The number of the profile that it belongs to; absent of what all share.
    pub profile: Option<u64>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its size in the file, padding included.
    #[schemars(extend("x-unit" = "bytes"))]
    pub stored_size: u64,
    /// Where it begins in the file.
    #[schemars(extend("x-unit" = "bytes"))]
    pub start: u64,
    /// Where it is put in memory, counted from the start of the image.
    #[schemars(extend("x-unit" = "bytes"))]
    pub address: u64,
}

/// One profile.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "id"))]
pub struct ProfileEntry {
    /// Its number, as in `@0`.
    pub number: u64,
    /// Its `ID`.
    pub id: Option<String>,
    /// Its `TITLE`, which a boot menu shows.
    pub title: Option<String>,
    /// Its command line: its own, or the one that all share.
    pub cmdline: Option<String>,
}

/// What the kernel says about itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KernelEntry {
    /// Its form: `image`, `zboot`, `bzimage`, …
    #[schemars(extend("enum" = ["image", "zboot", "bzimage", "uki", "pe", "elf"]))]
    pub format: String,
    /// The machine it is for.
    pub arch: String,
    /// How the kernel proper is compressed.
    pub compression: String,
    /// Its release; absent where the file does not tell.
    pub version: Option<String>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
}

/// What is known of the initramfs without reading it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Initrd {
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// What it begins with: `cpio`, `zstd`, `xz`, …
    pub content: String,
}

/// A component of `.sbat`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Component {
    /// Its name, such as `systemd`.
    pub name: String,
    /// Its generation: those below a number are refused once it is revoked.
    pub generation: Option<u64>,
    /// Vendor, package, version and address, as the line has them.
    pub about: Vec<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "uki";
    const SUMMARY: &'static str =
        "a unified kernel image: stub, sections, profiles, kernel, signature";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where it is asked for.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the disk's UKI is whole and for ARM64
  uki:
  in: \"_out/assets/metal-arm64.raw.xz!/EFI/EFI/Linux/*.efi\"
  expect:
    machine: arm64
    machine-agrees: true
    kernel-matches-uname: true
    os-release: { ID: talos, VERSION_ID: v1.13.6 }
    profiles: { contain: reset }
    duplicate-sections: { len: 0 }
    overlaps: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &[
        "machine",
        "stub",
        "os-release",
        "uname",
        "cmdline",
        "profiles",
        "kernel",
        "signed",
        "kernel-matches-uname",
        "machine-agrees",
        "duplicate-sections",
        "overlaps",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        _: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no UKI is named"))?;
        let image = context.image(subject)?.enter("")?;
        let said = |error| ProbeError::from(image.failed(error));
        let pe = Pe::open(Arc::clone(image.source()?)).map_err(said)?;
        let uki = Uki::of(&pe).map_err(said)?;
        let texts = Texts::of(&uki).map_err(said)?;
        let wants = |names: &[&str]| names.iter().any(|name| context.wants(name));
        let of_kernel = ["kernel", "kernel-matches-uname", "machine-agrees"];
        let first = uki.default_profile();
        let kernel = match uki.section(first, ".linux").filter(|_| wants(&of_kernel)) {
            Some(section) => Some(image.enter(&section.name)?.kernel()?.clone()),
            None => None,
        };
        let machine = arch(pe.headers().machine).to_owned();
        let certificates = pe.certificates().map_err(said)?;
        let signatures = certificates.iter().filter(|c| c.is_signature()).count() as u64;
        let profiles = uki
            .profiles()
            .iter()
            .map(|profile| profile_entry(&uki, profile));
        let sections = pe.sections().iter();
        Ok(Evidence {
            stub: if wants(&["stub"]) {
                stub(&pe).map_err(said)?
            } else {
                None
            },
            digests: if wants(&["digests"]) {
                digests(&pe).map_err(said)?
            } else {
                BTreeMap::new()
            },
            profiles: profiles.collect::<Result<_, _>>().map_err(said)?,
            kernel_matches_uname: matches_uname(kernel.as_ref(), texts.uname.as_deref()),
            machine_agrees: agrees(kernel.as_ref(), &machine),
            initrd: initrd(&pe, uki.section(first, ".initrd")).map_err(said)?,
            sections: (sections.enumerate())
                .map(|(index, section)| section_entry(section, uki.owner(index)))
                .collect(),
            os_release: texts
                .release
                .into_iter()
                .map(|(k, v)| (k, Some(v)))
                .collect(),
            uname: texts.uname,
            cmdline: texts.cmdline,
            sbat: texts.sbat,
            kernel: kernel.map(kernel_entry),
            signed: signatures > 0,
            signatures,
            duplicate_sections: uki.duplicates(),
            overlaps: shared(&pe),
            machine,
        })
    }
}

/// The texts of the profile that is started.
struct Texts {
    release: BTreeMap<String, String>,
    uname: Option<String>,
    cmdline: Option<String>,
    sbat: Vec<Component>,
}

impl Texts {
    fn of(uki: &Uki<'_>) -> Result<Self, FormatError> {
        let first = uki.default_profile();
        let text = |label| uki.text(first, label);
        let sbat = uki::components(&text(".sbat")?.unwrap_or_default());
        Ok(Self {
            release: uki::variables(&text(".osrel")?.unwrap_or_default()),
            uname: text(".uname")?.map(|release| escape(release.trim_ascii())),
            cmdline: text(".cmdline")?.as_deref().map(Cmdline::shown),
            sbat: sbat
                .into_iter()
                .map(|component| Component {
                    name: component.name,
                    generation: component.generation,
                    about: component.rest,
                })
                .collect(),
        })
    }
}

fn profile_entry(uki: &Uki<'_>, profile: &Profile) -> Result<ProfileEntry, FormatError> {
    let cmdline = uki.text(Some(profile), ".cmdline")?;
    Ok(ProfileEntry {
        number: profile.number,
        id: profile.id.clone(),
        title: profile.title.clone(),
        cmdline: cmdline.as_deref().map(Cmdline::shown),
    })
}

fn section_entry(section: &Section, profile: Option<u64>) -> SectionEntry {
    SectionEntry {
        name: section.name.clone(),
        profile,
        size: section.size,
        stored_size: section.stored,
        start: section.start,
        address: section.address,
    }
}

fn kernel_entry(kernel: Kernel) -> KernelEntry {
    KernelEntry {
        format: kernel.format.name().to_owned(),
        arch: kernel.arch,
        compression: kernel.compression.name().to_owned(),
        version: kernel.version,
        size: kernel.size,
    }
}

fn matches_uname(kernel: Option<&Kernel>, uname: Option<&str>) -> Option<bool> {
    let version = kernel?.version.as_deref()?;
    Some(version == uname?)
}

fn agrees(kernel: Option<&Kernel>, machine: &str) -> Option<bool> {
    let known = kernel.filter(|kernel| kernel.arch != "unknown")?;
    Some(known.arch == machine)
}

fn initrd(pe: &Pe, section: Option<&Section>) -> Result<Option<Initrd>, FormatError> {
    let Some(section) = section else {
        return Ok(None);
    };
    let head = pe.content(section).up_to(0, Content::HEAD)?;
    Ok(Some(Initrd {
        size: section.size,
        content: Content::detect(&head).name().to_owned(),
    }))
}

fn digests(pe: &Pe) -> Result<BTreeMap<String, String>, FormatError> {
    let digest = |section: &Section| {
        let digest = Sha256Digest::of_reader(Reader::new(pe.content(section)));
        let digest = digest.map_err(|error| match source_error(&error) {
            Some(own) => own.clone(),
            None => FormatError::io("pe", section.start, error.to_string()),
        });
        Ok((section.name.clone(), digest?.to_string()))
    };
    pe.sections().iter().map(digest).collect()
}

/// Finds what the stub calls itself, for boot loaders to show: a line
/// `#### LoaderInfo: … ####` in a section of its own or of its data.
fn stub(pe: &Pe) -> Result<Option<String>, FormatError> {
    const BEGIN: &[u8] = b"#### LoaderInfo: ";
    const END: &[u8] = b" ####";
    /// Bytes of data that are searched; a stub has less.
    const MOST: usize = 1 << 20;
    let places = [".sdmagic", ".data", ".rodata", ".text"];
    let sections = pe.sections().iter();
    for section in sections.filter(|section| places.contains(&section.label.as_str())) {
        let bytes = pe.content(section).up_to(0, MOST)?;
        let mut windows = bytes.windows(BEGIN.len());
        let Some(at) = windows.position(|window| window == BEGIN) else {
            continue;
        };
        let rest = bytes.get(at + BEGIN.len()..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(200)).unwrap_or_default();
        let end = rest.windows(END.len()).position(|window| window == END);
        if let Some(name) = end.and_then(|end| rest.get(..end)) {
            return Ok(Some(escape(name)));
        }
    }
    Ok(None)
}

/// Names the sections that share bytes in the file, and those that do in memory.
fn shared(pe: &Pe) -> Vec<String> {
    let sections = || pe.sections().iter();
    let file = overlaps(sections().map(|s| (s.name.as_str(), s.start, s.size)));
    let memory = overlaps(sections().map(|s| (s.name.as_str(), s.address, s.memory)));
    let mut found: Vec<String> = file.into_iter().chain(memory).collect();
    found.sort();
    found.dedup();
    found
}
