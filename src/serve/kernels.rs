//! What is started where no groups decide: the kernel and the initramfs of the folder, told by
//! their content and, for an initramfs, by the architecture in its name.

use super::folder::Folder;
use super::found::Entry;
use super::refusal::Refusal;
use crate::format::Content;
use crate::format::matchbox::{Boot, Profile};
use crate::model::path::printable;
use crate::probe::boot_file::arch;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Writes a path as it stands in an address on the web.
pub fn encoded(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// What stays as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b'+');

/// How the names of kernels begin, and those of initramfs.
const KERNEL: [&str; 6] = ["vmlinuz", "vmlinux", "kernel", "image", "bzimage", "linux"];
const ARCHIVE: [&str; 2] = ["initramfs", "initrd"];

/// Folders, one in the other, that are looked into where each is alone in its own.
const DEEPEST: usize = 8;

/// A program or an archive of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: String,
    arch: Option<String>,
}

/// A program that firmware starts: a boot loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// Its file.
    pub name: String,
    /// Its architecture: `arm64`, `amd64`, `bios` or another.
    pub arch: String,
}

/// What there is to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernels {
    kernels: Vec<Part>,
    initramfs: Vec<Part>,
    /// The boot loaders, the best of each architecture first.
    pub loaders: Vec<Loader>,
    /// Files that may be one of these and cannot be had, and why. Without one of them a machine would
    /// start another, or a kernel without its initramfs.
    missed: Vec<(Part, Refusal)>,
}

impl Kernels {
    /// Looks at the files of a folder, not at those in folders below it; where it has nothing but one
    /// folder, as packages do, into that. Of an artifact, at all its files.
    pub fn find(folder: &Folder) -> Self {
        let mut found = Self::default();
        match folder.all() {
            Ok(None) => {}
            Ok(Some(names)) => {
                for name in names {
                    found.look(folder, &name);
                }
                return found.sorted();
            }
            Err(why) => {
                found.miss("", why);
                return found;
            }
        }
        let mut within = String::new();
        let mut entries = found.list(folder, "");
        for _ in 0..DEEPEST {
            let [only] = entries.as_slice() else { break };
            if !only.folder {
                break;
            }
            within = format!("{within}{}/", only.name);
            entries = found.list(folder, &within);
        }
        for entry in entries.iter().filter(|entry| !entry.folder) {
            found.look(folder, &format!("{within}{}", entry.name));
        }
        found.sorted()
    }

    /// Looks at a file.
    fn look(&mut self, folder: &Folder, name: &str) {
        let head = folder.file(name).and_then(|file| {
            let head = file.read_at(0, Content::HEAD);
            head.map_err(|_| Refusal::Unreadable)
        });
        match head {
            Ok(head) => self.add(name, &head),
            Err(why) => self.miss(name, why),
        }
    }

    /// Lists what can be had of a folder, and notes what cannot.
    fn list(&mut self, folder: &Folder, within: &str) -> Vec<Entry> {
        let (refused, entries): (Vec<_>, Vec<_>) = match folder.list(within) {
            Ok(all) => {
                if all.cut {
                    self.miss(within, Refusal::Many);
                }
                let entries = all.entries.into_iter();
                entries.partition(|entry| entry.refused.is_some())
            }
            Err(why) => {
                self.miss(within, why);
                return Vec::new();
            }
        };
        for entry in refused {
            if let Some(why) = entry.refused {
                self.miss(&format!("{within}{}", entry.name), why);
            }
        }
        entries
    }

    fn miss(&mut self, name: &str, why: Refusal) {
        let lower = file_name(name).to_ascii_lowercase();
        let counts = match why {
            // It may be anything: its content is not seen.
            Refusal::Changed
            | Refusal::NotGreen(_)
            | Refusal::Unreadable
            | Refusal::Many
            | Refusal::Without { .. } => true,
            // It was never one that machines get here, unless it is meant to be.
            Refusal::NotThere
            | Refusal::Dangling
            | Refusal::Outside
            | Refusal::Hidden
            | Refusal::Special
            | Refusal::Unjudged
            | Refusal::Large
            | Refusal::Unsaid(_) => begins(&lower, &KERNEL) || begins(&lower, &ARCHIVE),
        };
        if counts {
            let arch = named_arch(&lower).map(str::to_owned);
            let name = name.to_owned();
            self.missed.push((Part { name, arch }, why));
        }
    }

    /// Tells of the first file that cannot be had and may be one for an architecture; without one, of
    /// any.
    ///
    /// # Errors
    /// Says which, and why.
    pub fn complete(&self, arch: Option<&str>) -> Result<(), String> {
        let missed = self.lacking(arch);
        missed.map_or(Ok(()), |(what, _)| Err(what))
    }

    /// Gives the first file that cannot be had, and why; and whether that passes.
    fn lacking(&self, arch: Option<&str>) -> Option<(String, bool)> {
        let fits = |part: &Part| match (&part.arch, arch) {
            (Some(own), Some(arch)) => own == arch || arch == "bios",
            (None, _) | (_, None) => true,
        };
        let (part, why) = self.missed.iter().find(|(part, _)| fits(part))?;
        let name = match part.name.as_str() {
            "" => "the folder".to_owned(),
            name => printable(name),
        };
        Some((format!("{name}: {}", why.told()), why.passes()))
    }

    /// Makes a refusal of why a machine is told nothing; `arch` is iPXE's `buildarch`, and without one
    /// any machine is meant.
    pub fn refusal(&self, arch: Option<&str>, why: String) -> Refusal {
        match self.lacking(arch.and_then(built_for)) {
            Some((what, passes)) => Refusal::Without { what, passes },
            None => Refusal::Unsaid(why),
        }
    }

    /// Adds the boot loaders of another folder, except those whose names lead to something else.
    #[must_use]
    pub fn with_loaders(mut self, folder: &Folder, taken: impl Fn(&str) -> bool) -> Self {
        let found = Self::find(folder);
        let loaders = found.loaders.into_iter();
        self.loaders
            .extend(loaders.filter(|loader| !taken(&loader.name)));
        // Kernels are not taken from there.
        let loader = |name: &str| {
            let lower = file_name(name).to_ascii_lowercase();
            !begins(&lower, &KERNEL) && !begins(&lower, &ARCHIVE) && !taken(name)
        };
        let missed = found.missed.into_iter();
        self.missed
            .extend(missed.filter(|(part, _)| part.name.is_empty() || loader(&part.name)));
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.loaders
            .sort_by_key(|loader| (rank(&loader.name), loader.name.clone()));
        self
    }

    fn add(&mut self, name: &str, head: &[u8]) {
        let lower = file_name(name).to_ascii_lowercase();
        let (kernel, archive) = (begins(&lower, &KERNEL), begins(&lower, &ARCHIVE));
        let part = |arch: Option<String>| Part {
            name: name.to_owned(),
            arch: arch.or_else(|| named_arch(&lower).map(str::to_owned)),
        };
        match Content::detect(head) {
            Content::Arm64Image | Content::RiscvImage | Content::BzImage | Content::Zboot => {
                self.kernels.push(part(arch(head)));
            }
            Content::Pe if kernel => self.kernels.push(part(arch(head))),
            Content::Pe => {
                if let Some(arch) = arch(head) {
                    let name = name.to_owned();
                    self.loaders.push(Loader { name, arch });
                }
            }
            Content::Compressed(_) | Content::Cpio | Content::CpioCrc if archive => {
                self.initramfs.push(part(None));
            }
            Content::Compressed(_) if kernel => self.kernels.push(part(None)),
            Content::Empty
            | Content::Compressed(_)
            | Content::ZstdSkippable
            | Content::Cpio
            | Content::CpioCrc
            | Content::CpioOdc
            | Content::CpioBinary
            | Content::Squashfs
            | Content::Elf
            | Content::Tar
            | Content::Gpt
            | Content::Mbr
            | Content::Iso
            | Content::Fat
            | Content::Ext
            | Content::Erofs
            | Content::Xfs
            | Content::Wasm
            | Content::Unknown => {
                // PXE programs for BIOS have no head of their own.
                if [".kpxe", ".kkpxe", ".pxe", "pxelinux.0"]
                    .iter()
                    .any(|end| lower.ends_with(end))
                {
                    self.loaders.push(Loader {
                        name: name.to_owned(),
                        arch: "bios".to_owned(),
                    });
                }
            }
        }
    }

    /// Gives the script for a machine; `arch` is iPXE's `buildarch`.
    ///
    /// # Errors
    /// Says why there is none, and what to do.
    pub fn script(&self, arch: Option<&str>, cmdline: &str) -> Result<String, String> {
        let (kernel, initramfs) = self.parts(arch)?;
        let place = |name: &str| format!("/assets/{}", encoded(name));
        // The stub of an EFI kernel finds it by this name.
        let named = initramfs.map(|_| "initrd=initramfs".to_owned());
        let words = cmdline.split_whitespace().map(str::to_owned);
        let boot = Boot {
            kernel: place(&kernel.name),
            initrd: initramfs
                .map(|part| format!("--name initramfs {}", place(&part.name)))
                .into_iter()
                .collect(),
            args: named.into_iter().chain(words).collect(),
        };
        let profile = Profile {
            boot: Some(boot),
            ..Profile::default()
        };
        profile
            .script()
            .ok_or_else(|| "nothing is booted".to_owned())
    }

    /// Gives the names of the kernel and the initramfs for a machine; `arch` is iPXE's `buildarch`.
    ///
    /// # Errors
    /// Says why there is no kernel.
    pub fn names(&self, arch: Option<&str>) -> Result<(&str, Option<&str>), String> {
        let (kernel, initramfs) = self.parts(arch)?;
        Ok((&kernel.name, initramfs.map(|part| part.name.as_str())))
    }

    fn parts(&self, arch: Option<&str>) -> Result<(&Part, Option<&Part>), String> {
        let arch = arch.and_then(built_for);
        self.complete(arch)?;
        let kernel = one(&self.kernels, arch, "kernel")?;
        let kernel = kernel.ok_or_else(|| match arch {
            Some(arch) => format!("no kernel for {arch} is in the folder"),
            None => "no kernel is in the folder".to_owned(),
        })?;
        let initramfs = one(
            &self.initramfs,
            arch.or(kernel.arch.as_deref()),
            "initramfs",
        )?;
        Ok((kernel, initramfs))
    }

    /// Gives the best boot loader of an architecture.
    pub fn loader(&self, arch: &str) -> Option<&Loader> {
        self.loaders.iter().find(|loader| loader.arch == arch)
    }
}

fn begins(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.starts_with(word))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The first of these that a name has is better than all behind it: iPXE asks for a script, GRUB
/// for a configuration that is to be there as well.
fn rank(name: &str) -> usize {
    let lower = file_name(name).to_ascii_lowercase();
    let words = [
        "ipxe", "snp", "undionly", "shim", "bootnet", "grubnet", "netboot",
    ];
    words
        .iter()
        .position(|word| lower.contains(word))
        .unwrap_or(words.len())
}

/// Gives the architecture of kernels that an iPXE of an architecture starts.
fn built_for(buildarch: &str) -> Option<&'static str> {
    match buildarch {
        "arm64" => Some("arm64"),
        // The iPXE of a BIOS is built for i386, on machines that start either.
        "x86_64" | "i386" => Some("amd64"),
        "riscv64" => Some("riscv64"),
        _ => None,
    }
}

fn named_arch(name: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["arm64", "aarch64"]) {
        Some("arm64")
    } else if has(&["amd64", "x86_64", "x86-64", "x64"]) {
        Some("amd64")
    } else if has(&["riscv64"]) {
        Some("riscv64")
    } else {
        None
    }
}

/// Picks the part of an architecture; one that does not say its own is taken where no other is.
fn one<'p>(parts: &'p [Part], arch: Option<&str>, what: &str) -> Result<Option<&'p Part>, String> {
    let fits = |part: &&Part| arch.is_none() || part.arch.as_deref() == arch;
    let mut found: Vec<&Part> = parts.iter().filter(fits).collect();
    if found.is_empty() {
        found = parts.iter().filter(|part| part.arch.is_none()).collect();
    }
    match found.as_slice() {
        [] => Ok(None),
        [part] => Ok(Some(part)),
        several => {
            let names: Vec<String> = several.iter().map(|part| printable(&part.name)).collect();
            Err(format!(
                "which {what} is meant? {} are in the folder; groups/ and profiles/ can say it",
                names.join(", ")
            ))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
