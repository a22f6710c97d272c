//! The kind `uki`, on images that objcopy made from systemd's stub and Debian's kernel.

use std::fs;
use std::path::PathBuf;

use crate::peers::{fetched, output, peer};
use crate::uki::{Maker, Section, section};
use crate::world::World;

const RELEASE: &str =
    "NAME=\"Talos\"\nID=talos\nVERSION_ID=v1.13.6\nPRETTY_NAME='Talos (v1.13.6)'\n";
const SBAT: &str = "sbat,1,SBAT Version,sbat,1,https://example.test/\nsystemd-stub,1,The systemd Developers,systemd,257,https://example.test/\n\0\0";

fn kernel() -> Option<Vec<u8>> {
    Some(fs::read(fetched()?.join("vmlinuz")).unwrap())
}

/// The release of that kernel, by the name of its file.
fn release() -> String {
    let link = fs::read_link(fetched().unwrap().join("vmlinuz")).unwrap();
    let name = link.file_name().unwrap().to_str().unwrap().to_owned();
    name.strip_prefix("vmlinuz-").unwrap().to_owned()
}

#[test]
fn a_whole_image_is_seen_as_it_was_made() {
    let (Some(maker), Some(kernel), Some(sha256sum)) = (Maker::find(), kernel(), peer("sha256sum"))
    else {
        return;
    };
    let world = World::new();
    let uname = release();
    let initrd = [&b"\x28\xb5\x2f\xfd"[..], &[7; 60_000]].concat();
    let sections = [
        section(".sdmagic", "#### LoaderInfo: systemd-stub 257.2 ####"),
        section(".sbat", SBAT),
        section(".osrel", RELEASE),
        section(".cmdline", "talos.platform=metal quiet"),
        section(".uname", &uname),
        section(".linux", &kernel),
        section(".initrd", &initrd),
        section(".profile", "ID=main\nTITLE=Talos\n"),
        section(".profile", "ID=reset\nTITLE=\"Reset system disk\"\n"),
        section(
            ".cmdline",
            " talos.platform=metal\ntalos.experimental.wipe=system\n",
        ),
    ];
    let file = maker.make(&world, "metal.efi", &sections);
    let digest = world.write("kernel", &kernel);
    let line = output(&sha256sum, world.path(), &[digest.to_str().unwrap()]);
    let digest = line.split(' ').next().unwrap();
    let size = kernel.len();
    let spec = format!(
        "
spec: uki
subject: metal.efi
checks:
  - name: pass everything
    uki:
    expect:
      machine: arm64
      stub: systemd-stub 257.2
      os-release: {{ ID: talos, VERSION_ID: v1.13.6, PRETTY_NAME: Talos (v1.13.6), VARIANT: null }}
      uname: {uname}
      cmdline: talos.platform=metal quiet
      kernel: {{ format: image, arch: arm64, version: {uname}, compression: none, size: {size} }}
      initrd: {{ size: 60004, content: zstd }}
      sbat: {{ contain: [{{ name: systemd-stub, generation: 1 }}], len: 2 }}
      signed: false
      signatures: 0
      kernel-matches-uname: true
      machine-agrees: true
      duplicate-sections: {{ len: 0 }}
      overlaps: {{ len: 0 }}
      digests: {{ .linux: {digest} }}
      sections:
        contain: [.text, .linux, {{ name: \".cmdline#2\", profile: 1 }}, {{ name: .cmdline, profile: null, size: 26 }}]
        len: 12
      profiles:
        - {{ number: 0, id: main, title: Talos, cmdline: talos.platform=metal quiet }}
        - {{ id: reset, title: Reset system disk, cmdline: talos.platform=metal talos.experimental.wipe=system }}
  - name: fail another machine
    uki:
    expect: {{ machine: amd64 }}
  - name: fail a profile that is not there
    uki:
    expect: {{ profiles: {{ contain: maintenance }} }}
  - name: fail another content
    uki:
    expect: {{ digests: {{ .initrd: {digest} }} }}
  - name: fail no signature
    uki:
    expect: {{ signed: true }}
  - name: error a stub alone
    uki:
    in: {}
    expect: {{ machine: arm64 }}
  - name: error no program
    uki:
    in: kernel.txt
    expect: {{ machine: arm64 }}
  - name: error a folder
    uki:
    in: specs
    expect: {{ machine: arm64 }}
  - name: error a cut image
    uki:
    in: cut.efi
    expect: {{ machine: arm64 }}
",
        maker.stub().display()
    );
    world.write("kernel.txt", "text");
    let bytes = fs::read(file).unwrap();
    world.write("cut.efi", &bytes[..bytes.len() / 2]);
    let report = world.run(&spec);
    report.as_named();
    assert!(
        report
            .why("error a stub alone")
            .contains("no section `.linux`")
    );
    assert!(report.why("error a cut image").contains("cut short"));
}

/// Runs one check on an image of these sections and gives its verdict and reasons.
fn verdict(maker: &Maker, sections: &[Section<'_>], expect: &str) -> (String, String) {
    let world = World::new();
    maker.make(&world, "it.efi", sections);
    let report = world.run(&format!(
        "spec: uki\nchecks:\n  - name: it\n    uki:\n    in: it.efi\n    expect: {expect}\n"
    ));
    (report.verdict("it").to_owned(), report.why("it"))
}

#[test]
fn parts_that_do_not_belong_together_are_told() {
    let (Some(maker), Some(kernel)) = (Maker::find(), kernel()) else {
        return;
    };
    let amd64 = PathBuf::from(
        "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux",
    );
    let linux = section(".linux", &kernel);
    let cases: [(&str, Vec<Section<'_>>, &str); 4] = [
        (
            "the release of another kernel",
            vec![linux, section(".uname", "6.18.38-talos\n")],
            "{ kernel-matches-uname: false, uname: 6.18.38-talos, machine-agrees: true }",
        ),
        (
            "nothing says which release",
            vec![linux],
            "{ kernel-matches-uname: null, uname: null, cmdline: null, initrd: null, sbat: { len: 0 }, profiles: { len: 0 } }",
        ),
        (
            "two command lines in one profile, one of which nobody uses",
            vec![
                linux,
                section(".cmdline", "a"),
                section(".cmdline", "b"),
                section(".dtb", "x"),
                section(".dtb", "y"),
            ],
            "{ duplicate-sections: [.cmdline], cmdline: a }",
        ),
        (
            // The recipe of many a manual gives the kernel 16 MiB; this one is larger.
            "an initramfs over the end of a kernel that grew",
            vec![
                (".linux", &kernel, Some(0x200_0000)),
                (".initrd", b"initramfs", Some(0x300_0000)),
            ],
            "{ overlaps: [.linux and .initrd] }",
        ),
    ];
    for (name, sections, expect) in cases {
        let (verdict, why) = verdict(&maker, &sections, expect);
        assert_eq!(verdict, "pass", "{name}: {why}");
    }
    let Ok(amd64) = fs::read(amd64) else { return };
    let sections = [section(".linux", &amd64)];
    let (seen, why) = verdict(
        &maker,
        &sections,
        "{ machine: arm64, kernel: { arch: amd64 }, machine-agrees: false }",
    );
    assert_eq!(seen, "pass", "{why}");
    let (seen, why) = verdict(&maker, &sections, "{ machine-agrees: true }");
    assert_eq!(seen, "fail", "{why}");
    // What cannot be read is an error where something asks for it, and only there.
    let sections = [section(".linux", "no kernel at all")];
    assert_eq!(
        verdict(&maker, &sections, "{ machine-agrees: true }").0,
        "error"
    );
    assert_eq!(
        verdict(
            &maker,
            &sections,
            "{ machine: arm64, kernel: { arch: arm64 } }"
        )
        .0,
        "error"
    );
    assert_eq!(verdict(&maker, &sections, "{ machine: arm64 }").0, "pass");
}

#[test]
fn an_image_in_a_disk_is_found_by_its_address() {
    let (Some(maker), Some(mkfs), Some(mcopy)) = (Maker::find(), peer("mkfs.vfat"), peer("mcopy"))
    else {
        return;
    };
    let world = World::new();
    maker.make(
        &world,
        "Talos-v1.13.6.efi",
        &[section(".linux", "k"), section(".osrel", RELEASE)],
    );
    fs::File::create(world.path().join("efi.img"))
        .unwrap()
        .set_len(4 << 20)
        .unwrap();
    output(&mkfs, world.path(), &["efi.img"]);
    output(
        &mcopy,
        world.path(),
        &["-i", "efi.img", "Talos-v1.13.6.efi", "::"],
    );
    let report = world.run(
        "
spec: uki
checks:
  - name: pass by address
    uki:
    in: 'efi.img!/*.efi'
    expect: { machine: arm64, os-release: { ID: talos } }
",
    );
    report.as_named();
}
