//! What each stage rests on, seen through the program itself.

use super::world::{World, patch, recipe};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SPEC: &str = "\
spec: The image
checks:
  - name: it is arm64
    file: _out/assets/image
    expect: { present: true, text: { match: arm64 } }
";

/// Runs the loop as a person does; gives what it printed.
fn tdg(world: &World, path: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tdg"))
        .args(["generate"])
        .current_dir(world.path("project"))
        .env("RUNS", world.path("runs"))
        .env("SLOW", ":")
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// Names the stages that ran.
fn ran(said: &str) -> Vec<&str> {
    let lines = said.lines().filter(|l| l.contains(" ok "));
    lines.filter_map(|l| l.split_whitespace().next()).collect()
}

fn world() -> (World, String) {
    let world = World::new();
    fs::remove_file(world.path("project/specs/a.spec")).unwrap();
    world.write("project/specs/a.yaml", SPEC);
    (world, std::env::var("PATH").unwrap())
}

#[test]
fn only_what_changed_runs_again() {
    let (world, path) = world();
    let all = ["source", "patch", "build", "collect", "verify"];
    assert_eq!(ran(&tdg(&world, &path)), all);
    assert_eq!(ran(&tdg(&world, &path)), [""; 0]);
    let spec = SPEC.replace("it is arm64", "it is for arm64");
    world.write("project/specs/a.yaml", &spec);
    assert_eq!(ran(&tdg(&world, &path)), ["verify"]);
    world.write("project/patches/01.patch", &patch("amd64", "arm64v8"));
    assert_eq!(ran(&tdg(&world, &path)), all[1..]);
    assert_eq!(world.runs(), 2);
}

#[test]
fn a_check_that_looks_elsewhere_is_not_left_out() {
    let (world, path) = world();
    let more =
        "  - name: the notes say so\n    file: notes.txt\n    expect: { text: { match: yes } }\n";
    world.write("project/specs/a.yaml", &format!("{SPEC}{more}"));
    world.write("project/notes.txt", "yes\n");
    tdg(&world, &path);
    assert_eq!(ran(&tdg(&world, &path)), [""; 0]);
    world.write("project/notes.txt", "yes, still\n");
    assert_eq!(ran(&tdg(&world, &path)), ["verify"]);
    // Nobody knows what a command looks at.
    let more = "  - name: it runs\n    command: [\"true\"]\n    expect: { exit-code: 0 }\n";
    world.write("project/specs/a.yaml", &format!("{SPEC}{more}"));
    tdg(&world, &path);
    assert_eq!(ran(&tdg(&world, &path)), ["verify"]);
    assert_eq!(world.runs(), 1);
}

#[test]
fn another_program_builds_again() {
    let (world, path) = world();
    world.write("project/tdg.yaml", &recipe("[make, note]", ""));
    let tool = |text: &str| {
        world.write("bin/note", &format!("#!/bin/sh\n: {text}\n"));
        fs::set_permissions(world.path("bin/note"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    tool("one");
    let path = format!("{}:{path}", world.path("bin").display());
    tdg(&world, &path);
    assert_eq!(ran(&tdg(&world, &path)), [""; 0]);
    tool("two");
    assert_eq!(
        ran(&tdg(&world, &path)),
        ["patch", "build", "collect", "verify"]
    );
}

#[test]
fn a_step_has_a_time_of_its_own() {
    let world = World::new();
    let step = "[{ run: sleep 50, timeout: 300ms }, make]";
    world.write(
        "project/tdg.yaml",
        &recipe(step, "iterate: { max-attempts: 1 }\n"),
    );
    let told = world.run();
    assert_eq!(told.ends()[0].1, "failed");
    assert!(
        told.says("`sleep 50`: ended: the step's timeout of 300 ms is up"),
        "{:?}",
        told.lines
    );
    assert_eq!(world.runs(), 0);
}
