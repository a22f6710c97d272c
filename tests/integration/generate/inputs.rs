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
    let (code, said) = loop_once(world, path);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Runs the loop; gives its exit code and what it printed.
fn loop_once(world: &World, path: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tdg"))
        .args(["generate"])
        .current_dir(world.path("project"))
        .env("RUNS", world.path("runs"))
        .env("SLOW", ":")
        .env("PATH", path)
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s).into_owned());
    (output.status.code(), said.concat())
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

/// What is outside of the artifacts, a check that looks at it, and what changes there without a trace
/// in the specs: the second run has to see it, and says that it is not green.
#[test]
fn what_changes_outside_is_seen_by_the_next_run() {
    let outside = std::env::temp_dir().join(format!("tdg-outside-{}", std::process::id()));
    let away = outside.display().to_string();
    fs::create_dir_all(&outside).unwrap();
    let file = |name: &str, text: &str| fs::write(outside.join(name), text).unwrap();
    let checks: &[(&str, &str, &dyn Fn())] = &[
        (
            "a file elsewhere",
            "file: AWAY/a.txt, expect: { text: { match: yes } }",
            &|| file("a.txt", "no\n"),
        ),
        (
            "a subject elsewhere",
            "document: $.a, in: AWAY/a.yaml, expect: { value: 1 }",
            &|| file("a.yaml", "a: 2\n"),
        ),
        (
            "one more file that a pattern covers",
            "file: 'AWAY/*.txt', expect: { count: 1 }",
            &|| file("b.txt", "yes\n"),
        ),
        (
            "one more file of a folder",
            "tree: '*.txt', in: AWAY, expect: { count: 1 }",
            &|| file("b.txt", "yes\n"),
        ),
        (
            "a subject that a pattern finds",
            "document: $.a, in: 'AWAY/*.yaml', expect: { value: 1 }",
            &|| fs::rename(outside.join("a.yaml"), outside.join("z.yml")).unwrap(),
        ),
        (
            "a list of checksums",
            "checksums: AWAY/list, expect: { ok: true }",
            &|| file("a.txt", "no\n"),
        ),
        (
            "where a link leads",
            "file: AWAY/link, expect: { target: a.txt }",
            &|| {
                fs::remove_file(outside.join("link")).unwrap();
                std::os::unix::fs::symlink("same.txt2", outside.join("link")).unwrap();
            },
        ),
        (
            "who may read it",
            "file: AWAY/a.txt, expect: { mode: '0644' }",
            &|| {
                let mode = fs::Permissions::from_mode(0o600);
                fs::set_permissions(outside.join("a.txt"), mode).unwrap();
            },
        ),
        (
            "a file that was not there",
            "file: AWAY/c.txt, expect: { present: false }",
            &|| file("c.txt", ""),
        ),
        (
            "what a command says",
            "command: [cat, AWAY/a.txt], expect: { stdout: { match: yes } }",
            &|| file("a.txt", "no\n"),
        ),
        (
            "a file in the work tree",
            "file: '${{ vars.worktree }}/word.txt', expect: { text: { match: arm64 } }",
            &|| {},
        ),
    ];
    let (world, path) = world();
    for (name, check, change) in checks {
        fs::remove_dir_all(&outside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        file("a.txt", "yes\n");
        file("same.txt2", "yes\n");
        file("a.yaml", "a: 1\n");
        let digest = tdg::model::Sha256Digest::of(b"yes\n");
        file("list", &format!("{digest}  a.txt\n"));
        std::os::unix::fs::symlink("a.txt", outside.join("link")).unwrap();
        let check = check.replace("AWAY", &away);
        let vars = "vars: { worktree: w }\n";
        let spec = SPEC.replace("checks:", &format!("{vars}checks:"));
        world.write(
            "project/specs/a.yaml",
            &format!("{spec}  - {{ name: {name}, {check} }}\n"),
        );
        tdg(&world, &path);
        change();
        if *name == "a file in the work tree" {
            world.write("project/.tdg/work/default/word.txt", "mips\n");
        }
        let (code, said) = loop_once(&world, &path);
        // Red, or an error where there is nothing to look at any more.
        assert!(matches!(code, Some(1 | 4)), "{name}: {said}");
        assert!(said.contains("verify   RED 1 of 2"), "{name}: {said}");
    }
    assert_eq!(world.runs(), 1);
    fs::remove_dir_all(&outside).unwrap();
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
