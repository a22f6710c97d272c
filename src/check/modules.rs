//! `modules`: the kernel modules of the merged view, and what `depmod` says of them.

mod faults;

use super::entry::{ImagePath, pattern};
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::kmod::module_name;
use crate::image::Pattern;
use crate::model::Address;
use faults::Seen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// Which modules, and what they are held against.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// A glob over the paths of modules (`**/net/**`), or, without a `/`, over their names
    /// (`virtio_*`); every module where left out.
    pub glob: Option<String>,
    /// The release, or a glob over releases, whose directory is looked into: `6.18.38-talos`. Every
    /// directory where left out.
    pub release: Option<String>,
    /// The address of the kernel that is to load them.
    pub kernel: Option<String>,
}

/// The modules found, and what is wrong with them. Where there is no module, the lists of faults are
/// absent: that they are empty would prove nothing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How many modules there are.
    pub count: u64,
    /// The directories of modules, `usr/lib/modules/RELEASE` or `lib/modules/RELEASE`.
    pub releases: Vec<ReleaseDirectory>,
    /// The modules, sorted by path.
    pub modules: Vec<KernelModule>,
    /// The machines that they are for.
    pub machines: Vec<String>,
    /// The release of the kernel that was named.
    pub kernel: Option<String>,
    /// Whether every module lies in the directory of that kernel, is built for that release and that
    /// machine.
    pub kernel_matches: Option<bool>,
    /// The modules that this kernel would not load, or not find.
    pub not_for_kernel: Option<Vec<ImagePath>>,
    /// Modules whose `vermagic` names another release than the directory they lie in; absent where
    /// all of them are in `stray`.
    pub vermagic_mismatches: Option<Vec<Mismatch>>,
    /// Modules that need another which is neither in their directory nor built in.
    pub missing_dependencies: Option<Vec<Missing>>,
    /// Modules without a signature, or with one that cannot be read. Whether one is valid takes the
    /// kernel's keys and is not said here.
    pub unsigned: Option<Vec<ImagePath>>,
    /// Modules for another machine than the kernel that is named, or else than most of them.
    pub foreign: Option<Vec<ImagePath>>,
    /// Modules that cannot be read. They are in each of the lists above as well, because nobody can
    /// say that they are sound.
    pub damaged: Option<Vec<ImagePath>>,
    /// Names that several modules of one directory have.
    pub duplicates: Option<Vec<Duplicate>>,
    /// Modules that lie in no directory of a release, where no `modprobe` finds them.
    pub stray: Vec<ImagePath>,
    /// Whether every directory that holds modules has a `modules.dep`, as a text or in the binary
    /// form, `modules.dep.bin`, which is the one that `modprobe` reads.
    pub dep_file: Option<bool>,
    /// Modules that the `modules.dep` of their directory does not list, in one of the forms that are
    /// there, or whose directory has none: they are not found by name. Of several of one name,
    /// `depmod` lists the one that is to be loaded.
    pub not_in_dep: Option<Vec<ImagePath>>,
    /// Files that a `modules.dep`, in either form, names and that are not there; absent where there
    /// is none.
    pub dep_missing: Option<Vec<ImagePath>>,
}

/// The directory of the modules of one release.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "release"))]
pub struct ReleaseDirectory {
    /// The release.
    pub release: String,
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// How many modules lie in it, whatever was asked for.
    pub count: u64,
    /// What `depmod` and the kernel's build left there: `modules.dep`, `modules.dep.bin`, ….
    pub indexes: Vec<String>,
    /// How many modules `modules.dep` lists; absent where it is not there, as are those below.
    pub listed: Option<u64>,
    /// Whether `modules.dep.bin` says the same as `modules.dep`: `agrees`, `differs`, `absent`, or
    /// `alone`, where there is no text.
    #[schemars(extend("enum" = ["agrees", "differs", "absent", "alone"]))]
    pub dep_index: String,
    /// How many modules `modules.builtin` says are part of the kernel.
    pub builtin: Option<u64>,
    /// How many aliases `modules.alias` has.
    pub aliases: Option<u64>,
    /// How many modules `modules.order` has.
    pub ordered: Option<u64>,
    /// How many modules `modules.softdep` has.
    pub soft_dependencies: Option<u64>,
}

/// One module.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct KernelModule {
    /// Its name, as `lsmod` shows it.
    pub name: String,
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The layer it comes from: `rootfs.sqsh`, or an extension.
    pub layer: String,
    /// The release of the directory it lies in.
    pub release: Option<String>,
    /// Its size in the file system.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// How its file is compressed, by its content.
    #[schemars(extend("enum" = ["none", "gzip", "zstd", "xz", "lz4", "bzip2", "lzma", "lzo"]))]
    pub compression: String,
    /// The machine it is for, as `elf` names it: `aarch64`, `x86_64`, ….
    pub machine: Option<String>,
    /// What has to agree with the kernel: `6.1.0-56-cloud-arm64 SMP mod_unload modversions aarch64`.
    pub vermagic: Option<String>,
    /// The release that it is built for: the first word of `vermagic`.
    pub built_for: Option<String>,
    /// The modules it needs.
    pub depends: Vec<String>,
    /// Its license.
    pub license: Option<String>,
    /// Its own version, where it has one.
    pub version: Option<String>,
    /// The digest of its source.
    pub srcversion: Option<String>,
    /// Whether it was built with the kernel.
    pub intree: bool,
    /// Whether it was built with retpolines.
    pub retpoline: bool,
    /// The firmware it may ask for.
    pub firmware: Vec<String>,
    /// How many devices and names it can be loaded for.
    pub aliases: u64,
    /// Whether it carries a signature that can be read.
    pub signed: bool,
    /// Its signature.
    pub signature: ModuleSignature,
    /// Why it cannot be read; absent where it can.
    pub damaged: Option<String>,
}

/// The signature of a module. It is read and not verified.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleSignature {
    /// Whether one is there: `present`, `absent`, or `broken`, which the kernel does not take for one.
    #[schemars(extend("enum" = ["present", "absent", "broken"]))]
    pub state: String,
    /// What is wrong with a broken one.
    pub problem: Option<String>,
    /// The common name of who issued the signer's certificate.
    pub signer: Option<String>,
    /// The serial number of that certificate: `41:90:3D:…`.
    pub key: Option<String>,
    /// The hash algorithm: `sha256`, `sha512`, ….
    pub hash: Option<String>,
}

/// A module built for another release than that of its directory.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Mismatch {
    /// The module's name.
    pub name: String,
    /// The module's path.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The release of its directory.
    pub release: String,
    /// The release it is built for; absent where it does not say.
    pub built_for: Option<String>,
}

/// A module that needs what is not there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Missing {
    /// The module's name.
    pub name: String,
    /// The module's path.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The names that are neither in its directory nor built in; of a damaged module, which does not
    /// say what it needs, `unknown`.
    pub needs: Vec<String>,
}

/// A name that several modules of one directory have.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Duplicate {
    /// The name.
    pub name: String,
    /// The directory.
    pub release: String,
    /// The modules.
    pub paths: Vec<ImagePath>,
}

/// The parts of the evidence for which the modules themselves have to be read; names and indexes are
/// enough for the rest.
const OF_CONTENT: [&str; 8] = [
    "modules",
    "machines",
    "kernel-matches",
    "not-for-kernel",
    "vermagic-mismatches",
    "missing-dependencies",
    "unsigned",
    "foreign",
];

impl Kind for TheKind {
    const NAME: &'static str = "modules";
    const SUMMARY: &'static str = "kernel modules: for which kernel, signed, found by modprobe";
    const MAIN: Option<&'static str> = Some("glob");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where it is asked for.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the modules are those of the kernel, and modprobe finds them
  modules: { glob: \"**\", kernel: _out/assets/kernel-arm64 }
  in: _out/assets/initramfs-metal-arm64.xz
  expect:
    count: { ge: 1 }
    kernel-matches: true
    vermagic-mismatches: { len: 0 }
    missing-dependencies: { len: 0 }
    not-in-dep: { len: 0 }
    dep-missing: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &[
        "count",
        "releases",
        "machines",
        "vermagic-mismatches",
        "missing-dependencies",
        "unsigned",
        "foreign",
        "damaged",
        "duplicates",
        "stray",
        "dep-file",
        "not-in-dep",
        "dep-missing",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        let globs = [args.glob.as_deref(), args.release.as_deref()];
        globs
            .into_iter()
            .flatten()
            .try_for_each(|glob| pattern(glob).map(drop))?;
        args.kernel
            .as_deref()
            .map_or(Ok(()), |text| address(text).map(drop))
    }

    fn rests_on(args: &Args, subject: Option<&Address>) -> RestsOn {
        match args.kernel {
            // It lies elsewhere.
            Some(_) => RestsOn::World,
            None => RestsOn::subject(subject),
        }
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no image is named"))?;
        let image = context.image(subject)?;
        let merged = image.merged()?;
        let (mut releases, mut stray) = merged.releases();
        let kernel = args
            .kernel
            .map(|kernel| loader(&kernel, context))
            .transpose()?;
        if let Some(release) = &args.release {
            let wanted = pattern(release)?;
            releases.retain(|directory| wanted.matches(&directory.release));
            stray.clear();
        }
        let chosen = Chosen::new(args.glob.as_deref())?;
        stray.retain(|path| chosen.has(path));
        let found = releases.iter().flat_map(|release| &release.modules);
        let mut paths: Vec<&str> = found.chain(&stray).map(String::as_str).collect();
        paths.retain(|path| chosen.has(path));
        paths.sort_unstable();
        let wanted = OF_CONTENT
            .iter()
            .chain(&["damaged"])
            .any(|field| context.wants(field));
        let modules = match wanted {
            true => merged.modules(&paths)?,
            false => Vec::new(),
        };
        let indexes = releases
            .iter()
            .map(|release| merged.indexes(release, image.limits()));
        let seen = Seen {
            view: merged,
            indexes: indexes.collect::<Result<_, _>>()?,
            releases: &releases,
            modules,
            read: wanted,
            paths,
            kernel: kernel.as_ref(),
        };
        Ok(seen.evidence(&stray))
    }
}

/// The modules that are asked for.
enum Chosen {
    Paths(Pattern),
    Names(Pattern),
}

impl Chosen {
    fn new(glob: Option<&str>) -> Result<Self, ProbeError> {
        Ok(match glob.unwrap_or("**") {
            glob if glob.contains('/') || glob.contains("**") => Self::Paths(pattern(glob)?),
            // A range of characters.
            glob if glob.contains('[') => Self::Names(pattern(glob)?),
            // `modprobe` too takes either sign.
            glob => Self::Names(pattern(&glob.replace('-', "_"))?),
        })
    }

    fn has(&self, path: &str) -> bool {
        match self {
            Self::Paths(pattern) => pattern.matches(path),
            Self::Names(pattern) => pattern.matches(&module_name(path)),
        }
    }
}

/// The kernel that is to load the modules.
struct Loader {
    release: String,
    /// Its machine as ELF files name it; `None` where the kernel does not tell.
    machine: Option<String>,
}

fn address(text: &str) -> Result<Address, ProbeError> {
    Address::parse(text)
        .map_err(|error| ProbeError::new(format!("the kernel: {error}")).remedy(error.remedy()))
}

fn loader(text: &str, context: &Context<'_>) -> Result<Loader, ProbeError> {
    let address = address(text)?;
    let source = context.resolve(address.source());
    let address = address.with_source(source.to_string_lossy().into_owned());
    let image = context.image(&address)?;
    let kernel = image.kernel()?;
    let release = kernel.version.clone().ok_or_else(|| {
        ProbeError::new(format!("{address}: the kernel does not tell its release"))
            .remedy("compare the names in `releases` with what it is")
    })?;
    Ok(Loader {
        release,
        machine: match kernel.arch.as_str() {
            "arm64" => Some("aarch64".to_owned()),
            "amd64" => Some("x86_64".to_owned()),
            "unknown" => None,
            arch => Some(arch.to_owned()),
        },
    })
}
