//! `tdg diff`, on pairs that other people's tools made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::images::pipe;
use crate::inspect::disks::disk;
use crate::inspect::samples::{kernel, uki};
use crate::peers::{output, peer};
use crate::talos::{Image, Pack, Tools, initramfs};
use crate::world::{Ran, World};

/// Packs a folder; `more` are further arguments of `mksquashfs`.
fn pack(world: &World, folder: &str, image: &str, more: &[&str]) -> Option<PathBuf> {
    let tool = peer("mksquashfs")?;
    let path = world.path().join(image);
    let arguments = [folder, image, "-noappend", "-quiet", "-no-progress"];
    output(&tool, world.path(), &[&arguments, more].concat());
    Some(path)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr))
}

/// What changed, a line each: the change, the path on each side, the fields that differ.
fn changes(document: &Value) -> Vec<String> {
    let path = |side: &Value| {
        let address = side.as_str().unwrap_or("-");
        address
            .split_once("!/")
            .map_or(address, |(_, path)| path)
            .to_owned()
    };
    let line = |change: &Value| {
        let fields = change["differences"].as_array().unwrap().iter();
        let fields: Vec<&str> = fields.map(|d| d["field"].as_str().unwrap()).collect();
        let (a, b) = (path(&change["a"]), path(&change["b"]));
        let paths = if a == b { a } else { format!("{a} > {b}") };
        format!(
            "{} {paths}: {}",
            change["change"].as_str().unwrap(),
            fields.join(", ")
        )
    };
    document["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

fn field<'d>(document: &'d Value, path: &str, name: &str) -> [&'d Value; 2] {
    let changes = document["changes"].as_array().unwrap();
    let ends = |change: &&Value| {
        let side = change["b"].as_str().or(change["a"].as_str()).unwrap();
        side.ends_with(path)
    };
    let change = changes
        .iter()
        .find(ends)
        .unwrap_or_else(|| panic!("{path}: {document:#}"));
    let found = change["differences"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["field"] == name);
    let found = found.unwrap_or_else(|| panic!("{path} {name}: {change:#}"));
    [&found["a"], &found["b"]]
}

/// Two folders, with one difference of each class between them.
fn folders(world: &World) {
    for side in ["a", "b"] {
        world.write(&format!("{side}/same"), "the same on both sides\n");
        world.write(
            &format!("{side}/etc/hosts"),
            "127.0.0.1 localhost\n::1 localhost\n",
        );
        world.write(
            &format!("{side}/etc/os-release"),
            "ID=talos\nVERSION_ID=v1.12.1\n",
        );
        world.write(
            &format!("{side}/bin/tool"),
            [&b"\0binary"[..], &[7; 5000]].concat(),
        );
        world.write(&format!("{side}/bin/run"), "#!/bin/sh\n");
        world.mode(&format!("{side}/bin/run"), 0o755);
        world.write(&format!("{side}/turns"), "a file\n");
        symlink("bin/run", world.path().join(side).join("link")).unwrap();
        world.write(&format!("{side}/owned"), "x");
    }
    world.write(
        "a/etc/hosts",
        "127.0.0.1 localhost\n::1 localhost\n10.0.0.1 old\n",
    );
    world.write(
        "b/etc/hosts",
        "127.0.0.1 localhost\n::1 localhost\n10.0.0.2 new\n",
    );
    world.write("b/etc/os-release", "ID=talos\nVERSION_ID=v1.13.6\n");
    world.write("b/bin/tool", [&b"\0binary"[..], &[8; 5001]].concat());
    world.mode("b/bin/run", 0o700);
    fs::remove_file(world.path().join("b/turns")).unwrap();
    symlink("same", world.path().join("b/turns")).unwrap();
    fs::remove_file(world.path().join("b/link")).unwrap();
    symlink("bin/tool", world.path().join("b/link")).unwrap();
    world.write("a/gone", "gone\n");
    world.write("a/old/one", "1");
    world.write("a/old/deep/two", "22");
    world.write("b/new/three", "333");
}

const DEVICES: [[&str; 2]; 2] = [["-p", "dev c 600 0 0 4 64"], ["-p", "dev c 600 0 0 4 65"]];

#[test]
fn each_class_of_difference_is_reported_exactly() {
    let world = World::new();
    folders(&world);
    if let Some(setfattr) = peer("setfattr") {
        for (side, value) in [("a", "one"), ("b", "two")] {
            let file = format!("{side}/same");
            output(
                &setfattr,
                world.path(),
                &["-n", "user.label", "-v", value, &file],
            );
        }
    }
    for (side, device) in ["a", "b"].into_iter().zip(DEVICES) {
        let image = format!("{side}.sqsh");
        if pack(&world, side, &image, &device).is_none() {
            return;
        }
    }
    let ran = world.tdg(&["diff", "a.sqsh", "b.sqsh", "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("diff_json", ran.stdout);
    let ran = world.tdg(&["diff", "a.sqsh", "b.sqsh"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!("diff_human", ran.stdout);
    // What is given up is not compared, and nothing else is.
    let ran = world.tdg(&[
        "diff",
        "a.sqsh",
        "b.sqsh",
        "--format",
        "json",
        "--ignore",
        "mode,xattrs",
    ]);
    let left = changes(&json(&ran));
    assert!(
        !left
            .iter()
            .any(|line| line.contains("bin/run") || line.contains("same:")),
        "{left:?}"
    );
    assert_eq!(left.len(), changes_of(&world, &[]).len() - 2);
    // Without contents, sizes and what is said of files are left.
    let left = changes_of(&world, &["--no-content"]);
    assert!(
        left.contains(&"changed bin/tool: size".to_owned()),
        "{left:?}"
    );
    assert!(!left.iter().any(|line| line.contains("hosts")), "{left:?}");
    // Every entry of a directory by itself.
    let all = changes_of(&world, &["--all"]);
    for line in [
        "removed old/deep/two > -: ",
        "removed old > -: ",
        "added - > new/three: ",
    ] {
        assert!(all.contains(&line.to_owned()), "{line}: {all:?}");
    }
}

fn changes_of(world: &World, more: &[&str]) -> Vec<String> {
    let arguments = [&["diff", "a.sqsh", "b.sqsh", "--format", "json"], more].concat();
    changes(&json(&world.tdg(&arguments)))
}

#[test]
fn owners_are_compared() {
    let world = World::new();
    folders(&world);
    for (image, owner) in [("a.sqsh", "owned m 644 5 6"), ("b.sqsh", "owned m 644 7 6")] {
        if pack(&world, "a", image, &["-p", owner]).is_none() {
            return;
        }
    }
    assert_eq!(changes_of(&world, &[]), ["changed owned: uid"]);
    assert_eq!(
        world
            .tdg(&["diff", "a.sqsh", "b.sqsh", "--ignore", "owner"])
            .code,
        0
    );
}

#[test]
fn the_same_files_packed_in_another_way_at_another_time_are_the_same() {
    let world = World::new();
    folders(&world);
    let (Some(touch), Some(xz), Some(zstd)) = (peer("touch"), peer("xz"), peer("zstd")) else {
        return;
    };
    let Some(one) = pack(
        &world,
        "a",
        "one.sqsh",
        &["-comp", "zstd", "-mkfs-time", "1000"],
    ) else {
        return;
    };
    output(
        &touch,
        world.path(),
        &["-d", "2001-02-03", "a/same", "a/etc/hosts", "a/etc"],
    );
    pack(
        &world,
        "a",
        "two.sqsh",
        &["-comp", "gzip", "-b", "8192", "-mkfs-time", "2000"],
    );
    let two = fs::read(world.path().join("two.sqsh")).unwrap();
    assert_ne!(fs::read(one).unwrap(), two);
    let ran = world.tdg(&["diff", "one.sqsh", "two.sqsh"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(
        ran.stdout.starts_with("nothing differs; "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("1 packed differently"),
        "{}",
        ran.stdout
    );
    // The times are there, for whoever asks.
    let ran = world.tdg(&[
        "diff", "one.sqsh", "two.sqsh", "--times", "--format", "json",
    ]);
    let lines = changes(&json(&ran));
    assert_eq!(
        lines,
        [
            "changed etc: mtime",
            "changed etc/hosts: mtime",
            "changed same: mtime"
        ]
    );
    // A folder against what was packed from it, and against that compressed.
    assert_eq!(world.tdg(&["diff", "a", "two.sqsh"]).code, 0);
    world.write("two.sqsh.xz", pipe(&xz, world.path(), &["-c", "-0"], &two));
    world.write(
        "two.sqsh.zst",
        pipe(&zstd, world.path(), &["-q", "-c"], &two),
    );
    assert_eq!(world.tdg(&["diff", "two.sqsh.xz", "two.sqsh.zst"]).code, 0);
    assert_eq!(world.tdg(&["diff", "two.sqsh.xz", "one.sqsh"]).code, 0);
    // Other formats that keep as much.
    let (Some(tar), Some(erofs)) = (peer("tar"), peer("mkfs.erofs")) else {
        return;
    };
    output(&tar, world.path(), &["-cf", "a.tar", "-C", "a", "."]);
    output(&erofs, world.path(), &["--quiet", "a.erofs", "a"]);
    for image in ["a.tar", "a.erofs"] {
        let ran = world.tdg(&["diff", "two.sqsh", image]);
        assert_eq!(ran.code, 0, "{image}: {}{}", ran.stdout, ran.stderr);
    }
    // Inside of another container how it is compressed is a difference.
    world.write("p/f.xz", pipe(&xz, world.path(), &["-c", "-0"], b"text\n"));
    world.write("q/f.xz", pipe(&xz, world.path(), &["-c", "-9e"], b"text\n"));
    world.write(
        "r/f.xz",
        pipe(&zstd, world.path(), &["-q", "-c"], b"text\n"),
    );
    assert_eq!(world.tdg(&["diff", "p", "q"]).code, 0);
    let ran = world.tdg(&["diff", "p", "r", "--format", "json"]);
    assert_eq!(changes(&json(&ran)), ["changed f.xz: compression"]);
}

#[test]
fn disks_made_twice_are_the_same_and_a_partition_that_grew_is_not() {
    let world = World::new();
    world.write("files/EFI/one", vec![1; 70_000]);
    world.write("files/readme.txt", "one\n");
    let files = world.path().join("files");
    let (Some(()), Some(())) = (
        disk(&world, "one.raw", "16", 8 << 20, &files),
        disk(&world, "two.raw", "16", 8 << 20, &files),
    ) else {
        return;
    };
    let read = |name: &str| fs::read(world.path().join(name)).unwrap();
    assert_ne!(read("one.raw"), read("two.raw"), "their GUIDs differ");
    let ran = world.tdg(&["diff", "one.raw", "two.raw"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = world.tdg(&["diff", "one.raw", "two.raw", "--ids", "--format", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        changes(&json(&ran)),
        ["changed one.raw > two.raw: disk id, partition EFI id"]
    );

    world.write("files/readme.txt", "two\n");
    disk(&world, "grown.raw", "16", 12 << 20, &files);
    let ran = world.tdg(&["diff", "one.raw", "grown.raw", "--format", "json"]);
    let document = json(&ran);
    let lines = changes(&document);
    assert_eq!(
        lines,
        [
            "changed one.raw > grown.raw: partition EFI size",
            "changed EFI/readme.txt: content"
        ]
    );
    let size = field(&document, "grown.raw", "partition EFI size");
    assert_eq!(size, ["8388608", "12582912"]);
    let text = document["changes"][1]["text"].as_str().unwrap();
    assert_eq!(text, "@@ -1 +1 @@\n-one\n+two");

    // Boot code lies in no partition, and counts.
    let mut booted = read("one.raw");
    booted[..3].copy_from_slice(b"\xeb\x63\x90");
    world.write("booted.raw", booted);
    let ran = world.tdg(&["diff", "one.raw", "booted.raw", "--format", "json"]);
    assert_eq!(
        changes(&json(&ran)),
        ["changed one.raw > booted.raw: boot code"]
    );
    let mut gap = read("one.raw");
    gap[100 << 10] = 1;
    world.write("gap.raw", gap);
    let ran = world.tdg(&["diff", "one.raw", "gap.raw", "--format", "json"]);
    let line = "changed one.raw > gap.raw: bytes before the first partition";
    assert_eq!(changes(&json(&ran)), [line]);
}

#[test]
fn extensions_are_found_by_their_names_and_images_of_one_role_are_paired() {
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    world.write("root/etc/os-release", "ID=talos\nVERSION_ID=v1.12.1\n");
    let root = world.path().join("root");
    let made = |name: &str, extensions: &[(&str, &str, Image)], pack| {
        let made = initramfs(&tools, world.path(), &root, extensions, pack);
        fs::rename(made, world.path().join(name)).unwrap();
    };
    let (spin, zfs) = (
        ("spin", "v0.21.0", Image::Full),
        ("zfs", "2.4", Image::Full),
    );
    made("old", &[spin, zfs], Pack::Zstd);
    world.write("root/etc/os-release", "ID=talos\nVERSION_ID=v1.13.6\n");
    // Another order, so that `0.sqsh` and `1.sqsh` change their places.
    let tailscale = ("tailscale", "1.98.5", Image::Full);
    made(
        "new",
        &[zfs, ("spin", "v0.25.1", Image::Full), tailscale],
        Pack::Zstd,
    );
    let ran = world.tdg(&["diff", "old", "new", "--format", "json"]);
    let document = json(&ran);
    assert_eq!(
        changes(&document),
        [
            "changed extensions.yaml: size, extension spin, extension tailscale, order of extensions, content",
            "changed rootfs.sqsh!/etc/os-release: VERSION_ID, content",
            "changed 0.sqsh!/usr/local/bin/spin-program > 1.sqsh!/usr/local/bin/spin-program: content",
            "added - > 2.sqsh: ",
        ]
    );
    assert_eq!(
        field(&document, "extensions.yaml", "extension spin"),
        ["v0.21.0", "v0.25.1"]
    );
    assert_eq!(
        field(&document, "os-release", "VERSION_ID"),
        ["v1.12.1", "v1.13.6"]
    );
    assert_eq!(document["changes"][3]["role"], "tailscale");
    // zfs, which only moved, is no difference.
    assert!(!ran.stdout.contains("zfs-program"), "{}", ran.stdout);

    // The merged view: paths, whatever image they are in.
    let ran = world.tdg(&["diff", "--merged", "old", "new", "--format", "json"]);
    let document = json(&ran);
    assert_eq!(document["merged"], true);
    assert_eq!(
        changes(&document),
        [
            "changed old > new: layer, order of layers",
            "changed etc/os-release: VERSION_ID, content",
            "changed usr/local/bin/spin-program: content",
            "added - > usr/local/bin/tailscale-program: ",
        ]
    );
    // Packed in another way, it is another initramfs.
    made(
        "xz",
        &[zfs, ("spin", "v0.25.1", Image::Full), tailscale],
        Pack::Xz,
    );
    let ran = world.tdg(&["diff", "new", "xz", "--format", "json"]);
    assert_eq!(changes(&json(&ran)), ["changed new > xz: segments"]);
}

#[test]
fn a_uki_is_paired_with_the_one_of_another_version_and_compared_section_by_section() {
    let world = World::new();
    let made = |version: &str, cmdline: &str, kernel_version: &str| {
        let osrel = format!("ID=talos\nVERSION_ID={version}\n");
        uki(&[
            (".osrel", osrel.as_bytes()),
            (".cmdline", cmdline.as_bytes()),
            (".linux", &kernel(kernel_version)),
            (".cmdline", b"profile two"),
        ])
    };
    let old = made("v1.12.1", "console=ttyS0 quiet selinux=0", "6.12.1-talos");
    let new = made(
        "v1.13.6",
        "console=ttyS0 selinux=1 module.sig_enforce=1",
        "6.18.38-talos",
    );
    world.write("a/EFI/Linux/Talos-v1.12.1.efi", &old);
    world.write("b/EFI/Linux/Talos-v1.13.6.efi", &new);
    for side in ["a", "b"] {
        world.write(&format!("{side}/loader/loader.conf"), "timeout 3\n");
        world.write(
            &format!(
                "{side}/modules/{}/x.ko",
                if side == "a" {
                    "6.12.1-talos"
                } else {
                    "6.18.38-talos"
                }
            ),
            "m",
        );
    }
    let ran = world.tdg(&["diff", "a", "b", "--format", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let document = json(&ran);
    let uki = "EFI/Linux/Talos-v1.12.1.efi";
    let other = "EFI/Linux/Talos-v1.13.6.efi";
    assert_eq!(
        changes(&document),
        [
            format!(
                "changed {uki}!/.cmdline > {other}!/.cmdline: size, argument selinux, argument, argument, content"
            ),
            format!("changed {uki}!/.linux > {other}!/.linux: size, version, content"),
            format!("changed {uki}!/.osrel > {other}!/.osrel: VERSION_ID, content"),
        ]
    );
    assert_eq!(
        field(&document, ".linux", "version"),
        ["6.12.1-talos", "6.18.38-talos"]
    );
    assert_eq!(field(&document, ".cmdline", "argument selinux"), ["0", "1"]);
    assert_eq!(document["summary"]["compared"], 13);
    let ran = world.tdg(&["diff", "a", "b"]);
    for line in [
        "  EFI/Linux/Talos-v1.12.1.efi → Talos-v1.13.6.efi",
        "  ~ .osrel  VERSION_ID  v1.12.1 → v1.13.6",
        "        + module.sig_enforce=1",
    ] {
        let found = ran
            .stdout
            .lines()
            .any(|l| l == line || l.ends_with(line.trim_start()));
        assert!(found, "{line}: {}", ran.stdout);
    }
    // No deeper than is asked for.
    let ran = world.tdg(&["diff", "a", "b", "--depth", "1", "--format", "json"]);
    assert_eq!(
        changes(&json(&ran)),
        [format!("changed {uki} > {other}: size, content")]
    );
    // Headers and signatures are in no section, and count.
    let mut signed = new.clone();
    signed.extend_from_slice(b"a signature");
    world.write("new.efi", &new);
    world.write("signed.efi", signed);
    let ran = world.tdg(&["diff", "new.efi", "signed.efi", "--format", "json"]);
    let line = "changed new.efi > signed.efi: bytes outside of its sections";
    assert_eq!(changes(&json(&ran)), [line]);
}

#[test]
fn programs_are_compared_by_what_they_are_built_for() {
    let Some(readelf) = peer("readelf") else {
        return;
    };
    let arm64 = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/arm64/usr/bin");
    let found = arm64
        .read_dir()
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut programs: Vec<_> = found
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    programs.sort();
    let is_elf = |path: &&PathBuf| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"));
    let Some(program) = programs.iter().find(is_elf) else {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(!strict, "no program for arm64: run tests/peers/fetch");
        return;
    };
    let says = output(&readelf, Path::new("/"), &["-h", program.to_str().unwrap()]);
    assert!(says.contains("AArch64"), "{says}");
    let world = World::new();
    fs::create_dir_all(world.path().join("a")).unwrap();
    fs::create_dir_all(world.path().join("b")).unwrap();
    fs::copy("/bin/true", world.path().join("a/tool")).unwrap();
    fs::copy(program, world.path().join("b/tool")).unwrap();
    let ran = world.tdg(&[
        "diff",
        "a",
        "b",
        "--format",
        "json",
        "--ignore",
        "mode,owner",
    ]);
    let document = json(&ran);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(field(&document, "tool", "machine"), ["x86_64", "aarch64"]);
    }
    assert_eq!(document["changes"][0]["what"], "elf");
}

#[test]
fn what_cannot_be_read_is_neither_the_same_nor_different() {
    let world = World::new();
    folders(&world);
    let Some(whole) = pack(&world, "a", "whole.sqsh", &[]) else {
        return;
    };
    let whole = fs::read(whole).unwrap();
    // The superblock says where the image ends; what follows is padding.
    let used = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
    for (side, bytes) in [("x", &whole[..]), ("y", &whole[..used / 2])] {
        world.write(&format!("{side}/rootfs.sqsh"), bytes);
        world.write(&format!("{side}/note"), format!("note of {side}\n"));
    }
    let ran = world.tdg(&["diff", "x", "y", "--format", "json"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    let document = json(&ran);
    assert_eq!(document["complete"], false);
    assert_eq!(document["errors"][0]["side"], "b");
    assert!(
        document["errors"][0]["address"]
            .as_str()
            .unwrap()
            .ends_with("y!/rootfs.sqsh")
    );
    assert_eq!(
        changes(&document),
        ["changed note: content"],
        "the rest is compared"
    );
    // The same, broken in the same way, is the same: it is held byte against byte.
    assert_eq!(world.tdg(&["diff", "y", "y"]).code, 0);
    assert_eq!(
        world.tdg(&["diff", "x/rootfs.sqsh", "y/rootfs.sqsh"]).code,
        4
    );
    assert_eq!(world.tdg(&["diff", "x", "nothing"]).code, 4);
    // What the half listing does not have is not called removed.
    let ran = world.tdg(&[
        "diff",
        "x!/rootfs.sqsh",
        "x!/rootfs.sqsh",
        "--max-entries",
        "3",
    ]);
    assert_eq!(ran.code, 0, "equal bytes need no listing");
    world.write(
        "z/rootfs.sqsh",
        fs::read(pack(&world, "b", "b.sqsh", &[]).unwrap()).unwrap(),
    );
    let ran = world.tdg(&[
        "diff",
        "x/rootfs.sqsh",
        "z/rootfs.sqsh",
        "--max-entries",
        "4",
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 4);
    let lines = changes(&json(&ran));
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("added") || line.starts_with("removed")),
        "{lines:?}"
    );
    assert!(ran.stdout.contains("max_entries"), "{}", ran.stdout);
}

#[test]
fn files_and_folders_at_any_depth_are_compared() {
    let world = World::new();
    folders(&world);
    let Some(_) = pack(&world, "a", "a.sqsh", &[]) else {
        return;
    };
    pack(&world, "b", "b.sqsh", &[]);
    let ran = world.tdg(&[
        "diff",
        "a.sqsh!/bin/run",
        "b.sqsh!/bin/run",
        "--format",
        "json",
    ]);
    assert_eq!(changes(&json(&ran)), ["changed bin/run: mode"]);
    assert_eq!(world.tdg(&["diff", "a.sqsh!/same", "b.sqsh!/same"]).code, 0);
    assert_eq!(world.tdg(&["diff", "a.sqsh!/etc", "a!/etc"]).code, 0);
    let ran = world.tdg(&["diff", "a.sqsh!/etc", "b.sqsh!/etc"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("~ hosts  text"), "{}", ran.stdout);
    // A file against a folder is a difference, and no error.
    let ran = world.tdg(&["diff", "a.sqsh!/same", "b.sqsh!/etc", "--format", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("\"field\":\"type\""), "{}", ran.stdout);
    let ran = world.tdg(&["diff", "a.sqsh", "a/same"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("squashfs → text"), "{}", ran.stdout);
}

#[test]
fn an_initramfs_too_large_for_memory_is_read_the_same_segment_by_segment() {
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    world.write("root/etc/os-release", "ID=talos\n");
    let root = world.path().join("root");
    for pack in [Pack::Zstd, Pack::Xz] {
        let extensions = [("spin", "v1", Image::Full), ("zfs", "2", Image::Full)];
        let made = initramfs(&tools, world.path(), &root, &extensions, pack);
        // A bare archive also behind the compressed ones.
        let mut bytes = fs::read(&made).unwrap();
        let first = bytes.len().next_multiple_of(512);
        bytes.resize(first, 0);
        let Some(cpio) = peer("cpio") else { return };
        world.write("late", "the last one\n");
        let late = pipe(
            &cpio,
            world.path(),
            &["-o", "-H", "newc", "--quiet"],
            b"late\n",
        );
        bytes.extend_from_slice(&late);
        fs::write(&made, bytes).unwrap();
        let files = |max_in_memory| {
            let limits = tdg::format::Limits {
                max_in_memory,
                ..tdg::format::Limits::default()
            };
            let image = tdg::image::Image::open(&made, limits).unwrap();
            let entries = image.tree().unwrap().entries().unwrap();
            let content = |entry: &tdg::format::Entry| {
                let found = image.exactly(&entry.path).unwrap();
                assert_eq!(found.as_ref(), Some(entry));
                let file = entry.meta.kind == tdg::format::FileType::File;
                let bytes = file.then(|| image.open_bytes(entry).unwrap());
                bytes.map(|bytes| bytes.up_to(0, 1 << 20).unwrap().to_vec())
            };
            let read = |entry: tdg::format::Entry| (content(&entry), entry);
            entries.into_iter().map(read).collect::<Vec<_>>()
        };
        let (large, small) = (files(0), files(u64::MAX));
        assert!(large == small);
        assert!(small.iter().any(|(content, entry)| {
            entry.path == "late" && content.as_deref() == Some(b"the last one\n")
        }));
    }
}

#[test]
fn images_of_layers_are_compared_by_their_merged_view() {
    let Some(umoci) = peer("umoci") else { return };
    let world = World::new();
    for (name, version) in [("one", "1"), ("two", "2")] {
        let image = format!("{name}:latest");
        let run = |arguments: &[&str]| output(&umoci, world.path(), arguments);
        run(&["init", "--layout", name]);
        run(&["new", "--image", &image]);
        for layer in ["base", "app"] {
            let folder = format!("{name}-{layer}");
            world.write(&format!("{folder}/etc/{layer}"), format!("{layer}\n"));
            world.write(
                &format!("{folder}/etc/version"),
                format!("{layer} {version}\n"),
            );
            run(&["insert", "--rootless", "--image", &image, &folder, "/"]);
        }
    }
    let ran = world.tdg(&["diff", "--merged", "one", "two", "--format", "json"]);
    let document = json(&ran);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(changes(&document), ["changed etc/version: content"]);
    let text = document["changes"][0]["text"].as_str().unwrap();
    assert_eq!(text, "@@ -1 +1 @@\n-app 1\n+app 2");
    // Its spec holds, and no longer where a layer is another.
    let ran = world.tdg(&["describe", "one", "--loose"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n    oci:\n"), "{}", ran.stdout);
    let ran = world.tdg(&["describe", "one"]);
    world.write(
        "described.yaml",
        ran.stdout.replace("subject: one\n", "subject: two\n"),
    );
    let ran = world.tdg(&["run", "described.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
}
