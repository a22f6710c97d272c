//! Variants that are worked on at once.

use super::world::{Told, World, patch, recipe, told};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tdg::generate::LoopOptions;
use tdg::probe::exec::Cancel;

/// A world whose recipe has a row for each name.
fn world(names: &str, more: &str) -> World {
    let world = World::new();
    let text = recipe("[make]", more);
    let matrix = format!("recipe: test\nmatrix: {{ v: [{names}] }}");
    world.write("project/tdg.yaml", &text.replace("recipe: test", &matrix));
    world
}

fn options(world: &World, slow: &str, jobs: u32) -> LoopOptions {
    let mut options = world.options();
    options.env[1].1 = slow.into();
    options.jobs = Some(jobs);
    options
}

/// Checks that every line of the journal is there once, in order.
pub(crate) fn assert_no_gap(world: &World) {
    let journal = world.read("project/.tdg/journal.jsonl");
    for (number, line) in (1..).zip(journal.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["seq"], number, "{line}");
    }
    assert!(!journal.is_empty());
}

fn ends(told: &Told) -> Vec<(String, &'static str)> {
    told.ends()
        .into_iter()
        .map(|(name, end, _)| (name, end))
        .collect()
}

#[test]
fn two_builds_run_at_once() {
    let world = world("a, b", "");
    // Each waits for the other: one after the other they would wait for ever.
    let meet = format!(
        "cd {0} && touch here-$$(basename $(CURDIR)) && n=0; while [ $$(ls here-* | wc -l) -lt 2 ] && [ $$n -lt 200 ]; do sleep 0.05; n=$$((n+1)); done; [ $$(ls here-* | wc -l) -eq 2 ]",
        world.folder.path().display()
    );
    let told = world.run_with(&options(&world, &meet, 2));
    assert_eq!(
        ends(&told),
        [("a".into(), "green"), ("b".into(), "green")],
        "{:?}",
        told.lines
    );
    assert_eq!(world.runs(), 2);
    assert_eq!(world.read("project/_out/assets/a/image"), "arm64\n");
    assert_eq!(world.read("project/_out/assets/b/image"), "arm64\n");
    assert!(told.says("jobs: 2"), "{:?}", told.lines);
    assert_no_gap(&world);
    let again = world.run_with(&options(&world, &meet, 2));
    assert!(again.outcome().variants.iter().all(|v| v.unchanged));
    assert_eq!(world.runs(), 2);
}

#[test]
fn no_more_are_at_work_than_the_recipe_allows() {
    let world = world("a, b, c, d, e", "iterate: { parallel: 2 }\n");
    let count = world.path("count").display().to_string();
    let slow = format!("echo + >> {count}; sleep 0.2; echo - >> {count}");
    let mut options = options(&world, &slow, 1);
    options.jobs = None;
    let told = world.run_with(&options);
    assert!(
        told.outcome()
            .variants
            .iter()
            .all(|v| v.end.name() == "green"),
        "{:?}",
        told.lines
    );
    let (mut now, mut most) = (0, 0);
    for line in world.read("count").lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(most, 2);
}

#[test]
fn a_shared_patch_that_one_remedy_changes_makes_the_other_work_again() {
    let world = world(
        "a, b",
        "iterate:\n  parallel: 2\n  remedies: [{ run: [./remedy] }]\n",
    );
    world.write("project/patches/01.patch", &patch("amd64", "armv7"));
    // `a` is content with what is there; `b` is not, and its remedy changes what `a` rests on.
    world.write(
        "project/specs/a.spec",
        "the image is an arm | $assets/image | arm\n",
    );
    world.write(
        "project/remedy",
        "#!/bin/sh\nsed -i s/armv7/arm64/ patches/01.patch\n",
    );
    fs::set_permissions(
        world.path("project/remedy"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    world.write("project/specs/b.spec", "ready | $worktree/ready | yes\n");
    let slow = "case $(CURDIR) in */b) [ $$(cat word.txt) = armv7 ] || echo yes > ready;; *) echo yes > ready;; esac";
    let told = world.run_with(&options(&world, slow, 2));
    assert_eq!(
        ends(&told),
        [("a".into(), "green"), ("b".into(), "green")],
        "{:?}",
        told.lines
    );
    for v in ["a", "b"] {
        assert_eq!(
            world.read(&format!("project/_out/assets/{v}/image")),
            "arm64\n"
        );
    }
    assert_no_gap(&world);
}

#[test]
fn what_ends_one_for_good_ends_the_other() {
    let world = world("a, b", "iterate: { parallel: 2 }\n");
    // The build of `a` changes a spec while that of `b` would go on for a minute.
    let slow = format!(
        "case $(CURDIR) in */a) sleep 0.3; echo 'x | skip' >> {};; *) sleep 50;; esac",
        world.path("project/specs/a.spec").display()
    );
    let begin = Instant::now();
    let told = world.run_with(&options(&world, &slow, 2));
    assert!(begin.elapsed() < Duration::from_secs(30));
    let said = told.error();
    assert!(
        said.starts_with("the build changed what decides: specs/a.spec"),
        "{said}"
    );
    assert_no_gap(&world);
}

#[test]
fn cancelled_all_end() {
    let world = world("a, b, c", "");
    let options = options(&world, "sleep 50", 2);
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let begin = Instant::now();
    let told = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(800));
            flag.set();
        });
        told(&options, &cancel)
    });
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(told.outcome().exit_code(), 130);
    assert!(
        told.outcome()
            .variants
            .iter()
            .all(|v| v.end.name() == "interrupted")
    );
}

#[test]
fn a_journal_with_a_gap_is_said_and_not_relied_on() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    assert_eq!(world.runs(), 1);
    let journal = world.read("project/.tdg/journal.jsonl");
    let left: Vec<&str> = journal
        .lines()
        .enumerate()
        .filter(|(i, _)| *i != 6)
        .map(|(_, l)| l)
        .collect();
    world.write(
        "project/.tdg/journal.jsonl",
        &format!("{}\n", left.join("\n")),
    );
    let told = world.run();
    assert!(
        told.says(
            "note: the journal does not say all that happened (line 7 has the number 8, after 6"
        ),
        "{:?}",
        told.lines
    );
    assert_eq!(told.ends()[0].1, "green");
    assert!(!told.outcome().variants[0].unchanged);
}
