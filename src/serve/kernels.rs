//! What is started where no groups decide: the kernel and the initramfs of the folder, told by
//! their content and, for an initramfs, by the architecture in its name.

use super::folder::Folder;
use crate::format::Content;
use crate::format::matchbox::{Boot, Profile};
use crate::model::path::printable;
use crate::probe::boot_file::arch;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b'+');

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
}

impl Kernels {
    /// Looks at the files of a folder, not at those in folders below it; where it has nothing but one
    /// folder, as packages do, into that.
    pub fn find(folder: &Folder) -> Self {
        let mut found = Self::default();
        let mut within = String::new();
        let mut entries = folder.list("").unwrap_or_default();
        for _ in 0..DEEPEST {
            let [only] = entries.as_slice() else { break };
            if !only.folder {
                break;
            }
            within = format!("{within}{}/", only.name);
            entries = folder.list(&within).unwrap_or_default();
        }
        for entry in entries.iter().filter(|entry| !entry.folder) {
            let name = format!("{within}{}", entry.name);
            let head = folder.file(&name).ok();
            let head = head.and_then(|file| file.read_at(0, Content::HEAD).ok());
            if let Some(head) = head {
                found.add(&name, &head);
            }
        }
        found.sorted()
    }

    /// Adds the boot loaders of another folder, except those whose names lead to something else.
    #[must_use]
    pub fn with_loaders(mut self, folder: &Folder, taken: impl Fn(&str) -> bool) -> Self {
        let loaders = Self::find(folder).loaders.into_iter();
        self.loaders
            .extend(loaders.filter(|loader| !taken(&loader.name)));
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.loaders
            .sort_by_key(|loader| (rank(&loader.name), loader.name.clone()));
        self
    }

    fn add(&mut self, name: &str, head: &[u8]) {
        let lower = file_name(name).to_ascii_lowercase();
        let begins = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
        let kernel = begins(&["vmlinuz", "vmlinux", "kernel", "image", "bzimage", "linux"]);
        let archive = begins(&["initramfs", "initrd"]);
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
        let place = |name: &str| format!("/assets/{}", utf8_percent_encode(name, PATH));
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
pub(super) mod tests {
    use super::*;

    pub(in crate::serve) fn pe(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
        bytes[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    pub(in crate::serve) fn found(files: &[(&str, &[u8])]) -> Kernels {
        let world = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(world.path().join(name), bytes).unwrap();
        }
        Kernels::find(&Folder::open(world.path()).unwrap())
    }

    pub(in crate::serve) const XZ: &[u8] = b"\xfd7zXZ\0\0\x04rest of it";

    #[test]
    fn each_architecture_gets_its_own() {
        let (arm, amd) = (pe(0xaa64), pe(0x8664));
        let kernels = found(&[
            ("kernel-arm64", &arm),
            ("kernel-amd64", &amd),
            ("initramfs-metal-arm64.xz", XZ),
            ("initramfs-metal-amd64.xz", XZ),
            ("snp-arm64.efi", &arm),
            ("aaa.efi", &arm),
            ("ipxe.efi", &amd),
            ("undionly.kpxe", b"no head"),
            ("notes.txt", b"text"),
        ]);
        assert_eq!(
            kernels
                .script(Some("arm64"), " console=ttyAMA0  quiet ")
                .unwrap(),
            "#!ipxe\nkernel /assets/kernel-arm64 initrd=initramfs console=ttyAMA0 quiet\n\
             initrd --name initramfs /assets/initramfs-metal-arm64.xz\nboot\n"
        );
        assert!(
            kernels
                .script(Some("i386"), "")
                .unwrap()
                .contains("kernel-amd64")
        );
        let loader = |arch: &str| kernels.loader(arch).map(|loader| loader.name.as_str());
        assert_eq!(loader("arm64"), Some("snp-arm64.efi"));
        assert_eq!(
            (loader("amd64"), loader("bios")),
            (Some("ipxe.efi"), Some("undionly.kpxe"))
        );
        assert_eq!(loader("riscv64"), None);
        let why = kernels.script(None, "").unwrap_err();
        assert!(why.contains("kernel-amd64, kernel-arm64"), "{why}");
    }

    #[test]
    fn one_folder_alone_is_looked_into_and_other_loaders_come_beside() {
        let world = tempfile::tempdir().unwrap();
        let deep = world.path().join("talos/arm64/boot");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("vmlinuz"), pe(0xaa64)).unwrap();
        std::fs::write(deep.join("initramfs.xz"), XZ).unwrap();
        std::fs::write(deep.join("grub.efi"), pe(0xaa64)).unwrap();
        let kernels = Kernels::find(&Folder::open(world.path()).unwrap());
        assert_eq!(
            kernels.names(Some("arm64")).unwrap(),
            (
                "talos/arm64/boot/vmlinuz",
                Some("talos/arm64/boot/initramfs.xz")
            )
        );
        let beside = tempfile::tempdir().unwrap();
        for name in ["ipxe-arm64.efi", "taken-ipxe.efi", "vmlinuz"] {
            std::fs::write(beside.path().join(name), pe(0xaa64)).unwrap();
        }
        let beside = Folder::open(beside.path()).unwrap();
        let all = kernels.with_loaders(&beside, |name| name.starts_with("taken"));
        let names: Vec<&str> = all.loaders.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["ipxe-arm64.efi", "talos/arm64/boot/grub.efi"]);
        assert!(all.names(None).is_ok(), "another kernel was taken");
    }

    #[test]
    fn what_does_not_fit_is_not_guessed() {
        let arm = pe(0xaa64);
        let alone = found(&[("vmlinuz", &arm), ("initrd.img", XZ)]);
        assert!(
            alone
                .script(None, "")
                .unwrap()
                .contains("/assets/initrd.img")
        );
        let why = alone.script(Some("x86_64"), "").unwrap_err();
        assert!(why.contains("no kernel for amd64"), "{why}");
        assert!(
            found(&[])
                .script(None, "")
                .unwrap_err()
                .contains("no kernel")
        );
        let bare = found(&[("vmlinuz 1", &arm)]).script(None, "").unwrap();
        assert_eq!(bare, "#!ipxe\nkernel /assets/vmlinuz%201\nboot\n");
        let two = found(&[("vmlinuz", &arm), ("initrd.1", XZ), ("initrd.2", XZ)]);
        assert!(
            two.script(None, "")
                .unwrap_err()
                .contains("which initramfs")
        );
    }
}
