//! Candidates: the first that is green counts, the lock says which, and the report keeps the rest.

use super::world::Played;
use super::world::{World, git};
use tdg::generate::{Stage, VariantEnd, VariantPlan, plan_loop};
use tdg::probe::exec::Cancel;

/// A world whose upstream has three tags; the patch applies to `v1` only.
fn world(iterate: &str) -> World {
    let world = World::new();
    let upstream = world.path("upstream");
    for tag in ["v2", "v3"] {
        world.write("upstream/word.txt", &format!("word of {tag}\n"));
        git(&upstream, &["commit", "--quiet", "--all", "-m", tag]);
        git(&upstream, &["tag", tag]);
    }
    world.recipe("[make]", iterate);
    world.in_recipe("ref: v1", "ref: v3");
    world
}

#[test]
fn the_first_that_is_green_counts_and_is_locked() {
    let world = world("iterate: { remedies: [{ candidates: { ref: [v2, v1] } }] }\n");
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 1)]);
    let outcome = &told.outcome().variants[0];
    assert_eq!(outcome.candidate.as_deref(), Some("v1"));
    let failed: Vec<_> = outcome
        .candidates
        .iter()
        .map(|c| c.candidate.as_str())
        .collect();
    assert_eq!(failed, ["v3", "v2"]);
    for failed in &outcome.candidates {
        assert_eq!(failed.end, VariantEnd::Failed);
        assert!(
            failed.failures[0]
                .message
                .contains("01.patch does not apply"),
            "{failed:?}"
        );
    }
    let commit = git(&world.path("upstream"), &["rev-parse", "v1"]);
    let lock = world.read("project/tdg.lock");
    assert!(
        lock.contains("[candidates.default]\ncandidate = \"v1\"")
            && lock.contains(&format!("ref = \"v1\"\ncommit = \"{commit}\"")),
        "{lock}"
    );
    assert!(!lock.contains("[source]"), "{lock}");
    assert_eq!(world.runs(), 1);

    // Again: what was green comes first, and nothing is done.
    let told = world.run();
    assert!(told.outcome().variants[0].unchanged, "{:?}", told.lines);
    assert_eq!(told.outcome().variants[0].candidates, []);
    assert_eq!(world.read("project/tdg.lock"), lock);
    assert_eq!(world.runs(), 1);
    // The tag moves; the lock holds.
    git(&world.path("upstream"), &["tag", "-f", "v1", "v3"]);
    assert!(world.run().outcome().variants[0].unchanged);
}

#[test]
fn where_none_is_green_nothing_is_locked_and_every_failure_is_told() {
    let world = world("iterate: { remedies: [{ candidates: { ref: [v2] } }] }\n");
    let told = world.run();
    assert_eq!(told.ends()[0].1, "failed");
    let outcome = &told.outcome().variants[0];
    assert_eq!(outcome.candidate, None);
    assert_eq!(outcome.candidates.len(), 2);
    assert!(
        outcome
            .why
            .starts_with("no candidate is green (2 of 2 tried: v3, v2); the last: "),
        "{}",
        outcome.why
    );
    assert_eq!(told.outcome().exit_code(), 1);
    assert!(!world.path("project/tdg.lock").exists());
}

#[test]
fn the_recipes_own_is_locked_as_ever() {
    let world = world("iterate: { remedies: [{ candidates: { ref: [v2] } }] }\n");
    world.in_recipe("ref: v3", "ref: v1");
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 1)]);
    let lock = world.read("project/tdg.lock");
    assert!(
        lock.contains("[source]") && !lock.contains("candidates"),
        "{lock}"
    );
    assert!(world.run().outcome().variants[0].unchanged);
}

#[test]
fn values_of_a_variable_are_candidates_too() {
    let world = World::new();
    let iterate = "vars: { word: none }\niterate: { remedies: [{ candidates: { var: word, values: [armv7, arm64] } }] }\n";
    let step = "[{ sh: 'make; echo ${{ vars.word }} >out/image' }]";
    world.recipe(step, iterate);
    let told = world.run();
    assert_eq!(
        told.ends(),
        [("default".into(), "green", 1)],
        "{:?}",
        told.lines
    );
    let outcome = &told.outcome().variants[0];
    assert_eq!(outcome.candidate.as_deref(), Some("arm64"));
    assert_eq!(outcome.candidates[0].candidate, "armv7");
    assert_eq!(
        outcome.candidates[0].failures[0].mismatches[0].actual,
        "armv7"
    );
    assert!(
        world
            .read("project/tdg.lock")
            .contains("candidate = \"arm64\"")
    );
    assert!(world.run().outcome().variants[0].unchanged);
    assert_eq!(world.runs(), 2);
}

#[test]
fn each_begins_with_the_patches_as_they_were() {
    let script = "if grep -q v3 $TDG_PROJECT/patches/01.patch; then exit 0; fi; \
        sed -i 's/-amd64/-word of v3/; s/+arm64/+armv3/' patches/01.patch";
    let world = world("");
    world.remedy(script, "");
    world.in_recipe("ref: v1", "ref: v3");
    world.in_recipe("remedies: [", "remedies: [{ candidates: { ref: [v1] } }, ");
    let told = world.run();
    // The remedy makes it apply to v3, where it is red; for v1 it is the patch it was.
    assert_eq!(
        told.ends(),
        [("default".into(), "green", 1)],
        "{:?}",
        told.lines
    );
    assert!(
        told.says("patches/01.patch put back for the next candidate"),
        "{:?}",
        told.lines
    );
    assert!(world.read("project/patches/01.patch").contains("+arm64"));
}

#[test]
fn an_interrupted_loop_goes_on_with_the_candidate_it_was_at() {
    let world = world("iterate: { remedies: [{ candidates: { ref: [v2, v1] } }] }\n");
    let mut options = world.options();
    options.env[1].1 = "touch $(RUNS).began; sleep 30".into();
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !world.path("runs.began").exists() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            cancel.set();
        });
        let told = super::world::told(&options, &cancel);
        assert_eq!(told.ends()[0].1, "interrupted", "{:?}", told.lines);
    });
    let mut options = world.options();
    options.resume = true;
    let told = world.run_with(&options);
    assert_eq!(
        told.ends(),
        [("default".into(), "green", 1)],
        "{:?}",
        told.lines
    );
    assert!(!told.says("candidate v2"), "{:?}", told.lines);
    let outcome = &told.outcome().variants[0];
    assert_eq!(outcome.candidate.as_deref(), Some("v1"));
    assert_eq!(outcome.candidates.len(), 2);
}

#[test]
fn a_dry_run_says_what_is_done_with_the_candidate_that_comes_first() {
    let dry = |world: &World| -> VariantPlan {
        let plan = plan_loop(&world.options(), &Played::default()).unwrap();
        plan.variants.into_iter().next().unwrap()
    };
    let due = |plan: &VariantPlan| -> Vec<Stage> {
        let due = plan.stages.iter().filter(|s| s.why.is_some());
        due.map(|s| s.stage).collect()
    };
    let world = world("iterate: { remedies: [{ candidates: { ref: [v2, v1] } }] }\n");
    // Before the first loop that is the recipe's own.
    let plan = dry(&world);
    assert_eq!(plan.candidate.as_deref(), Some("v3"));
    assert!(plan.stages[0].what[0].ends_with(" v3"), "{plan:?}");
    assert!(!world.path("project/.tdg").exists());
    world.run().outcome();
    // Then the one that is locked, with which nothing is to be done.
    let plan = dry(&world);
    assert_eq!(plan.candidate.as_deref(), Some("v1"));
    assert_eq!(due(&plan), [], "{plan:?}");
    world.makes("arm64e");
    assert_eq!(due(&dry(&world))[0], Stage::Patch);
    world.makes("arm64");
    // One that is not listed any more counts no more.
    world.in_recipe("[v2, v1]", "[v2]");
    assert_eq!(dry(&world).candidate.as_deref(), Some("v3"));

    let world = World::new();
    let iterate = "vars: { word: none }\niterate: { remedies: [{ candidates: { var: word, values: [arm64, armv7] } }] }\n";
    let step = "[{ sh: 'make; echo ${{ vars.word }} >out/image' }]";
    world.recipe(step, iterate);
    let plan = dry(&world);
    assert_eq!(plan.candidate.as_deref(), Some("arm64"));
    assert!(plan.stages[2].what[0].contains("echo arm64"), "{plan:?}");
    world.run().outcome();
    assert_eq!(due(&dry(&world)), []);
}
