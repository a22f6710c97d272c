//! Machines of ARM64 that boot from `tdg serve`, beside a DHCP server that only gives addresses, up to a
//! line that an init of the tests' own says.

use std::fs;
use std::os::unix::fs::symlink;

use super::beside::with_serve;
use crate::booting::{initramfs, uki};
use crate::peers::fetched;
use crate::world::World;

/// Debian's shim and GRUB for booting over a network.
const LOADERS: &str = "/usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64";

#[test]
fn a_machine_boots_by_pxe_what_a_folder_has() {
    let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
    let there = fs::exists(LOADERS).unwrap() && fs::exists("/usr/share/AAVMF").unwrap();
    assert!(there || !strict, "{LOADERS} or qemu-efi-aarch64 is missing");
    let world = World::new();
    let (Some(initrd), Some(peers), true) = (initramfs(&world), fetched(), there) else {
        return;
    };
    fs::create_dir(world.path().join("site")).unwrap();
    fs::rename(initrd, world.path().join("site/initrd-arm64")).unwrap();
    fs::copy(
        peers.join("vmlinuz"),
        world.path().join("site/vmlinuz-arm64"),
    )
    .unwrap();
    symlink(LOADERS, world.path().join("loaders")).unwrap();
    let spec = "
spec: pxe
checks:
  - name: pass it is offered the boot loader
    dhcp: { arch: arm64, interface: here }
    expect: { boot: { file: bootnetaa64.efi, server: 10.77.0.1 }, problems: { len: 0 } }
  - name: pass the machine boots what the folder has
    boot:
      arch: arm64
      netboot: pxe
      interface: tap0
      sees: ['>>Start PXE over IPv4', 'NBP filesize is \\d+ Bytes', 'EFI stub: Booting Linux Kernel', 'Kernel command line: .*act=off', 'init: on aarch64']
      then: wait
    timeout: 4m
    expect: { problem: null, end: 'off' }
";
    let arguments = "site --boot loaders --cmdline 'console=ttyAMA0 act=off'";
    let Some(report) = with_serve(&world, arguments, "10.77.0.9", spec) else {
        return;
    };
    report.as_named();
    let log = fs::read_to_string(world.path().join("serve.log")).unwrap();
    for file in [
        "grub.cfg, ",
        "/assets/vmlinuz-arm64, ",
        "/assets/initrd-arm64, ",
    ] {
        assert!(log.contains(file), "{file}: {log}");
    }
}

#[test]
fn a_machine_boots_by_http_what_a_second_folder_has() {
    let world = World::new();
    let Some(_) = uki(&world, "loaders/uki-arm64.efi", "off") else {
        return;
    };
    world.write("site/notes.txt", "nothing that boots");
    let spec = "
spec: http boot
checks:
  - name: pass the walk says so
    netboot: { arch: arm64, firmware: http, interface: here }
    expect: { fault: null, outcome: boot, boot-file: { program: uki, url: 'http://10.77.0.1:8080/assets/uki-arm64.efi' } }
  - name: pass the machine does so
    boot:
      arch: arm64
      netboot: http
      interface: tap0
      sees: ['>>Start HTTP Boot over IPv4', 'URI: http://10.77.0.1:8080/assets/uki-arm64.efi', 'File Size: \\d+ Bytes', 'EFI stub: Booting Linux Kernel', 'init: on aarch64']
      never: ['Start PXE']
      then: wait
    timeout: 4m
    expect: { problem: null, end: 'off' }
";
    if let Some(report) = with_serve(&world, "site --boot loaders", "10.77.0.9", spec) {
        report.as_named();
    }
}
