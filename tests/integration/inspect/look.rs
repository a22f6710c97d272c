//! `tdg tree`, `tdg ls` and `tdg cat`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::peers::peer;
use crate::talos::{Image, Pack, Tools, initramfs, squashfs};
use crate::world::World;

/// An initramfs with a program, a link and a name that would drive a terminal.
fn world() -> Option<World> {
    let tools = Tools::find()?;
    let world = World::new();
    let root = world.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    fs::write(root.join("a\u{1b}[31mred"), "no\n").unwrap();
    fs::write(root.join("usr/empty"), "").unwrap();
    let extensions = [("spin", "v1.0.0", Image::Full)];
    initramfs(&tools, world.path(), &root, &extensions, Pack::Zstd);
    Some(world)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn tree_reaches_a_program_in_a_file_system_in_a_segment() {
    let Some(world) = world() else { return };
    let ran = world.tdg(&["tree", "--digests", "initramfs"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let line = |name: &str| ran.stdout.lines().find(|line| line.contains(name)).unwrap();
    let program = line("usr/bin/true");
    assert!(program.starts_with("    usr/bin/true  elf ("), "{program}");
    let digest = tdg::model::Sha256Digest::of(&fs::read("/bin/true").unwrap());
    assert!(program.ends_with(&format!("sha256:{digest}")), "{program}");
    assert!(line("rootfs.sqsh").contains("squashfs"), "{}", ran.stdout);
    assert!(line("  bin").contains("bin -> usr/bin"));
    assert!(
        !ran.stdout.contains('\u{1b}'),
        "a name reached the terminal"
    );
    assert!(ran.stdout.contains("\\u{1b}[31mred"), "{}", ran.stdout);

    let ran = world.tdg(&["tree", "initramfs", "--format", "json"]);
    let document = json(&ran.stdout);
    assert_eq!(document["complete"], true);
    let entries = document["entries"].as_array().unwrap();
    let program = entries
        .iter()
        .find(|e| e["path"] == "usr/bin/true")
        .unwrap();
    assert_eq!(program["address"], "initramfs!/rootfs.sqsh!/usr/bin/true");
    assert_eq!(program["depth"], 2);
    assert_eq!(program["size"], fs::metadata("/bin/true").unwrap().len());
}

#[test]
fn tree_says_what_it_could_not_read_and_shows_the_rest() {
    let Some(world) = world() else { return };
    let whole = fs::read(world.path().join("initramfs")).unwrap();
    world.write("cut", &whole[..whole.len() - 7]);
    let ran = world.tdg(&["tree", "cut"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("1 part could not be read in full"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("ERROR"), "{}", ran.stdout);

    let Some(tools) = Tools::find() else { return };
    let root = world.path().join("root");
    fs::write(
        root.join("zz-inner.sqsh"),
        "hsqs, and then nothing of the kind",
    )
    .unwrap();
    squashfs(&tools, &root, &world.path().join("outer.sqsh"));
    let ran = world.tdg(&["tree", "outer.sqsh"]);
    assert_eq!(ran.code, 4);
    let line = |name: &str| ran.stdout.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("zz-inner.sqsh").contains("ERROR"), "{}", ran.stdout);
    assert!(line("usr/bin/true").contains("elf"), "the rest is shown");
    let ran = world.tdg(&["tree", "outer.sqsh", "--format", "json"]);
    assert_eq!(
        (ran.code, &json(&ran.stdout)["complete"]),
        (4, &Value::Bool(false))
    );
}

#[test]
fn ls_lists_one_directory_with_what_is_known_of_each_entry() {
    let Some(world) = world() else { return };
    let ran = world.tdg(&["ls", "initramfs"]);
    let mut names: Vec<_> = ran.stdout.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "0.sqsh",
            "extensions.yaml",
            "init",
            "kernel/",
            "rootfs.sqsh"
        ]
    );
    // Through a link, with a pattern, long.
    let ran = world.tdg(&["ls", "-l", "initramfs!/rootfs.sqsh!/bin/t*"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let size = fs::metadata("/bin/true").unwrap().len().to_string();
    assert!(ran.stdout.starts_with("-rwxr-xr-x"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(&size) && ran.stdout.ends_with("usr/bin/true\n"),
        "{}",
        ran.stdout
    );
    let ran = world.tdg(&["ls", "--merged", "-l", "initramfs"]);
    assert!(
        ran.stdout.contains("usr/local/bin/spin-program  [spin]"),
        "{}",
        ran.stdout
    );
    let ran = world.tdg(&["ls", "initramfs!/rootfs.sqsh!/", "--format", "json"]);
    let entries = json(&ran.stdout)["entries"].clone();
    let link = entries
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["path"] == "bin")
        .unwrap()
        .clone();
    assert_eq!(
        (&link["type"], &link["target"]),
        (&"symlink".into(), &"usr/bin".into())
    );
}

#[test]
fn cat_writes_the_bytes_of_one_file() {
    let Some(world) = world() else { return };
    let mut command = world.command(&["cat", "initramfs!/rootfs.sqsh!/bin/true"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == fs::read("/bin/true").unwrap());
    let ran = world.tdg(&["cat", "initramfs!/rootfs.sqsh!/usr/empty"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let ran = world.tdg(&["cat", "initramfs!/init", "--format", "json"]);
    assert_eq!(json(&ran.stdout)["text"], "#!/bin/sh\n");
}

#[test]
fn what_is_compressed_is_entered_by_the_mark_alone() {
    let Some(world) = world() else { return };
    let Some(gzip) = peer("gzip") else { return };
    world.write("note", "a note\n");
    let status = std::process::Command::new(gzip)
        .current_dir(world.path())
        .arg("note")
        .status();
    assert!(status.unwrap().success());
    assert_eq!(world.tdg(&["cat", "note.gz!/"]).stdout, "a note\n");
    assert_eq!(world.tdg(&["ls", "note.gz!/"]).code, 0);
    let ran = world.tdg(&["cat", "note.gz!/x"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("nothing can be inside"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_address_that_leads_nowhere_says_what_is_there() {
    let Some(world) = world() else { return };
    for (address, said) in [
        (
            "initramfs!/rootfs.sqsh!/usr/bin/fals",
            "in `/usr/bin` there is true",
        ),
        ("initramfs!/*.sqsh!/usr", "covers 2 entries"),
        ("initramfs!/nothing*", "in `/` there is 0.sqsh"),
        ("initramfs!/rootfs.sqsh!/usr/bin", "directory"),
        ("absent!/x", "no such file"),
        ("oci://127.0.0.1:1/image:1!/etc", "no connection"),
        ("initramfs!/init!/x", "nothing can be inside"),
    ] {
        let ran = world.tdg(&["cat", address]);
        assert_eq!(ran.code, 4, "{address}: {}", ran.stdout);
        assert!(ran.stderr.contains(said), "{address}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{address}");
    }
    let ran = world.tdg(&["cat", "initramfs!/../x"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn a_spec_takes_an_address_wherever_it_takes_a_subject() {
    let Some(world) = world() else { return };
    let report = world.run(
        r#"
spec: At any depth
subject: initramfs
checks:
  - name: itself
    file:
    in: initramfs!/rootfs.sqsh!/bin/true
    expect: { present: true, mode: "0755", type: file }
  - name: empty
    file:
    in: initramfs!/rootfs.sqsh!/usr/empty
    expect: { present: true, size: 0, text: "" }
  - name: absent
    file:
    in: initramfs!/rootfs.sqsh!/bin/false
    expect: { present: false }
  - name: below
    elf: "**"
    in: initramfs!/rootfs.sqsh!/usr
    expect: { count: 1, files: { contain: bin/true } }
  - name: listed
    tree: usr/*
    in: initramfs!/rootfs.sqsh
    expect: { count: 2 }
  - name: by a pattern
    file:
    in: initramf*!/extensions.yaml
    expect: { present: true }
  - name: container absent
    file:
    in: initramfs!/absent.sqsh!/bin/false
    expect: { present: false }
"#,
    );
    for check in [
        "itself",
        "empty",
        "absent",
        "below",
        "listed",
        "by a pattern",
    ] {
        assert_eq!(
            report.verdict(check),
            "pass",
            "{check}: {}",
            report.why(check)
        );
    }
    assert_eq!(report.verdict("container absent"), "error");
}
