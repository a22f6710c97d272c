//! `tdg add`: one check more, and everything else as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::inspect::samples::kernel;
use crate::world::{Ran, World};

const SPEC: &str = "\
# yaml-language-server: $schema=x
spec: The kernel   # a title

vars: { dir: . }
matrix:
  variant: [one, two]
subject: kernel
checks:
  # the first
  - name: it is there
    file:   # itself
    expect:
      present: true   # nothing more

  - {name: it is for arm64, kernel: , expect: {arch: arm64}}
    # the end of the list

# behind it
tags: [x]
";

fn world() -> World {
    let world = World::new();
    world.write("kernel", kernel("6.18.38-talos"));
    world.write("specs/image.yaml", SPEC);
    world
}

fn add(world: &World, arguments: &[&str]) -> Ran {
    let to = ["--to", "specs/image.yaml"];
    world.tdg(&[&["add"], arguments, &to[..]].concat())
}

fn spec(world: &World) -> String {
    fs::read_to_string(world.path().join("specs/image.yaml")).unwrap()
}

/// Nothing was written, and nothing was left behind.
fn untouched(world: &World, before: &str) {
    assert_eq!(spec(world), before);
    let files = fs::read_dir(world.path().join("specs")).unwrap();
    assert_eq!(files.count(), 1, "something was left behind");
}

#[test]
fn a_check_is_appended_and_holds_and_every_other_byte_stays() {
    let world = world();
    world.mode("specs/image.yaml", 0o640);
    let ran = add(&world, &["kernel", "--in", "kernel"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, "added `kernel` to specs/image.yaml\n");
    let now = spec(&world);
    let (before, after) = SPEC.split_once("\n# behind it").unwrap();
    let added = now
        .strip_prefix(before)
        .unwrap()
        .strip_suffix(&format!("\n# behind it{after}"))
        .unwrap();
    insta::assert_snapshot!(added, @r"

  # a kernel: form, machine, compression, version
  - name: kernel
    kernel:
    expect:
      format: image
      arch: arm64
      compression: none
      version: 6.18.38-talos
      page-size: 4096
      big-endian: false
    ");
    let meta = fs::metadata(world.path().join("specs/image.yaml")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o640);
    assert_eq!(world.tdg(&["run"]).code, 0);
    world.write("kernel", kernel("6.18.39-talos"));
    assert_eq!(world.tdg(&["run"]).code, 1);
}

#[test]
fn names_are_numbered_and_a_given_one_that_is_taken_is_refused() {
    let world = world();
    assert_eq!(add(&world, &["kernel", "--in", "kernel"]).code, 0);
    let ran = add(&world, &["kernel", "--in", "kernel"]);
    assert_eq!(ran.stdout, "added `kernel 2` to specs/image.yaml\n");
    let before = spec(&world);
    let ran = add(
        &world,
        &["kernel", "--in", "kernel", "--name", "It is there!"],
    );
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("has a check named `It is there!`"),
        "{}",
        ran.stderr
    );
    untouched(&world, &before);
    let ran = add(
        &world,
        &[
            "kernel",
            "--in",
            "kernel",
            "--name",
            "another: ${{ x }}",
            "--field",
            "arch",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(world.tdg(&["run"]).code, 0);
    let ran = world.tdg(&["list", "--format", "json"]);
    assert!(ran.stdout.contains("another: ${{ x }}"), "{}", ran.stdout);
}

#[test]
fn a_spec_that_is_not_there_is_made() {
    let world = world();
    let arguments = [
        "add",
        "kernel",
        "--in",
        "kernel",
        "--loose",
        "--to",
        "new/the-kernel.yaml",
    ];
    let ran = world.tdg(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = fs::read_to_string(world.path().join("new/the-kernel.yaml")).unwrap();
    assert!(
        text.starts_with("spec: the kernel\nchecks:\n  # a kernel"),
        "{text}"
    );
    assert!(text.contains("    in: kernel\n"), "{text}");
    assert!(
        text.contains("version: { semver: \">=6.18, <7\" }"),
        "{text}"
    );
    assert_eq!(world.tdg(&["run", "new"]).code, 0);
    let ran = world.tdg(&[
        "add",
        "file",
        "kernel",
        "--in",
        ".",
        "--to",
        "new/the-kernel.yaml",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(world.tdg(&["run", "new"]).code, 0);
}

#[test]
fn a_link_to_a_spec_stays_a_link() {
    let world = world();
    symlink("specs/image.yaml", world.path().join("link.yaml")).unwrap();
    let ran = world.tdg(&["add", "kernel", "--in", "kernel", "--to", "link.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        world
            .path()
            .join("link.yaml")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    assert!(spec(&world).contains("- name: kernel\n"));
}

#[test]
fn an_error_leaves_the_file_untouched() {
    let world = world();
    world.write("empty", "");
    world.write("text", "no kernel\n");
    for (arguments, code, said) in [
        (&["kernel", "--in", "absent"][..], 4, "no such file"),
        (&["kernel", "--in", "empty"], 4, "is empty"),
        (&["kernel", "--in", "text"], 4, "not a kernel"),
        (&["initramfs", "--in", "kernel"], 4, "initramfs"),
        (&["kernel"], 2, "needs a subject"),
        (&["tool", "git", "--in", "kernel"], 2, "looks at no subject"),
        (&["kernal", "--in", "kernel"], 2, "did you mean `kernel`?"),
        (&["kernel", "x", "--in", "kernel"], 2, "takes no argument"),
        (
            &["kernel", "--in", "kernel", "--field", "machine"],
            4,
            "sees no `machine`",
        ),
        (&["file", "--arg", "paht=x", "--in", "kernel"], 4, "paht"),
        (
            &["command", "[false, --x]", "--field", "signal"],
            4,
            "nothing that a spec could demand",
        ),
    ] {
        let ran = add(&world, arguments);
        assert_eq!(
            ran.code, code,
            "{arguments:?}: {}{}",
            ran.stdout, ran.stderr
        );
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        untouched(&world, SPEC);
    }
}

#[test]
fn what_differs_from_run_to_run_is_not_written() {
    let world = world();
    let counter = "[sh, -c, 'cat n 2>/dev/null; echo x >> n']";
    let ran = add(&world, &["command", counter]);
    assert_eq!(ran.code, 4, "{}", spec(&world));
    assert!(
        ran.stderr.contains("does not hold, nothing is written"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(".tdg-"), "{}", ran.stderr);
    untouched(&world, SPEC);
}

#[test]
fn a_file_of_another_form_is_left_alone_and_the_check_is_given_to_paste() {
    let world = world();
    for text in [
        "spec: x\nsubject: kernel\nchecks: [{kernel: , expect: {arch: arm64}}]\n",
        "{spec: x, checks: [{kernel: , in: kernel, expect: {arch: arm64}}]}\n",
        "spec: x\nchecks: []\n",
        "spec: x\n",
    ] {
        world.write("specs/image.yaml", text);
        let ran = add(&world, &["kernel", "--in", "kernel"]);
        assert_eq!(ran.code, 3, "{text}: {}", ran.stdout);
        assert!(
            ran.stderr.contains("paste the check where it belongs"),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("\n  - name: kernel\n    kernel:\n"),
            "{}",
            ran.stderr
        );
        untouched(&world, text);
    }
    for text in ["spec: x\nchecks:\n  - a: [\n", "spec: x\nspec: y\n", ""] {
        world.write("specs/image.yaml", text);
        let ran = add(&world, &["kernel", "--in", "kernel"]);
        assert_eq!(ran.code, 3, "{text}: {}", ran.stdout);
        untouched(&world, text);
    }
    // A spec with a mistake stays as it is, and the mistake is said.
    let text = "spec: x\nchecks:\n  - kernle:\n    expect: {arch: arm64}\n";
    world.write("specs/image.yaml", text);
    let ran = add(&world, &["kernel", "--in", "kernel"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("specs/image.yaml:3") && !ran.stderr.contains(".tdg-"),
        "{}",
        ran.stderr
    );
    untouched(&world, text);
}
