//! `tdg describe`: what it prints holds, and no longer does when the subject changes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::images::pipe;
use crate::inspect::disks::disk;
use crate::inspect::samples::{kernel, uki};
use crate::peers::{output, peer};
use crate::talos::{Image, Pack, Tools, initramfs, squashfs};
use crate::world::World;

/// Describes a subject and runs what was printed; gives the spec.
fn described(world: &World, arguments: &[&str]) -> String {
    let ran = world.tdg(&[&["describe"], arguments].concat());
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, ""),
        "{arguments:?}: {}",
        ran.stdout
    );
    let again = world.tdg(&[&["describe"], arguments].concat());
    assert_eq!(
        ran.stdout, again.stdout,
        "{arguments:?}: the same every time"
    );
    world.write("described.yaml", &ran.stdout);
    let run = world.tdg(&["run", "described.yaml", "--strict"]);
    assert_eq!(
        run.code, 0,
        "{arguments:?}: {}{}\n{}",
        run.stdout, run.stderr, ran.stdout
    );
    ran.stdout
}

/// Runs the spec that was printed last; gives the exit code.
fn holds(world: &World) -> i32 {
    world.tdg(&["run", "described.yaml"]).code
}

/// The kinds of a spec's checks, in their order.
fn kinds(spec: &str) -> Vec<&str> {
    let names: Vec<&str> = tdg::check::KINDS.iter().map(|kind| kind.name()).collect();
    let key = |line: &'_ str| {
        let (key, _) = line.strip_prefix("    ")?.split_once(':')?;
        names.iter().find(|name| **name == key).copied()
    };
    spec.lines().filter_map(key).collect()
}

/// Turns one bit of one byte.
fn turn(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn world() -> Option<(World, Tools)> {
    let tools = Tools::find()?;
    let world = World::new();
    world.write("root/etc/os-release", "ID=talos\nVERSION_ID=v1.13.6\n");
    fs::create_dir_all(world.path().join("root/usr/bin")).unwrap();
    for name in ["true", "false"] {
        let to = world.path().join("root/usr/bin").join(name);
        fs::copy(Path::new("/bin").join(name), to).unwrap();
    }
    for n in 0..30 {
        world.write(&format!("root/usr/share/n/{n}"), n.to_string());
    }
    Some((world, tools))
}

#[test]
fn each_sort_of_subject_is_described_by_its_own_kinds_and_by_its_bytes() {
    let Some((world, tools)) = world() else {
        return;
    };
    let root = world.path().join("root");
    let extensions = [
        ("spin", "v0.25.1", Image::Full),
        ("zfs", "2.4", Image::Empty),
    ];
    initramfs(&tools, world.path(), &root, &extensions, Pack::Zstd);
    squashfs(&tools, &root, &world.path().join("root.sqsh"));
    world.write("kernel", kernel("6.18.38-talos"));
    let initrd = fs::read(world.path().join("initramfs")).unwrap();
    let sections: [(&str, &[u8]); 4] = [
        (".osrel", b"ID=talos\n"),
        (".cmdline", b"console=ttyAMA0 talos.platform=metal"),
        (".linux", &kernel("6.18.38-talos")),
        (".initrd", &initrd),
    ];
    world.write("esp/EFI/Linux/one.efi", uki(&sections));
    world.write("one.efi", uki(&sections));
    world.write("note.txt", "some text\n");
    world.write("unknown", [&b"\x01\x02\x03\x04"[..], &[9; 3000]].concat());
    fs::copy("/bin/true", world.path().join("root.true")).unwrap();
    let Some(gzip) = peer("gzip") else { return };
    world.write(
        "note.gz",
        pipe(&gzip, world.path(), &["-c", "-n"], b"some text\n"),
    );
    let esp = world.path().join("esp");
    let Some(()) = disk(&world, "disk.raw", "16", 12 << 20, &esp) else {
        return;
    };
    let Some(xorriso) = peer("xorriso") else {
        return;
    };
    let iso = ["-as", "mkisofs", "-quiet", "-R", "-o", "esp.iso", "esp"];
    output(&xorriso, world.path(), &iso);
    world.write("empty.wasm", b"\0asm\x01\0\0\0");
    world.write("cmdline-metal", "console=ttyAMA0 talos.platform=metal\n");
    let initramfs = [
        "initramfs",
        "extension",
        "extension",
        "extension",
        "file",
        "elf",
    ];
    let in_a_uki = [&["uki", "cmdline", "kernel"][..], &initramfs].concat();
    let all = |first: &[&'static str], more: &[&'static str]| [first, more].concat();
    for (subject, wanted) in [
        ("kernel", vec!["file", "kernel"]),
        ("initramfs", all(&["file"], &initramfs)),
        ("root.sqsh", vec!["file", "tree", "file", "elf"]),
        ("disk.raw", all(&["file", "disk"], &in_a_uki)),
        ("esp.iso", all(&["file", "iso"], &in_a_uki)),
        ("one.efi", all(&["file"], &in_a_uki)),
        ("root.true", vec!["file", "elf"]),
        ("empty.wasm", vec!["file", "wasm"]),
        ("cmdline-metal", vec!["file", "cmdline"]),
        ("note.txt", vec!["file"]),
        ("unknown", vec!["file"]),
        ("note.gz", vec!["file", "file"]),
    ] {
        let spec = described(&world, &[subject]);
        assert_eq!(kinds(&spec), wanted, "{subject}:\n{spec}");
        let path = world.path().join(subject);
        let size = fs::metadata(&path).unwrap().len() as usize;
        for at in [size / 2, size - 1] {
            turn(&path, at);
            assert_ne!(
                holds(&world),
                0,
                "{subject}: byte {at} of {size} is another\n{spec}"
            );
            turn(&path, at);
        }
        assert_eq!(holds(&world), 0, "{subject}");
    }
    // What was seen stands in it.
    let spec = described(&world, &["initramfs"]);
    for line in [
        "version: v0.25.1",
        "segments: 3",
        "    extension: spin",
        "VERSION_ID",
    ] {
        assert_eq!(spec.contains(line), line != "VERSION_ID", "{line}: {spec}");
    }
}

#[test]
fn a_folder_is_described_with_each_of_its_files() {
    let world = World::new();
    world.write("out/kernel-arm64", kernel("6.18.38-talos"));
    world.write("out/cmdline", "a b\n");
    let spec = described(&world, &["out"]);
    assert_eq!(kinds(&spec), ["tree", "file", "file", "kernel"]);
    turn(&world.path().join("out/cmdline"), 0);
    assert_eq!(holds(&world), 1);
    turn(&world.path().join("out/cmdline"), 0);
    world.write("out/more", "x");
    assert_eq!(holds(&world), 1, "a file more");
}

#[test]
fn loosely_a_rebuild_passes_and_another_machine_does_not() {
    let world = World::new();
    world.write("kernel", kernel("6.18.38-talos"));
    let spec = described(&world, &["--loose", "kernel"]);
    assert!(
        spec.contains("version: { semver: \">=6.18, <7\" }"),
        "{spec}"
    );
    assert!(!spec.contains("sha256"), "{spec}");
    world.write("kernel", kernel("6.19.2-talos"));
    assert_eq!(holds(&world), 0);
    world.write("kernel", kernel("7.0.0-talos"));
    assert_eq!(holds(&world), 1);
}

#[test]
fn the_subject_and_the_kinds_are_as_asked() {
    let world = World::new();
    world.write("a/kernel", kernel("6.18.38-talos"));
    let arguments = [
        "describe",
        "a/kernel",
        "--kind",
        "kernel",
        "--subject",
        "b/vmlinuz",
    ];
    let ran = world.tdg(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(kinds(&ran.stdout), ["kernel"]);
    assert!(
        ran.stdout.contains("\nsubject: b/vmlinuz\n"),
        "{}",
        ran.stdout
    );
    let ran = world.tdg(&["describe", "a", "--subject", "${{ vars.assets }}"]);
    let inner = "in: \"${{ vars.assets }}!/kernel\"";
    assert!(ran.stdout.contains(inner), "{}", ran.stdout);
    let ran = world.tdg(&["describe", "a/kernel", "--kind", "kernal"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("no kind `kernal`"), "{}", ran.stderr);
    let ran = world.tdg(&["describe", "a/kernel", "--format", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&document["version"], &document["complete"]),
        (&1.into(), &true.into())
    );
    assert_eq!(document["checks"][1]["expect"]["arch"], "arm64");
}

#[test]
fn what_cannot_be_read_is_said_and_never_ends_with_0() {
    let world = World::new();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("short.sqsh", b"hsqs"),
        ("cut.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03cut"),
    ] {
        world.write(name, bytes);
        let ran = world.tdg(&["describe", name]);
        assert_eq!(ran.code, 4, "{name}: {}", ran.stdout);
        assert!(!ran.stderr.is_empty());
    }
    assert_eq!(world.tdg(&["describe", "absent"]).code, 4);
    // What can be said of a broken one is said: its bytes.
    let ran = world.tdg(&["describe", "short.sqsh"]);
    assert_eq!(kinds(&ran.stdout), ["file"], "{}", ran.stdout);
    assert!(
        ran.stdout.contains("# Not described: short.sqsh"),
        "{}",
        ran.stdout
    );
    // What holds is printed, what does not is named.
    world.write("kernel", kernel("6.18.38-talos"));
    let arguments = [
        "describe",
        "kernel",
        "--kind",
        "kernel",
        "--kind",
        "initramfs",
    ];
    let ran = world.tdg(&arguments);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("not described: initramfs: "),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("but this is not all of it"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("# Not described: initramfs"),
        "{}",
        ran.stdout
    );
    assert_eq!(kinds(&ran.stdout), ["kernel"]);
    world.write("described.yaml", &ran.stdout);
    assert_eq!(holds(&world), 0);
}

#[test]
fn nothing_of_a_stranger_s_image_becomes_an_expression_or_an_escape_sequence() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let world = World::new();
    let text = "x=${{ env.HOME }} y=${{ secrets.TOKEN }} \u{1b}[31m \u{202e} \"'";
    world.write(
        "evil.efi",
        uki(&[(".cmdline", text.as_bytes()), (".linux", &kernel("6.1.0"))]),
    );
    let spec = described(&world, &["evil.efi"]);
    assert!(
        !spec.contains('\u{1b}') && !spec.contains('\u{202e}'),
        "{spec}"
    );
    assert!(!spec.contains("${{ env"), "{spec}");
    world.write("tree/a\u{1b}[31m: x # y\n- name: z", "1");
    world.write("tree/${{ env.HOME }}", "2");
    output(
        &tool,
        world.path(),
        &["tree", "tree.sqsh", "-noappend", "-quiet", "-no-progress"],
    );
    let spec = described(&world, &["tree.sqsh"]);
    assert!(!spec.contains('\u{1b}'), "{spec}");
    assert!(!spec.contains("${{ env"), "{spec}");
    // The file's own name as well.
    world.write("${{ env.HOME }}\n- x: y", "3");
    described(&world, &["${{ env.HOME }}\n- x: y"]);
}
