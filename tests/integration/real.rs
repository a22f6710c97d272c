//! Debian's own ARM64 programs inside a Talos-shaped initramfs: no file in it was written here.

use std::fs;
use std::path::Path;

use crate::peers::{fetched, output, peer};
use crate::talos::{Image, Pack, Tools, initramfs};
use crate::world::World;

const SPEC: &str = r#"
spec: Debian's programs in an image of ours
subject: initramfs
checks:
  - name: static and dynamic programs
    elf: "usr/bin/{containerd,runc}"
    expect:
      count: 2
      files:
        every: { machine: aarch64, class: 64, interpreter: { path: /lib/ld-linux-aarch64.so.1 } }
        contain: [{ path: usr/bin/containerd, layer: rootfs.sqsh }]
  - name: busybox is static
    elf: bin/busybox
    expect: { count: 1, files: { every: { static: true, interpreter: { path: null, resolves: true }, needed: { len: 0 } } } }
  - name: every loader is there
    elf: "**"
    expect: { count: { ge: 20 }, files: { every: { machine: aarch64, interpreter: { resolves: true }, damaged: null } } }
  - name: the digest is that of the file
    file: usr/bin/containerd
    expect: { sha256: CONTAINERD, size: { ge: 10 MiB }, mode: "0755" }
"#;

#[test]
fn programs_of_a_distribution_are_seen_as_they_are() {
    let (Some(peers), Some(tools), Some(sha256sum)) = (fetched(), Tools::find(), peer("sha256sum"))
    else {
        return;
    };
    let arm64 = peers.join("arm64");
    let world = World::new();
    let root = world.path().join("root");
    for name in ["usr/bin/containerd", "usr/sbin/runc", "bin/busybox"] {
        let to = root.join(name.replace("sbin", "bin"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(arm64.join(name), to).unwrap();
    }
    // The C library, links and all: the loader is `lib/ld-linux-aarch64.so.1`.
    let (from, to) = (arm64.join("lib"), root.join("lib"));
    let cp = peer("cp").unwrap();
    fs::create_dir_all(&to).unwrap();
    for part in ["ld-linux-aarch64.so.1", "aarch64-linux-gnu"] {
        let from = from.join(part);
        output(
            &cp,
            Path::new("/"),
            &["-a", from.to_str().unwrap(), to.to_str().unwrap()],
        );
    }
    initramfs(
        &tools,
        world.path(),
        &root,
        &[("spin", "v0.25.1", Image::Full)],
        Pack::Zstd,
    );

    let containerd = root.join("usr/bin/containerd");
    let line = output(&sha256sum, Path::new("/"), &[containerd.to_str().unwrap()]);
    let digest = line.split(' ').next().unwrap();
    let report = world.run(&SPEC.replace("CONTAINERD", digest));
    assert_eq!(report.code, 0, "{:#}", report.json);

    // The same spec, without the loader: what needs it is red, what is static is not.
    fs::remove_file(root.join("lib/ld-linux-aarch64.so.1")).unwrap();
    fs::remove_dir_all(root.join("lib/aarch64-linux-gnu")).unwrap();
    initramfs(
        &tools,
        world.path(),
        &root,
        &[("spin", "v0.25.1", Image::Full)],
        Pack::Xz,
    );
    let report = world.run(&SPEC.replace("CONTAINERD", digest));
    assert_eq!(report.verdict("every loader is there"), "fail");
    assert!(
        report
            .why("every loader is there")
            .contains("interpreter.resolves")
    );
    assert_eq!(report.verdict("busybox is static"), "pass");
    assert_eq!(report.verdict("the digest is that of the file"), "pass");
}
