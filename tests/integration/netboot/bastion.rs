//! `docs/MATCHBOX-SERVER-CONFIG.md`: dnsmasq with the files that stand there, and `specs/netboot` held
//! against it.
//!
//! matchbox itself cannot be had here: Debian has no package of it, and Go's proxy does not give its
//! module out. nginx stands in for it, and answers what matchbox 0.11 answers for the groups of the
//! document; it stands in for the registries as well. The groups themselves are read by the kind
//! `matchbox`.

use super::beside::with_web;
use super::walk::{TAG_LINE, kernel, sectioned, stuck};
use crate::docs::markdown::Document;
use crate::peers::peer;
use crate::world::World;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What nginx does as matchbox, and as registries.
const WEB: &str = r#"
listen 10.77.0.1:8080; listen 10.77.0.1:5050; listen 10.77.0.1:5051; listen 10.77.0.1:5052;
listen 10.77.0.1:5053; listen 10.77.0.1:5054;
location = / { default_type text/plain; return 200 "matchbox\n"; }
location = /v2/ { default_type application/json; return 200 "{}"; }
"#;

/// Gives a file that stands in the document, for the addresses of a test's wire.
fn file(name: &str) -> String {
    let document = Document::read("docs/MATCHBOX-SERVER-CONFIG.md");
    let mut blocks = document.blocks.iter();
    let block = blocks.find(|block| block.says("file") == Some(name));
    here(&block.unwrap_or_else(|| panic!("no {name}")).text)
}

/// Puts the addresses and the card of a test's wire in.
fn here(text: &str) -> String {
    text.replace("10.20.13.140", "10.77.0.1")
        .replace("10.20.13.", "10.77.0.")
        .replace("interface: eth1", "interface: here")
}

/// Gives a configuration of the document, with the folder of boot files that a test has.
fn dnsmasq(world: &World, name: &str) -> String {
    let conf = file(name);
    assert!(conf.contains("tftp-root=/srv/tftp\n"), "{conf}");
    let folder = world.path().join("tftp");
    conf.replace("/srv/tftp", &folder.display().to_string())
}

/// What lies on the bastion, and what was built.
fn bastion() -> World {
    let world = World::new();
    let (ipxe, kernel) = (sectioned(0xaa64, TAG_LINE), kernel(b"one"));
    let initramfs = b"\xfd7zXZ\0rest";
    world.write("tftp/ipxe-arm64.efi", &ipxe);
    world.write(
        "tftp/undionly.kpxe",
        b"\xea\x05\0\xc0\x07 a program for a BIOS",
    );
    world.write("files/assets/ipxe-arm64.efi", &ipxe);
    for folder in [
        "files/assets/talos/arm64",
        "bastion/matchbox/assets/talos/arm64",
    ] {
        world.write(&format!("{folder}/vmlinuz"), &kernel);
        world.write(&format!("{folder}/initramfs.xz"), initramfs);
    }
    world.write("_out/assets/spin-only/kernel-arm64", &kernel);
    world.write("_out/assets/spin-only/initramfs-metal-arm64.xz", initramfs);
    // As matchbox writes them: `boot.ipxe` of its `http/ipxe.go`, and the profile as a script.
    world.write(
        "files/boot.ipxe",
        "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}&hostname=${hostname}&\
         serial=${serial}&arch=${buildarch:uristring}\n",
    );
    let profile = file("bastion/matchbox/profiles/talos-arm64.json");
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    let boot = &profile["boot"];
    let words: Vec<&str> = boot["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    let script = format!(
        "#!ipxe\nkernel {} {}\ninitrd {}\nboot\n",
        boot["kernel"].as_str().unwrap(),
        words.join(" "),
        boot["initrd"][0].as_str().unwrap()
    );
    world.write("files/ipxe", script);
    world
}

#[test]
fn the_bastion_of_the_document_is_as_its_specs_say() {
    let world = bastion();
    for name in ["groups/arm64.json", "profiles/talos-arm64.json"] {
        let name = format!("bastion/matchbox/{name}");
        world.write(&name, file(&name));
    }
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/netboot");
    let mut checks = 0;
    for entry in fs::read_dir(specs).unwrap() {
        let path = entry.unwrap().path();
        let text = here(&fs::read_to_string(&path).unwrap());
        assert!(!text.contains("10.20.") && !text.contains("eth1"), "{text}");
        checks += text.matches("- name:").count();
        let name = path.file_name().unwrap().to_str().unwrap();
        world.write(&format!("specs/{name}"), text);
    }
    world.write("bastion/user-data", file("bastion/user-data"));
    let cloud = "
spec: cloud
checks:
  - name: user data leads to the kernel
    ipxe: { arch: arm64, mac: '52:54:00:12:34:56' }
    in: bastion/user-data
    expect: { outcome: boot, kernel: { arch: arm64 }, arguments: { contain: talos.platform=metal } }
";
    let conf = dnsmasq(&world, "bastion/dnsmasq.conf");
    let Some(report) = with_web(&world, [&conf, ""], WEB, "10.77.0.9", cloud) else {
        return;
    };
    assert_eq!(report.code, 0, "{:#}", report.json);
    // The matrix of registries has five rows, and the cloud one check.
    assert!(report.trials().len() > checks, "{}", report.trials().len());
}

/// 7 is x64, and `dnsmasq --test` has nothing against it.
#[test]
fn the_block_that_takes_7_for_arm64_is_caught() {
    let world = bastion();
    let conf = dnsmasq(&world, "bastion/wrong.conf");
    if let Some(dnsmasq) = peer("dnsmasq") {
        let path = world.write("wrong.conf", &conf);
        let mut tested = Command::new(dnsmasq);
        tested
            .arg("--test")
            .arg(format!("--conf-file={}", path.display()));
        assert!(tested.output().unwrap().status.success());
    }
    let spec = format!(
        "spec: seven\nchecks:\n{}  - name: fail it boots\n    netboot: {{ arch: arm64, interface: here }}\n    expect: {{ outcome: boot }}\n\
         {}",
        stuck(
            "a program for a BIOS",
            "pxe",
            "not-a-program",
            "boot-file",
            "failed to load Boot0001"
        ),
        "  - name: pass and AMD64 gets that of ARM64\n    netboot: { arch: amd64, interface: here }\n    \
         expect: { fault: wrong-architecture, reason: { contain: 'is for arm64, and the machine is amd64' } }\n"
    );
    if let Some(report) = with_web(&world, [&conf, ""], WEB, "10.77.0.9", &spec) {
        report.as_named();
    }
}
