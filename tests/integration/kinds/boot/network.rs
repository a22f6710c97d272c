//! A machine of ARM64 that boots over a network, from real servers and from QEMU itself.

use std::fs;

use super::run;
use crate::booting::uki;
use crate::netboot::beside::with_web;
use crate::world::World;

/// What dnsmasq offers; its TFTP has the folder FILES.
const OFFERS: &str = "
dhcp-range=10.77.0.50,10.77.0.99,10m
dhcp-match=set:arm64,option:client-arch,11
dhcp-boot=tag:arm64,uki.efi
dhcp-match=set:arm64http,option:client-arch,19
dhcp-boot=tag:arm64http,http://10.77.0.1/uki.efi
dhcp-option-force=tag:arm64http,60,HTTPClient
enable-tftp
tftp-root=FILES
";

fn offers(world: &World) -> String {
    let files = world.path().join("files");
    OFFERS.replace("FILES", &files.display().to_string())
}

#[test]
fn a_machine_boots_by_pxe_from_dnsmasq() {
    let world = World::new();
    let Some(_) = uki(&world, "files/uki.efi", "off") else {
        return;
    };
    let spec = "
spec: pxe
checks:
  - name: pass to the end
    boot:
      arch: arm64
      netboot: pxe
      interface: tap0
      mac: '52:54:00:12:34:56'
      sees: ['>>Start PXE over IPv4', 'NBP filesize is \\d+ Bytes', 'EFI stub: Booting Linux Kernel', 'init: on aarch64']
      then: wait
      keep: out
    timeout: 4m
    expect: { problem: null, end: 'off', files: [out/console.log, out/network.pcap], firmware: { contain: CODE } }
  - name: error there is no such card
    boot: { arch: arm64, netboot: pxe, interface: tap7, then: wait }
    expect: { problem: null }
  - name: error this card is none that a machine can have
    boot: { arch: arm64, netboot: pxe, interface: lo, then: wait }
    expect: { problem: null }
";
    let offers = offers(&world);
    let Some(report) = with_web(&world, [&offers, ""], "", "", spec) else {
        return;
    };
    report.as_named();
    let why = report.why("error there is no such card");
    assert!(why.contains("no network card `tap7`"), "{why}");
    let why = report.why("error this card is none that a machine can have");
    assert!(why.contains("is no tap device"), "{why}");
    let pcap = fs::read(world.path().join("out/network.pcap")).unwrap();
    let has = |what: &[u8]| pcap.windows(what.len()).any(|bytes| bytes == what);
    assert!(has(b"PXEClient:Arch:00011") && has(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]));
}

#[test]
fn a_machine_boots_by_http_from_nginx() {
    let world = World::new();
    let Some(_) = uki(&world, "files/uki.efi", "off") else {
        return;
    };
    let spec = "
spec: http boot
checks:
  - name: pass the walk says so
    netboot: { arch: arm64, firmware: http, interface: here }
    expect: { fault: null, outcome: boot, boot-file: { program: uki, arch: arm64 } }
  - name: pass the machine does so
    boot:
      arch: arm64
      netboot: http
      interface: tap0
      sees: ['>>Start HTTP Boot over IPv4', 'URI: http://10.77.0.1/uki.efi', 'File Size: \\d+ Bytes', 'EFI stub: Booting Linux Kernel', 'init: on aarch64']
      never: ['Start PXE']
      then: wait
    timeout: 4m
    expect: { problem: null, end: 'off' }
";
    let server = "types { application/efi efi; }";
    let offers = offers(&world);
    if let Some(report) = with_web(&world, [&offers, ""], server, "10.77.0.9", spec) {
        report.as_named();
    }
}

#[test]
fn a_machine_boots_by_pxe_from_qemu_itself() {
    let world = World::new();
    let Some(_) = uki(&world, "files/uki.efi", "chatter") else {
        return;
    };
    fs::create_dir(world.path().join("tmp")).unwrap();
    let report = run(
        &world,
        "
spec: pxe
checks:
  - name: pass without any server
    boot:
      arch: arm64
      netboot: pxe
      boot-file: files/uki.efi
      sees: [NBP file downloaded successfully, 'init: still here']
      screenshot: true
      keep: out
    timeout: 4m
    expect: { problem: null, end: seen, files: [out/console.log, out/network.pcap, out/screen.png] }
",
    );
    report.as_named();
    let picture = fs::read(world.path().join("out/screen.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n"));
}
