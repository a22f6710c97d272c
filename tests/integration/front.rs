//! Specs as the tests of a crate: what `cargo test`, nextest and editors see.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::peers::{output, peer};
use crate::world::{Ran, World, ran};

/// The project's own test program, `tests/specs.rs`, run in another folder.
fn specs(world: &World, arguments: &[&str], strict: bool) -> Option<Ran> {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    let mut programs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("specs-") && path.extension().is_none()
        })
        .collect();
    let built = |path: &std::path::PathBuf| path.metadata().unwrap().modified().unwrap();
    programs.sort_by_key(built);
    let Some(program) = programs.pop() else {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|v| v == "1");
        assert!(!strict, "build tests/specs.rs as well: cargo test");
        return None;
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(world.path());
    for name in ["TDG_STRICT", "CI", "NEXTEST"] {
        command.env_remove(name);
    }
    if strict {
        command.env("TDG_STRICT", "1");
    }
    Some(ran(&mut command))
}

fn world() -> World {
    let world = World::new();
    world.write("a.txt", "hello");
    world.write(
        "specs/deep/it.yaml",
        "
spec: it
matrix: { v: [x, y] }
checks:
  - { name: it passes, id: first, file: a.txt, expect: { present: true } }
  - { name: it fails, needs: first, file: a.txt, expect: { size: { ge: 1 MiB } } }
  - { name: it is skipped, requires: [no-such-program-here], file: a.txt, expect: { present: true } }
  - { name: it cannot be judged, kernel: , in: nowhere, expect: { arch: arm64 } }
",
    );
    world
}

#[test]
fn trials_are_tests() {
    let world = world();
    let Some(mut all) = specs(&world, &[], false) else {
        return;
    };
    all.stdout = all
        .stdout
        .split(' ')
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(all.code, 101, "{}", all.stdout);
    for line in [
        "running 8 tests",
        "deep/it::it-passes[v=x] ... ok",
        "deep/it::it-fails[v=y] ... FAILED",
        "deep/it::it-cannot-be-judged[v=x] ... FAILED",
        "2 passed; 4 failed; 2 ignored",
        "at least 1.0 MiB (1048576 bytes)",
        "specs/deep/it.yaml:6:",
        "could not be judged",
    ] {
        assert!(all.stdout.contains(line), "{line}: {}", all.stdout);
    }
    // A skip is shown as ignored, with its reason.
    let skipped = all
        .stdout
        .lines()
        .find(|l| l.contains("it-is-skipped[v=x]"));
    let skipped = skipped.unwrap();
    assert!(skipped.contains("ignored"), "{skipped}");
    assert!(
        skipped.contains("no-such-program-here, which is not on PATH"),
        "{skipped}"
    );
    // And as a failure where the machine has to be complete.
    let strict = specs(&world, &["skipped"], true).unwrap();
    assert_eq!(strict.code, 101);
    assert!(
        strict.stdout.contains("2 failed; 0 ignored"),
        "{}",
        strict.stdout
    );
}

#[test]
fn names_and_filters_are_those_of_cargo_test() {
    let world = world();
    if specs(&world, &["--list"], false).is_none() {
        return;
    }
    let run = |arguments: &[&str]| {
        let ran = specs(&world, arguments, false).unwrap();
        let line = ran.stdout.lines().rfind(|l| l.starts_with("test result"));
        let line = line.unwrap().split("; 0 measured").next().unwrap();
        (ran.code, line.rsplit(". ").next().unwrap().to_owned())
    };
    assert_eq!(
        run(&["passes"]),
        (0, "2 passed; 0 failed; 0 ignored".into())
    );
    assert_eq!(
        run(&["[v=x]", "--skip", "fails", "--skip", "judged"]).1,
        "1 passed; 0 failed; 1 ignored"
    );
    let one = "deep/it::it-passes[v=y]";
    assert_eq!(
        run(&["--exact", one]),
        (0, "1 passed; 0 failed; 0 ignored".into())
    );
    // As nextest asks: by the line of the list.
    let listed = specs(&world, &["--list", "--format", "terse"], false).unwrap();
    let names: Vec<&str> = listed
        .stdout
        .lines()
        .filter_map(|l| l.strip_suffix(": test"))
        .collect();
    assert_eq!(names.len(), 8, "{}", listed.stdout);
    for name in names {
        let (_, line) = run(&["--exact", name, "--nocapture"]);
        let count = |n: &str| line.matches(n).count();
        assert_eq!(count("1 "), 1, "{name}: {line}");
    }
    // Nothing is known to be ignored before it is looked at.
    assert_eq!(
        run(&["--ignored"]),
        (0, "0 passed; 0 failed; 0 ignored".into())
    );
    let ignored = specs(&world, &["--list", "--format", "terse", "--ignored"], false).unwrap();
    assert_eq!(ignored.stdout.trim(), "");
}

#[test]
fn listing_touches_no_subject() {
    let Some(mkfifo) = peer("mkfifo") else { return };
    let world = World::new();
    output(&mkfifo, world.path(), &["fifo"]);
    world.write(
        "specs/it.yaml",
        "
spec: it
subject: fifo
checks:
  - { name: a, kernel: , expect: { arch: arm64 } }
  - { name: b, command: [touch, made], expect: { exit-code: 0 } }
  - { name: c, requires: { tools: [git >=1], files: [fifo] }, tree: , snapshot: true }
",
    );
    let begin = Instant::now();
    if let Some(ran) = specs(&world, &["--list"], false) {
        assert_eq!(ran.stdout.lines().count(), 3);
    }
    assert_eq!(world.tdg(&["list"]).stdout.lines().count(), 3);
    let json = world.tdg(&["list", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["trials"].as_array().unwrap().len(), 3);
    assert_eq!(json["trials"][0]["subject"], "fifo");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(!world.path().join("made").exists());
    assert!(!world.path().join("specs/snapshots").exists());
}

#[test]
fn a_bad_spec_is_no_green_test_run() {
    let world = World::new();
    world.write(
        "specs/it.yaml",
        "spec: it\nchecks:\n  - { name: a, kernal: , expect: { arch: x } }\n",
    );
    for arguments in [&[][..], &["--list"], &["nothing-like-it"]] {
        let Some(ran) = specs(&world, arguments, false) else {
            return;
        };
        assert_eq!(ran.code, 3, "{}", ran.stdout);
        assert!(
            ran.stderr.contains("did you mean `kernel`?"),
            "{}",
            ran.stderr
        );
    }
    // Nor is a folder without a spec.
    let empty = World::new();
    assert_eq!(specs(&empty, &[], false).unwrap().code, 3);
}

#[test]
fn names_do_not_change_with_what_is_there() {
    let world = world();
    let list = || specs(&world, &["--list"], false).map(|ran| ran.stdout);
    let Some(before) = list() else { return };
    std::fs::remove_file(world.path().join("a.txt")).unwrap();
    assert_eq!(list().as_ref(), Some(&before));
    insta::assert_snapshot!(before, @r"
    [file] deep/it::it-passes[v=x]: test
    [file] deep/it::it-fails[v=x]: test
    [file] deep/it::it-is-skipped[v=x]: test
    [kernel] deep/it::it-cannot-be-judged[v=x]: test
    [file] deep/it::it-passes[v=y]: test
    [file] deep/it::it-fails[v=y]: test
    [file] deep/it::it-is-skipped[v=y]: test
    [kernel] deep/it::it-cannot-be-judged[v=y]: test
    ");
}
