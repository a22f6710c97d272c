//! What is started, and what is not.

use super::*;
use crate::serve::judged::{Always, Judged, Stamp};

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
    Kernels::find(&Folder::open(world.path(), Always::nothing()).unwrap())
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
    let kernels = Kernels::find(&Folder::open(world.path(), Always::nothing()).unwrap());
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
    let beside = Folder::open(beside.path(), Always::nothing()).unwrap();
    let all = kernels.with_loaders(&beside, |name| name.starts_with("taken"));
    let names: Vec<&str> = all.loaders.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["ipxe-arm64.efi", "talos/arm64/boot/grub.efi"]);
    assert!(all.names(None).is_ok(), "another kernel was taken");
}

#[test]
fn without_one_that_cannot_be_had_nothing_is_started() {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| world.path().join(name);
    std::fs::write(at("vmlinuz-arm64"), pe(0xaa64)).unwrap();
    std::fs::write(at("vmlinuz-amd64"), pe(0x8664)).unwrap();
    let folder = Folder::open(world.path(), Always::nothing()).unwrap();
    assert!(Kernels::find(&folder).script(Some("arm64"), "").is_ok());
    std::os::unix::fs::symlink("/nowhere", at("initrd-arm64")).unwrap();
    std::os::unix::fs::symlink("/nowhere", at("notes")).unwrap();
    let kernels = Kernels::find(&folder);
    for arch in [Some("arm64"), None] {
        let why = kernels.script(arch, "").unwrap_err();
        assert!(why.contains("initrd-arm64: it leads out"), "{why}");
    }
    assert!(kernels.script(Some("x86_64"), "").is_ok());
    assert!(kernels.complete(Some("bios")).is_err());
    // What was judged and is gone is missed, whatever its name says.
    let stamp = Stamp {
        changed: (0, 0),
        size: 0,
    };
    let judged = Judged {
        files: [("blob".to_owned(), stamp)].into(),
        alone: Vec::new(),
    };
    std::fs::remove_file(at("initrd-arm64")).unwrap();
    let kernels = Kernels::find(&Folder::open(world.path(), Always::says(judged)).unwrap());
    let why = kernels.script(Some("x86_64"), "").unwrap_err();
    assert!(why.contains("blob: it was changed"), "{why}");
    let other = found(&[]).with_loaders(
        &Folder::open(world.path(), Always::nothing()).unwrap(),
        |_| false,
    );
    assert_eq!(other.complete(None), Ok(()));
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

#[test]
fn a_folder_with_too_many_entries_says_so() {
    use crate::serve::found::MAX_ENTRIES;
    let world = tempfile::tempdir().unwrap();
    for number in 0..MAX_ENTRIES {
        std::fs::write(world.path().join(number.to_string()), "").unwrap();
    }
    let folder = Folder::open(world.path(), Always::nothing()).unwrap();
    let all = folder.list("").unwrap();
    assert_eq!((all.entries.len(), all.cut), (MAX_ENTRIES, false));
    std::fs::write(world.path().join("more"), "").unwrap();
    let some = folder.list("").unwrap();
    assert_eq!((some.entries.len(), some.cut), (MAX_ENTRIES, true));
    let kernels = Kernels::find(&folder);
    assert!(
        kernels
            .script(None, "")
            .unwrap_err()
            .contains("more entries")
    );
    assert!(folder.file("more").is_ok());
}
