//! Whole images: a Talos-shaped initramfs, and the merged view of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tdg::format::Limits;
use tdg::image::{Image, Pattern};

use super::squashfs::make;
use crate::images::{cpio, pipe};
use crate::peers::peer;

/// Puts a file of the test machine into a tree at its own path.
fn take(root: &Path, path: &str) -> bool {
    let Ok(source) = std::fs::canonicalize(path) else {
        return false;
    };
    let target = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::copy(source, target).is_ok()
}

fn write(root: &Path, path: &str, content: &[u8]) {
    let target = root.join(path);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::write(target, content).unwrap();
}

/// Makes three segments as Talos's imager does: microcode, base, extensions.
fn talos(folder: &Path) -> Option<Arc<Image>> {
    let (mksquashfs, tool, zstd) = (peer("mksquashfs")?, peer("cpio")?, peer("zstd")?);
    let parts = folder.join("parts");
    std::fs::create_dir(&parts).unwrap();
    let squash =
        |name: &str, root: &Path| make(&mksquashfs, root, &parts.join(name), &["-comp", "zstd"]);

    let root = folder.join("rootfs");
    assert!(take(&root, "/usr/bin/true"));
    write(&root, "etc/os-release", b"base");
    write(&root, "usr/bin/script", b"#!/bin/sh\n");
    write(&root, "usr/bin/cut-off", b"\x7fELF\x02\x01\x01");
    write(&root, "usr/lib/gone/file", b"x");
    std::os::unix::fs::symlink("/usr/bin/true", root.join("usr/bin/alias")).unwrap();
    squash("rootfs.sqsh", &root);

    // The extension brings the libraries that the base lacks.
    let libraries = folder.join("libraries");
    let machine = std::env::consts::ARCH;
    let loader = if machine == "x86_64" {
        "/lib64/ld-linux-x86-64.so.2"
    } else {
        "/lib/ld-linux-aarch64.so.1"
    };
    if !take(&libraries, loader)
        || !take(&libraries, &format!("/lib/{machine}-linux-gnu/libc.so.6"))
    {
        return None;
    }
    write(&libraries, "etc/os-release", b"extended");
    squash("10.sqsh", &libraries);

    let container = folder.join("container");
    std::fs::create_dir_all(container.join("usr/local/lib/containers/x/usr/bin")).unwrap();
    std::fs::copy(
        "/usr/bin/true",
        container.join("usr/local/lib/containers/x/usr/bin/true"),
    )
    .unwrap();
    write(&container, "usr/lib/gone", b"now a file");
    squash("2.sqsh", &container);

    let stub = folder.join("stub");
    std::fs::create_dir_all(stub.join("usr/lib/firmware")).unwrap();
    write(&stub, "usr/local/share/spdx/i915.spdx.json", b"{}");
    squash("0.sqsh", &stub);
    squash("7.sqsh", &stub);

    let list = "layers:\n- {image: 10.sqsh, metadata: {name: libraries, version: v1.2.0}}\n- {image: 0.sqsh, metadata: {name: i915, version: '20250509'}}\n- {image: 2.sqsh, metadata: {name: container, version: 1.0.0}}\n- {image: 9.sqsh, metadata: {name: lost, version: 1.0.0}}\n";
    write(&parts, "extensions.yaml", list.as_bytes());
    write(&parts, "init", b"init");
    write(&parts, "kernel/x86/microcode/GenuineIntel.bin", &[0; 5000]);
    write(&parts, "usr/lib/firmware/i915/adlp.bin", b"firmware");

    let mut file = cpio(
        &tool,
        &parts,
        "newc",
        &["kernel", "kernel/x86/microcode/GenuineIntel.bin"],
    );
    file.resize(file.len().next_multiple_of(512), 0);
    let segments: [&[&str]; 2] = [
        &[".", "init", "rootfs.sqsh"],
        &[
            "0.sqsh",
            "10.sqsh",
            "2.sqsh",
            "7.sqsh",
            "extensions.yaml",
            "usr/lib/firmware/i915/adlp.bin",
        ],
    ];
    for names in segments {
        let archive = cpio(&tool, &parts, "newc", names);
        file.extend_from_slice(&pipe(&zstd, folder, &["-q", "-c"], &archive));
    }
    let path: PathBuf = folder.join("initramfs-metal-arm64.xz");
    std::fs::write(&path, file).unwrap();
    Some(Image::open(path, Limits::default()).unwrap())
}

#[test]
fn extensions_are_told_apart_by_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = talos(folder.path()) else {
        return;
    };
    assert_eq!(image.initramfs().unwrap().segments().len(), 3);
    let talos = image.talos().unwrap().unwrap();
    let facts = |name: &str| {
        let extension = talos.extension(name).unwrap();
        (extension.present(), extension.empty().unwrap())
    };
    assert_eq!(facts("libraries"), (true, false));
    assert_eq!(
        facts("i915"),
        (true, true),
        "a stub is listed and brings nothing"
    );
    assert_eq!(facts("lost"), (false, true));
    assert!(talos.extension("spin").is_none());
    assert_eq!(
        talos
            .extension("libraries")
            .unwrap()
            .listed
            .version
            .as_deref(),
        Some("v1.2.0")
    );
    assert_eq!(talos.unlisted, ["7.sqsh"]);
    assert_eq!(talos.firmware, ["usr/lib/firmware/i915/adlp.bin"]);
}

#[test]
fn later_layers_lie_over_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = talos(folder.path()) else {
        return;
    };
    let view = image.merged().unwrap();
    assert_eq!(
        view.layers(),
        ["rootfs.sqsh", "libraries", "i915", "container"]
    );
    let release = view.get("etc/os-release").unwrap();
    assert_eq!(view.layer(release), "libraries");
    assert_eq!(&*view.read(release).unwrap(), b"extended");
    assert_eq!(
        &*view.read(view.get("usr/lib/gone").unwrap()).unwrap(),
        b"now a file"
    );
    assert!(view.get("usr/lib/gone/file").is_none());
    assert!(
        view.get("init").is_none(),
        "the loose files are not in the view"
    );
    assert_eq!(view.resolve("/usr/bin/alias").unwrap().path, "usr/bin/true");
    let pattern = Pattern::new("/usr/bin/*").unwrap();
    let paths: Vec<_> = view
        .glob(&pattern)
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "usr/bin/alias",
            "usr/bin/cut-off",
            "usr/bin/script",
            "usr/bin/true"
        ]
    );
}

#[test]
fn a_pattern_covers_the_same_however_it_is_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = talos(folder.path()) else {
        return;
    };
    let view = image.merged().unwrap();
    let written = [
        "**",
        "usr/**",
        "usr/bin/true",
        "/usr/bin/*",
        "usr/{bin,lib}/*",
        "usr/b*",
        "usr",
        "nowhere",
        "usr/bin/**",
        "usr/bi",
        "zzz/*",
        "**/true",
        "usr/{bin/true,lib}",
        "etc/os-release",
    ];
    let mut covered = 0;
    for text in written {
        let pattern = Pattern::new(text).unwrap();
        let all = view.entries().iter().filter(|e| pattern.matches(&e.path));
        let (all, found): (Vec<_>, Vec<_>) = (
            all.map(|e| &e.path).collect(),
            view.glob(&pattern).map(|e| &e.path).collect(),
        );
        assert_eq!(found, all, "{text}");
        covered += usize::from(!found.is_empty());
    }
    assert_eq!(covered, written.len() - 3, "all but three cover something");
}

#[test]
fn what_a_program_needs_is_looked_for_where_it_will_run() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = talos(folder.path()) else {
        return;
    };
    let view = image.merged().unwrap();
    let binaries = view.binaries(&Pattern::new("**").unwrap()).unwrap();
    let binary = |path: &str| binaries.iter().find(|binary| binary.path == path).unwrap();

    let program = binary("usr/bin/true");
    assert_eq!(
        program.elf.as_ref().unwrap().machine,
        std::env::consts::ARCH
    );
    assert!(program.interpreter.resolves);
    assert!(
        program.needed.iter().all(|library| library.resolves()),
        "{:?}",
        program.needed
    );

    // The same program in a container sees nothing of the libraries outside.
    let contained = binary("usr/local/lib/containers/x/usr/bin/true");
    assert!(contained.interpreter.path.is_some() && !contained.interpreter.resolves);
    assert!(contained.needed.iter().all(|library| !library.resolves()));

    let damaged = binary("usr/bin/cut-off");
    assert!(
        damaged.damaged.as_ref().unwrap().contains("cut short"),
        "{damaged:?}"
    );
    assert!(
        !binaries
            .iter()
            .any(|binary| binary.path == "usr/bin/script")
    );
}

#[test]
fn a_plain_initramfs_is_its_own_view_and_unpacks_through_links() {
    let Some(tool) = peer("cpio") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    write(&root, "usr/bin/true", b"1");
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    let mut file = cpio(
        &tool,
        &root,
        "newc",
        &["usr", "usr/bin", "usr/bin/true", "bin"],
    );
    let over = folder.path().join("over");
    write(&over, "bin/true", b"2");
    write(&over, "nowhere/file", b"3");
    file.extend_from_slice(&cpio(&tool, &over, "newc", &["bin/true", "nowhere/file"]));
    let path = folder.path().join("initrd");
    std::fs::write(&path, file).unwrap();
    let image = Image::open(&path, Limits::default()).unwrap();
    assert!(image.talos().unwrap().is_none());
    let view = image.merged().unwrap();
    assert_eq!(
        &*view.read(view.get("usr/bin/true").unwrap()).unwrap(),
        b"2"
    );
    assert_eq!(view.layer(view.resolve("/bin/true").unwrap()), "segment 1");
    assert_eq!(view.orphans(), ["nowhere/file"]);
}
