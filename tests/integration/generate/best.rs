//! The best attempt is kept, and what is worse is rolled back.

use super::world::{World, patch};
use serde_json::{Value, json};
use std::fs;

/// A world whose patch makes `word`, and whose specs want an a, a b and a c in it.
fn world(word: &str, script: &str, more: &str) -> World {
    let world = World::new();
    world.makes(word);
    let want = |letter| format!("{letter} is in it | $assets/image | {letter}\n");
    let specs: String = ["a", "b", "c"].map(want).concat();
    world.write("project/specs/a.spec", &specs);
    world.remedy(
        &format!(
            "n=$(ls ../told-* 2>/dev/null | wc -l)\ncat >../told-$n\ncp patches/01.patch ../patch-$n\n\
             cp .tdg/remedy/default/*/word.txt ../tree-$n\nto() {{ sed -i \"s/^+[a-z]*$/+$1/\" patches/01.patch; }}\n{script}"
        ),
        more,
    );
    world
}

fn told(world: &World, number: u32) -> Value {
    serde_json::from_str(&world.read(&format!("told-{number}"))).unwrap()
}

#[test]
fn a_regression_is_rolled_back_before_the_next_remedy() {
    let world = world("ab", "case $n in 0) to a;; *) to abc;; esac", "");
    let seen = world.run();
    assert_eq!(
        seen.ends(),
        [("default".into(), "green", 3)],
        "{:?}",
        seen.lines
    );
    assert_eq!(told(&world, 0)["rolled_back"], Value::Null);
    let second = told(&world, 1);
    let replaced = ".tdg/replaced/0001/default-attempt-2";
    let want = json!({
        "attempt": 2, "to": 1, "replaced": replaced,
        "red": ["a::b-is-in-it", "a::c-is-in-it"],
    });
    assert_eq!(second["rolled_back"], want);
    // What it is asked to mend is the best, and so are the patches and the tree it finds.
    assert_eq!(second["failures"].as_array().unwrap().len(), 1);
    assert_eq!(second["failures"][0]["trial"], "a::c-is-in-it");
    assert_eq!(second["failures"][0]["verdict"], "fail");
    assert_eq!(world.read("patch-1"), patch("amd64", "ab"));
    assert_eq!(world.read("tree-1"), "ab\n");
    let kept = world.read(&format!("project/{replaced}/patches/01.patch"));
    assert_eq!(kept, patch("amd64", "a"));
    assert!(!world.path("project/.tdg/best/default").exists());
    super::parallel::assert_no_gap(&world);
}

#[test]
fn at_a_red_end_the_best_is_in_place() {
    let world = world(
        "b",
        "case $n in 0) to ab;; *) to bbb;; esac",
        "  max-attempts: 3\n",
    );
    let seen = world.run();
    assert_eq!(
        seen.ends(),
        [("default".into(), "red", 3)],
        "{:?}",
        seen.lines
    );
    assert_eq!(world.read("project/patches/01.patch"), patch("amd64", "ab"));
    let outcome = &seen.outcome().variants[0];
    let best = outcome.best.as_ref().unwrap();
    assert_eq!(best.attempt, 2);
    let replaced = best.replaced.as_deref().unwrap();
    assert_eq!(replaced, ".tdg/replaced/0001/default-attempt-3");
    let kept = world.read(&format!("project/{replaced}/patches/01.patch"));
    assert_eq!(kept, patch("amd64", "bbb"));
    // What is told is wrong with what is in place.
    let red: Vec<&str> = outcome.failures.iter().map(|f| f.trial.as_str()).collect();
    assert_eq!(red, ["a::c-is-in-it"]);
    let best = fs::read_dir(world.path("project/.tdg/best/default")).unwrap();
    assert_eq!(best.count(), 1);
}

#[test]
fn a_circle_through_a_rollback_is_stuck() {
    let world = world("ab", "to a", "");
    let seen = world.run();
    assert_eq!(
        seen.ends(),
        [("default".into(), "stuck", 2)],
        "{:?}",
        seen.lines
    );
    assert!(
        seen.says("again what they were in attempt 2"),
        "{:?}",
        seen.lines
    );
    assert_eq!(world.runs(), 2);
    assert_eq!(world.read("project/patches/01.patch"), patch("amd64", "ab"));
}

#[test]
fn after_a_rollback_the_others_come_first() {
    let world = world("ab", "to a", "");
    world.write("project/other", "sed -i 's/^+ab$/+abc/' patches/01.patch\n");
    world.in_recipe(
        "{ run: [./remedy] }",
        "{ run: [./remedy] }, { run: [sh, other] }",
    );
    let seen = world.run();
    assert_eq!(
        seen.ends(),
        [("default".into(), "green", 3)],
        "{:?}",
        seen.lines
    );
    let remedies = &seen.outcome().variants[0].remedies;
    let names: Vec<&str> = remedies.iter().map(|r| r.remedy.as_str()).collect();
    assert_eq!(names, ["./remedy", "sh other"]);
}

#[test]
fn a_swap_of_one_red_trial_for_another_is_no_progress() {
    let world = world("ab", "case $n in 0) to ac;; *) to abc;; esac", "");
    let seen = world.run();
    assert_eq!(
        seen.ends(),
        [("default".into(), "green", 3)],
        "{:?}",
        seen.lines
    );
    assert_eq!(
        told(&world, 1)["rolled_back"]["red"],
        json!(["a::b-is-in-it"])
    );
}
