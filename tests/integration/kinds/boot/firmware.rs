//! Disks and ISO images that UEFI firmware starts.

use std::fs;
use std::path::Path;

use super::run;
use crate::booting::uki;
use crate::peers::{output, peer};
use crate::world::World;

/// Makes `name` a FAT file system with these files.
fn fat(world: &World, name: &str, mib: u64, files: &[(&Path, &str)]) -> Option<()> {
    let (mkfs, mmd, mcopy) = (peer("mkfs.vfat")?, peer("mmd")?, peer("mcopy")?);
    let image = world.write(name, "");
    fs::File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(mib << 20)
        .unwrap();
    let image = image.to_str().unwrap();
    let root = Path::new("/");
    output(&mkfs, root, &["-F", "32", image]);
    output(&mmd, root, &["-i", image, "::EFI", "::EFI/BOOT"]);
    for (from, to) in files {
        output(&mcopy, root, &["-i", image, from.to_str().unwrap(), to]);
    }
    Some(())
}

/// Makes the ISO image `cd`, from which firmware starts what is on `disk`.
fn iso(world: &World, xorriso: &Path) {
    fs::create_dir(world.path().join("iso")).unwrap();
    fs::copy(world.path().join("disk"), world.path().join("iso/efi.img")).unwrap();
    let make = "-as mkisofs -quiet -o cd -e efi.img -no-emul-boot iso";
    let make: Vec<&str> = make.split(' ').collect();
    output(xorriso, world.path(), &make);
}

#[test]
fn firmware_starts_what_is_on_a_disk_and_on_an_iso_image() {
    let world = World::new();
    let Some(program) = uki(&world, "uki.efi", "off") else {
        return;
    };
    let Some(()) = fat(&world, "disk", 64, &[(&program, "::EFI/BOOT/BOOTAA64.EFI")]) else {
        return;
    };
    let Some(xorriso) = peer("xorriso") else {
        return;
    };
    iso(&world, &xorriso);
    world.write("disk.qcow2", b"QFI\xfb\0\0\0\x03");
    world.write("empty", vec![0; 1 << 20]);
    fs::create_dir(world.path().join("tmp")).unwrap();
    let before = fs::read(world.path().join("disk")).unwrap();
    let report = run(
        &world,
        "
spec: firmware
checks:
  - name: pass a disk
    boot: { arch: arm64, disk: disk, serial: 'a,b', sees: ['EFI stub: Booting', 'init: on aarch64'], then: wait }
    timeout: 4m
    expect: { problem: null, end: 'off', firmware: { present: true } }
  - name: pass an ISO
    boot: { arch: arm64, iso: cd, sees: ['EFI stub: Booting', 'init: on aarch64'], then: wait }
    timeout: 4m
    expect: { problem: null, end: 'off' }
  - name: fail a disk with nothing on it
    boot: { arch: arm64, disk: empty, sees: ['init: on'], keep: out }
    timeout: 4m
    expect: { problem: null }
  - name: error a disk that is none as it is
    boot: { arch: arm64, disk: disk.qcow2, sees: ['init: on'] }
    expect: { problem: null }
",
    );
    report.as_named();
    let why = report.why("fail a disk with nothing on it");
    assert!(why.contains("the firmware or boot loader gave up"), "{why}");
    let why = report.why("error a disk that is none as it is");
    assert!(why.contains("is qcow2"), "{why}");
    assert!(before == fs::read(world.path().join("disk")).unwrap());
}

#[test]
fn firmware_of_amd64_starts_a_disk_an_iso_image_and_what_a_network_offers() {
    let installer =
        Path::new("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64");
    let firmware = Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd");
    let world = World::new();
    let (Some(_), Some(xorriso)) = (peer("qemu-system-x86_64"), peer("xorriso")) else {
        return;
    };
    if !installer.exists() || !firmware.exists() {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(
            !strict,
            "debian-installer-12-netboot-amd64 or ovmf is missing"
        );
        return;
    }
    let (linux, script) = (
        installer.join("linux"),
        world.write("startup.nsh", "fs0:\\linux.efi console=ttyS0\r\n"),
    );
    let files: [(&Path, _); 2] = [(&linux, "::linux.efi"), (&script, "::startup.nsh")];
    let Some(()) = fat(&world, "disk", 64, &files) else {
        return;
    };
    iso(&world, &xorriso);
    // Debian's shim, which asks the network for GRUB beside it.
    fs::create_dir(world.path().join("files")).unwrap();
    for name in ["bootnetx64.efi", "grubx64.efi"] {
        fs::copy(installer.join(name), world.path().join("files").join(name)).unwrap();
    }
    fs::create_dir(world.path().join("tmp")).unwrap();
    let report = run(
        &world,
        "
spec: firmware
checks:
  - name: pass a disk
    boot: { arch: amd64, disk: disk, sees: ['BdsDxe: starting', 'Linux version'] }
    timeout: 4m
    expect: { problem: null, end: seen, firmware: { contain: OVMF } }
  - name: pass an ISO
    boot: { arch: amd64, iso: cd, sees: ['BdsDxe: starting', 'Linux version'] }
    timeout: 4m
    expect: { problem: null, end: seen }
  - name: pass PXE
    boot: { arch: amd64, netboot: pxe, boot-file: files/bootnetx64.efi, sees: ['Start PXE over IPv4', NBP file downloaded successfully, Fetching Netboot Image] }
    timeout: 4m
    expect: { problem: null, end: seen }
",
    );
    report.as_named();
}
