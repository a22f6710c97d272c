//! `netboot`: the whole way, past a real dnsmasq and a real nginx, and each way to get stuck on it.

use super::beside::with_web;
use super::program;
use crate::world::{Report, World};
use std::sync::Mutex;

/// What stands in iPXE, and in no other program.
pub(super) const TAG_LINE: &[u8] = b"\0Open Source Network Boot Firmware\0";

/// A program of 4 KiB for UEFI with one section, that ends where its section does.
pub(super) fn sectioned(machine: u16, mark: &[u8]) -> Vec<u8> {
    let mut bytes = program(machine);
    bytes.resize(0x1000, 0);
    bytes[0x46] = 1;
    bytes[0x58..0x5d].copy_from_slice(b".text");
    for (at, value) in [
        (0x60, 0xe00_u32),
        (0x64, 0x200),
        (0x68, 0xe00),
        (0x6c, 0x200),
    ] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes[0x400..0x400 + mark.len()].copy_from_slice(mark);
    bytes
}

/// A kernel for ARM64 as its build makes it: an `Image` that UEFI starts.
pub(super) fn kernel(mark: &[u8]) -> Vec<u8> {
    let mut bytes = sectioned(0xaa64, mark);
    bytes[0x38..0x3c].copy_from_slice(b"ARM\x64");
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    tdg::model::Sha256Digest::of(bytes).to_string()
}

/// What the other end has: boot files by TFTP, and everything by HTTP.
pub(super) fn bastion() -> World {
    let world = World::new();
    let ipxe = sectioned(0xaa64, TAG_LINE);
    let amd64 = sectioned(0x8664, TAG_LINE);
    for folder in ["tftp", "files"] {
        world.write(&format!("{folder}/ipxe-arm64.efi"), &ipxe);
        world.write(&format!("{folder}/ipxe-amd64.efi"), &amd64);
        world.write(
            &format!("{folder}/grubaa64.efi"),
            sectioned(0xaa64, b"\0Welcome to GRUB!\0"),
        );
        world.write(&format!("{folder}/cut.efi"), &ipxe[..0xc00]);
        world.write(&format!("{folder}/plain"), &ipxe);
    }
    world.write(
        "tftp/undionly.kpxe",
        b"\xea\x05\0\xc0\x07 a program for a BIOS",
    );
    world.write("files/kernel-arm64", kernel(b"one"));
    world.write("files/kernel.efi", kernel(b"one"));
    world.write("files/kernel-cut", &kernel(b"one")[..0xa00]);
    world.write("files/kernel-amd64", sectioned(0x8664, b""));
    world.write("files/initramfs.xz", b"\xfd7zXZ\0rest");
    for (name, number) in [("arm64", 183), ("amd64", 62)] {
        // As much of an archive as tells of a program in it.
        let program = [
            b"\x7fELF\x02\x01\x01",
            &[0; 9][..],
            &[2, 0, number, 0, 1, 0, 0, 0],
        ]
        .concat();
        let archive = [&b"070701"[..], &[b'0'; 118], &program].concat();
        let packed = zstd::encode_all(&archive[..], 1).unwrap();
        world.write(&format!("files/initramfs-{name}.zst"), packed);
        let script = format!("#!ipxe\nkernel kernel-arm64\ninitrd initramfs-{name}.zst\nboot\n");
        world.write(&format!("files/initramfs-{name}.ipxe"), script);
    }
    world.write("files/disk.img", b"a disk");
    let script = |kernel: &str| {
        format!(
            "#!ipxe\nkernel {kernel} initrd=initramfs console=ttyAMA0 serial=${{serial}} mac=${{mac:hexhyp}} ip=${{ip}}\n\
             initrd --name initramfs initramfs.xz\nboot\n"
        )
    };
    world.write(
        "files/boot.ipxe",
        "#!ipxe\nchain node.ipxe?mac=${mac:hexhyp}&arch=${buildarch:uristring}\n",
    );
    world.write("files/node.ipxe", script("kernel-arm64"));
    world.write("files/amd64.ipxe", script("kernel-amd64"));
    world.write("files/cut.ipxe", script("kernel-cut"));
    world.write("files/missing.ipxe", script("kernel-armm64"));
    world.write("files/endless.ipxe", script("endless/kernel-arm64"));
    world.write("files/chunked.ipxe", script("chunked/kernel-arm64"));
    world.write("files/again.ipxe", "#!ipxe\nchain ipxe-arm64.efi\n");
    world.write(
        "files/loop.ipxe",
        "#!ipxe\n:top\nchain nowhere.ipxe || sleep 1\ngoto top\n",
    );
    world.write("files/exit.ipxe", "#!ipxe\nkernel kernel-armm64 || exit\n");
    world.write(
        "files/silent.ipxe",
        "#!ipxe\nchain http://10.77.0.1:9/it.ipxe || shell\n",
    );
    // A kernel of x86 that was built without what UEFI starts.
    let mut bzimage = vec![0; 0x1000];
    bzimage[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    bzimage[0x202..0x206].copy_from_slice(b"HdrS");
    bzimage[0x206..0x208].copy_from_slice(b"\x0f\x02");
    world.write("tftp/bzimage", &bzimage);
    world.write("files/over.ipxe", "#!ipxe\necho nothing to do\n");
    world.write("kernel-arm64", kernel(b"one"));
    world.write("other-kernel", kernel(b"two"));
    world
}

/// What nginx does beside giving out files: some without a length, some in chunks, some by type.
pub(super) const WEB: &str = "
location /endless/ { rewrite ^/endless/(.*)$ /$1 break; ssi on; ssi_types *; chunked_transfer_encoding off; }
location /chunked/ { rewrite ^/chunked/(.*)$ /$1 break; ssi on; ssi_types *; }
location = /typed { rewrite .* /plain break; types { } default_type application/efi; }
location = /moved.efi { return 302 /ipxe-arm64.efi; }
location = /refused.efi { return 403; }
location = /short.efi { if ($request_method = HEAD) { rewrite .* /cut.efi last; } rewrite .* /ipxe-arm64.efi last; }
location = /long.efi { if ($request_method = HEAD) { rewrite .* /ipxe-arm64.efi last; } rewrite .* /cut.efi last; }
location = /headless.efi { if ($request_method = HEAD) { return 405; } rewrite .* /ipxe-arm64.efi last; }
";

/// What dnsmasq says to ARM64 that boots by PXE, by HTTP, and by iPXE; nothing where it is empty.
pub(super) fn dnsmasq(world: &World, pxe: &str, http: &str, ipxe: &str) -> String {
    let mut conf = format!(
        "dhcp-range=10.77.0.50,10.77.0.99,10m\nenable-tftp\ntftp-root={}/tftp\n\
         dhcp-match=set:arm64,option:client-arch,11\ndhcp-match=set:arm64http,option:client-arch,19\n\
         dhcp-userclass=set:ipxe,iPXE\n",
        world.path().display()
    );
    // The line with more tags wins.
    for (tag, file) in [
        ("arm64", pxe),
        ("arm64http", http),
        ("ipxe,tag:arm64", ipxe),
    ] {
        if !file.is_empty() {
            conf += &format!("dhcp-boot=tag:{tag},{file}\n");
        }
    }
    if !http.is_empty() {
        conf += "dhcp-option-force=tag:arm64http,60,HTTPClient\n";
    }
    conf
}

/// Runs a spec beside these servers.
fn run(world: &World, [pxe, http, ipxe]: [&str; 3], spec: &str) -> Option<Report> {
    let conf = dnsmasq(world, pxe, http, ipxe);
    with_web(world, [&conf, ""], WEB, "10.77.0.9", spec)
}

const BOOT: &str = "http://10.77.0.1/boot.ipxe";

#[test]
fn arm64_gets_to_its_kernel_by_pxe_by_http_and_by_ipxe() {
    let world = bastion();
    let spec = format!(
        "
spec: netboot
checks:
  - name: pass by PXE
    netboot: {{ arch: arm64, interface: here, mac: '52:54:00:12:34:56', serial: s-7, kernel: kernel-arm64, initrds: ['sha256:{initrd}'] }}
    expect:
      outcome: boot
      fault: null
      stage: null
      reason: null
      boot-file: {{ url: tftp://10.77.0.1/ipxe-arm64.efi, program: ipxe, arch: arm64, size: 4 KiB }}
      kernel: {{ url: http://10.77.0.1/kernel-arm64, program: kernel, content: image, arch: arm64, size: 4 KiB, sha256: {kernel} }}
      initrds: [{{ name: initramfs, url: http://10.77.0.1/initramfs.xz, content: xz, size: 10 }}]
      arguments: {{ match: '^initrd=initramfs console=ttyAMA0 serial=s-7 mac=52-54-00-12-34-56 ip=10\\.77\\.0\\.[5-9][0-9]$' }}
      scripts: ['{BOOT}', 'http://10.77.0.1/node.ipxe?mac=52-54-00-12-34-56&arch=arm64']
      steps:
        - {{ protocol: dhcp, from: 10.77.0.1, what: 'DISCOVER of PXEClient:Arch:00011:UNDI:003000', came: {{ contain: 'boot file `ipxe-arm64.efi`' }} }}
        - {{ protocol: tftp, from: 10.77.0.1, what: tftp://10.77.0.1/ipxe-arm64.efi, came: 'ipxe, pe for arm64', size: 4 KiB }}
        - {{ protocol: tftp, what: tftp://10.77.0.1/autoexec.ipxe, came: {{ contain: not found }}, size: null }}
        - {{ protocol: dhcp, what: 'DISCOVER of PXEClient:Arch:00011:UNDI:003010' }}
        - {{ protocol: http, what: '{BOOT}', came: script }}
        - {{ protocol: http, came: script }}
        - {{ protocol: http, came: 'kernel, image for arm64' }}
        - {{ protocol: http, came: xz }}
      transcript: {{ contain: ['>>Start PXE over IPv4.', '  NBP filename is ipxe-arm64.efi', '  NBP filesize is 4096 Bytes', '  NBP file downloaded successfully.', 'iPXE initialising devices...ok', '{BOOT}... ok'] }}
  - name: pass by HTTP
    netboot: {{ arch: arm64, firmware: http, interface: here }}
    expect:
      outcome: boot
      boot-file: {{ url: http://10.77.0.1/ipxe-arm64.efi, program: ipxe }}
      kernel: {{ url: http://10.77.0.1/kernel-arm64 }}
      transcript: {{ contain: ['>>Start HTTP Boot over IPv4.', '  URI: http://10.77.0.1/ipxe-arm64.efi', '  File Size: 4096 Bytes'] }}
      steps: {{ contain: http://10.77.0.1/autoexec.ipxe }}
  - name: pass by iPXE that is there already
    netboot: {{ arch: arm64, firmware: ipxe, interface: here }}
    expect: {{ outcome: boot, boot-file: null, kernel: {{ arch: arm64 }} }}
  - name: pass nothing is named for another architecture
    netboot: {{ arch: amd64, interface: here }}
    expect: {{ outcome: stopped, fault: nothing-offered, stage: dhcp, kernel: null, transcript: {{ contain: '  PXE-E16: No valid offer received.' }} }}
  - name: fail it boots what was built
    netboot: {{ arch: arm64, interface: here, kernel: other-kernel }}
    expect: {{ outcome: boot }}
  - name: pass another kernel is named
    netboot: {{ arch: arm64, interface: here, kernel: other-kernel }}
    expect: {{ fault: other-file, stage: kernel, reason: {{ contain: 'is not `other-kernel`' }} }}
  - name: pass another initramfs is named
    netboot: {{ arch: arm64, interface: here, initrds: [other-kernel] }}
    expect: {{ fault: other-file, stage: initrd }}
  - name: pass one that is missing is named
    netboot: {{ arch: arm64, interface: here, initrds: [] }}
    expect: {{ fault: other-file, stage: initrd, reason: {{ contain: 1 files are handed to the kernel }} }}
  - name: error the build is not there
    netboot: {{ arch: arm64, interface: here, kernel: nowhere }}
    expect: {{ outcome: boot }}
",
        kernel = sha256(&kernel(b"one")),
        initrd = sha256(b"\xfd7zXZ\0rest"),
    );
    let served = ["ipxe-arm64.efi", "http://10.77.0.1/ipxe-arm64.efi", BOOT];
    if let Some(report) = run(&world, served, &spec) {
        report.as_named();
    }
}

/// A check that says which fault is to be found, and what the screen says.
pub(super) fn stuck(name: &str, firmware: &str, fault: &str, stage: &str, screen: &str) -> String {
    format!(
        "  - name: pass {name}\n    netboot: {{ arch: arm64, firmware: {firmware}, interface: here }}\n    \
         expect: {{ outcome: stopped, fault: {fault}, stage: {stage}, kernel: null, transcript: {{ any: {{ contain: '{screen}' }} }} }}\n"
    )
}

/// What is named to each, and what comes of it.
type Case = ([&'static str; 3], Vec<String>);

/// Forgets what the servers before have left, by which they are waited for.
fn clear(world: &World) {
    for left in ["first.log", "first.there", "first.seen", "web.pid"] {
        let _ = std::fs::remove_file(world.path().join(left));
    }
}

/// Runs each case beside servers of its own, several at a time: most of it is waiting for more offers.
fn all(cases: Vec<Case>) {
    let cases = Mutex::new(cases);
    let next = || cases.lock().ok()?.pop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let world = bastion();
                while let Some((served, checks)) = next() {
                    let spec = format!("spec: stuck\nchecks:\n{}", checks.concat());
                    let Some(report) = run(&world, served, &spec) else {
                        return;
                    };
                    report.as_named();
                    clear(&world);
                }
            });
        }
    });
}

#[test]
fn firmware_that_boots_by_pxe_gets_stuck() {
    let pxe = |fault, stage, screen| vec![stuck("by PXE", "pxe", fault, stage, screen)];
    all(vec![
        (
            ["ipxe-amd64.efi", "", BOOT],
            pxe("wrong-architecture", "boot-file", "failed to load Boot0001"),
        ),
        (
            ["undionly.kpxe", "", BOOT],
            pxe("not-a-program", "boot-file", "failed to load Boot0001"),
        ),
        (
            ["nowhere.efi", "", BOOT],
            pxe(
                "not-found",
                "boot-file",
                "PXE-E23: Client received TFTP error",
            ),
        ),
        (
            ["bzimage", "", BOOT],
            pxe("not-a-program", "boot-file", "failed to load Boot0001"),
        ),
        (
            ["cut.efi", "", BOOT],
            pxe("cut-short", "boot-file", "failed to load Boot0001"),
        ),
        (
            ["http://10.77.0.1/ipxe-arm64.efi", "", BOOT],
            pxe("wrong-address", "boot-file", "PXE-E23"),
        ),
        (
            ["ipxe-arm64.efi", "", ""],
            pxe("loop", "dhcp", "iPXE initialising devices"),
        ),
        (
            ["", "", ""],
            pxe(
                "nothing-offered",
                "dhcp",
                "PXE-E16: No valid offer received",
            ),
        ),
    ]);
}

#[test]
fn firmware_that_boots_by_http_gets_stuck() {
    let http = |fault, stage, screen| vec![stuck("by HTTP", "http", fault, stage, screen)];
    let on = |path: &str| -> &'static str {
        Box::leak(format!("http://10.77.0.1/{path}").into_boxed_str())
    };
    let size = "Could not retrieve NBP file size";
    let goes_on = "  - name: pass it goes on\n    netboot: { arch: arm64, firmware: http, interface: here }\n    \
                   expect: { outcome: boot, fault: null }\n";
    let mut cases = vec![
        (
            ["", on("ipxe-amd64.efi"), BOOT],
            http("wrong-architecture", "boot-file", "failed to load Boot0001"),
        ),
        (
            ["", on("nowhere.efi"), BOOT],
            http("not-found", "boot-file", "Client Error: 404 Not Found"),
        ),
        (
            ["", on("refused.efi"), BOOT],
            http("refused", "boot-file", "URI:"),
        ),
        (
            ["", on("moved.efi"), BOOT],
            http("redirect", "boot-file", "Redirection: 302 Found"),
        ),
        (
            ["", on("endless/ipxe-arm64.efi"), BOOT],
            http("no-length", "boot-file", size),
        ),
        (
            ["", on("plain"), BOOT],
            http("wrong-type", "boot-file", size),
        ),
        (
            ["", "ipxe-arm64.efi", BOOT],
            http("wrong-address", "dhcp", "Server response timeout"),
        ),
        (
            ["", "http://boot.test/ipxe-arm64.efi", BOOT],
            http("no-name-server", "dhcp", "Server response timeout"),
        ),
    ];
    // What is sound, and so near to these.
    for file in ["chunked/ipxe-arm64.efi", "typed", "kernel.efi"] {
        cases.push((["", on(file), BOOT], vec![goes_on.to_owned()]));
    }
    all(cases);
}

#[test]
fn ipxe_gets_stuck() {
    let ipxe = |fault, stage, screen| vec![stuck("with iPXE", "pxe", fault, stage, screen)];
    let on = |path: &str| -> &'static str {
        Box::leak(format!("http://10.77.0.1/{path}").into_boxed_str())
    };
    let could_not = "Could not boot: Error 0x7f048183";
    let goes_on = "  - name: pass it goes on\n    netboot: { arch: arm64, interface: here }\n    \
                   expect: { outcome: boot, fault: null, kernel: { url: { ends-with: /kernel-arm64 } } }\n";
    let silent = "  - name: error a server that is not there\n    netboot: { arch: arm64, interface: here }\n    \
                  expect: { fault: nothing-started }\n";
    all(vec![
        (
            ["ipxe-arm64.efi", "", on("amd64.ipxe")],
            ipxe("wrong-architecture", "kernel", could_not),
        ),
        (
            ["ipxe-arm64.efi", "", on("cut.ipxe")],
            ipxe("cut-short", "kernel", could_not),
        ),
        (
            ["ipxe-arm64.efi", "", on("missing.ipxe")],
            ipxe("not-found", "kernel", "kernel-armm64... Not found"),
        ),
        (
            ["ipxe-arm64.efi", "", on("endless.ipxe")],
            ipxe("no-length", "kernel", "endless/kernel-arm64..."),
        ),
        (
            ["ipxe-arm64.efi", "", on("again.ipxe")],
            ipxe("loop", "script", "iPXE initialising devices..."),
        ),
        (
            ["ipxe-arm64.efi", "", on("ipxe-arm64.efi")],
            ipxe("loop", "dhcp", "iPXE initialising devices..."),
        ),
        (
            ["ipxe-arm64.efi", "", on("loop.ipxe")],
            ipxe("loop", "script", "loop.ipxe... ok"),
        ),
        (
            ["ipxe-arm64.efi", "", on("exit.ipxe")],
            ipxe("not-found", "kernel", "kernel-armm64... Not found"),
        ),
        (
            ["ipxe-arm64.efi", "", on("silent.ipxe")],
            vec![silent.to_owned()],
        ),
        (
            ["ipxe-arm64.efi", "", on("over.ipxe")],
            ipxe("nothing-started", "script", "over.ipxe... ok"),
        ),
        (
            ["ipxe-arm64.efi", "", on("nowhere.ipxe")],
            ipxe("not-found", "script", "nowhere.ipxe... Not found"),
        ),
        (
            ["ipxe-arm64.efi", "", on("initramfs.xz")],
            ipxe("not-a-program", "script", "Exec format error"),
        ),
        (
            ["ipxe-arm64.efi", "", on("initramfs-amd64.ipxe")],
            ipxe("wrong-architecture", "initrd", "Failed to execute /init"),
        ),
        (
            ["ipxe-arm64.efi", "", on("initramfs-arm64.ipxe")],
            vec![goes_on.replace("fault: null", "fault: null, initrds: [{ arch: arm64 }]")],
        ),
        (
            ["ipxe-arm64.efi", "", on("chunked.ipxe")],
            vec![goes_on.to_owned()],
        ),
    ]);
}

/// A rule for HTTP boot without option 60, as people write it first.
#[test]
fn http_boot_without_option_60_gets_stuck() {
    let world = bastion();
    let conf =
        dnsmasq(&world, "", "", BOOT) + "dhcp-boot=tag:arm64http,http://10.77.0.1/ipxe-arm64.efi\n";
    let spec = format!(
        "spec: stuck\nchecks:\n{}",
        stuck(
            "no class",
            "http",
            "no-vendor-class",
            "dhcp",
            "Server response timeout"
        )
    );
    if let Some(report) = with_web(&world, [&conf, ""], WEB, "10.77.0.9", &spec) {
        report.as_named();
    }
}

#[test]
fn where_another_loader_starts_no_kernel_is_claimed() {
    let world = bastion();
    let spec = "
spec: loaders
checks:
  - name: pass GRUB starts
    netboot: { arch: arm64, interface: here }
    expect: { outcome: program, fault: null, kernel: null, boot-file: { program: grub }, reason: { contain: what it loads is not followed } }
  - name: error its kernel is not seen
    netboot: { arch: arm64, interface: here, kernel: kernel-arm64 }
    expect: { fault: null }
  - name: pass it is said to be iPXE
    netboot: { arch: arm64, interface: here, boot-file: ipxe }
    expect: { outcome: boot }
  - name: pass an image of a disk
    netboot: { arch: arm64, firmware: http, interface: here }
    expect: { outcome: disk, kernel: null, reason: { contain: makes a disk of it } }
  - name: error nobody answers
    netboot: { arch: arm64, server: 10.77.0.3, relay: 10.77.0.9, wait: 1 }
    expect: { fault: null }
";
    let spec = spec.replace("makes a disk of it", "makes a disk of the image of a disk");
    let served = ["grubaa64.efi", "http://10.77.0.1/disk.img", BOOT];
    if let Some(report) = run(&world, served, &spec) {
        report.as_named();
        assert!(
            report
                .why("error nobody answers")
                .contains("no offer within")
        );
        assert!(
            report
                .why("error its kernel is not seen")
                .contains("cannot be held against")
        );
    }
}

/// A script that lies beside iPXE comes before anything that DHCP says.
#[test]
fn a_script_beside_ipxe_comes_first() {
    let world = bastion();
    world.write(
        "tftp/autoexec.ipxe",
        "#!ipxe\nchain http://10.77.0.1/node.ipxe\n",
    );
    let spec = "
spec: beside
checks:
  - name: pass it is followed
    netboot: { arch: arm64, interface: here }
    expect: { outcome: boot, scripts: [tftp://10.77.0.1/autoexec.ipxe, http://10.77.0.1/node.ipxe], arguments: { contain: 'ip=10.77.0.' } }
";
    if let Some(report) = run(&world, ["ipxe-arm64.efi", "", ""], spec) {
        report.as_named();
    }
}

/// One server names a boot server that says nothing; another names a file, and nobody gives addresses.
#[test]
fn without_a_boot_server_or_an_address_it_gets_stuck() {
    let world = bastion();
    let silent = dnsmasq(&world, "", "", "") + "dhcp-option-force=tag:arm64,60,PXEClient\n";
    let proxy = "dhcp-range=10.77.0.0,proxy\npxe-service=ARM64_EFI,ARM64,ipxe-arm64.efi\n";
    for (conf, fault) in [(silent.as_str(), "no-boot-server"), (proxy, "no-address")] {
        let spec = format!(
            "spec: stuck\nchecks:\n  - name: pass it is told\n    netboot: {{ arch: arm64, interface: here, wait: 1 }}\n    \
             expect: {{ fault: {fault}, stage: dhcp, transcript: {{ any: {{ contain: PXE-E16 }} }} }}\n"
        );
        let Some(report) = with_web(&world, [conf, ""], WEB, "10.77.0.9", &spec) else {
            return;
        };
        report.as_named();
        clear(&world);
    }
}
