//! Commands that run again: for which failures, after what wait, and what is said where not.

use super::world::World;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tdg::probe::cache::Cache;

#[test]
fn a_passing_failure_is_tried_again() {
    let world = World::new();
    let script = "{ sh: 'echo x >>$RUNS.net; if [ $(wc -l <$RUNS.net) -lt 3 ]; then echo curl: \\(56\\) connection reset by peer; exit 1; fi' }";
    let retry = "iterate: { remedies: [{ retry: { on: [network], attempts: 3 } }] }\n";
    world.recipe(&format!("[{script}, make]"), retry);
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 1)]);
    assert!(
        told.says("retry 2/3: network: curl: (56) connection reset by peer"),
        "{:?}",
        told.lines
    );
    assert_eq!(world.read("runs.net").lines().count(), 3);
    let did = &told.outcome().variants[0].remedies;
    assert_eq!(did.len(), 2);
    assert_eq!((did[1].remedy.as_str(), did[1].attempt), ("retry", 1));
    assert!(did[1].why.contains("ran again (3 of 3)"), "{did:?}");

    // Without the remedy, and for what no second try mends, once is enough.
    let world = World::new();
    world.recipe(&format!("[{script}, make]"), "");
    assert_eq!(world.run().ends()[0].1, "failed");
    assert_eq!(world.read("runs.net").lines().count(), 1);
    let refused = script.replace("exit 1", "echo 401 Unauthorized; exit 1");
    world.recipe(&format!("[{refused}, make]"), retry);
    fs::remove_file(world.path("runs.net")).unwrap();
    assert_eq!(world.run().ends()[0].1, "failed");
    assert_eq!(world.read("runs.net").lines().count(), 1);
}

/// A project whose first step says something and fails, until it has run so often.
fn says(text: &str, times: u32, retry: &str) -> World {
    let world = World::new();
    let script = format!(
        "{{ sh: 'echo x >>$RUNS.step; if [ $(wc -l <$RUNS.step) -le {times} ]; then echo \"{text}\"; exit 1; fi' }}"
    );
    let iterate = format!("iterate: {{ remedies: [{{ retry: {retry} }}] }}\n");
    world.recipe(&format!("[{script}, make]"), &iterate);
    world
}

fn steps(world: &World) -> usize {
    world.read("runs.step").lines().count()
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_within_bounds() {
    let limit = "toomanyrequests: retry-after: 300ms, allowed: 44000/minute";
    let world = says(limit, 1, "{ on: [rate-limit] }");
    let begin = Instant::now();
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 1)]);
    assert!(told.says("retry 2/3: rate-limit: toomanyrequests"));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(steps(&world), 2);

    // Longer than the bound: not tried, and said.
    let world = says(&limit.replace("300ms", "2h"), 1, "{ on: [rate-limit] }");
    let told = world.run();
    assert_eq!(told.ends()[0].1, "failed");
    assert!(
        told.says("the server asks to wait 2 h 00 m, longer than `max-delay` (15 m 00 s)"),
        "{:?}",
        told.lines
    );
    assert_eq!(steps(&world), 1);

    // A limit is no network: what a recipe does not name is not tried.
    let world = says(limit, 1, "{ on: [network] }");
    assert_eq!(world.run().ends()[0].1, "failed");
    assert_eq!(steps(&world), 1);
}

#[test]
fn no_wait_outlasts_the_budget() {
    let world = says("connection refused", 9, "{ delay: 40s, attempts: 9 }");
    let mut options = world.options();
    options.budget = Some(Duration::from_secs(20));
    let begin = Instant::now();
    let told = world.run_with(&options);
    assert_eq!(told.ends()[0].1, "failed");
    assert!(
        told.says("longer than what is left of the budget"),
        "{:?}",
        told.lines
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn waits_are_the_same_for_the_same_seed() {
    let waits = |seed| {
        let world = says("connection refused", 2, "{ delay: 20ms }");
        let mut options = world.options();
        options.retry_seed = Some(seed);
        let told = world.run_with(&options);
        assert_eq!(told.ends()[0].1, "green");
        let did = told.outcome().variants[0].remedies.clone();
        did.into_iter().map(|r| r.took_ms).collect::<Vec<_>>()
    };
    let first = waits(7);
    assert_eq!(first, waits(7));
    assert!(
        (15..=25).contains(&first[0]) && (30..=50).contains(&first[1]),
        "{first:?}"
    );
}

/// Lays things of tdg's own and of the user's where a full disk makes tdg look.
fn litter(world: &World) -> Arc<Cache> {
    world.write("project/.tdg/work/long-gone/big", &"x".repeat(100_000));
    world.write("project/.tdg/logs/0000/a.log", "old\n");
    world.write("project/.tdg/mine.txt", "the user's\n");
    world.write("project/notes.txt", "the user's\n");
    world.write("cache/v1/objects/k/s", &"x".repeat(50_000));
    Arc::new(Cache::at(&world.path("cache"), 1 << 30))
}

#[test]
fn a_full_disk_is_not_tried_blindly() {
    let full = "tar: x: Cannot write: No space left on device";
    let world = says(full, 1, "{ on: [disk] }");
    let mut options = world.options();
    options.cache = Some(litter(&world));
    let told = world.run_with(&options);
    assert_eq!(told.ends()[0].1, "failed");
    assert_eq!(steps(&world), 1);
    for says in [
        "the disk is full: ",
        " free at .tdg",
        "tdg could clear the old work tree .tdg/work/long-gone (",
        "the old logs .tdg/logs/0000 (",
        "tdg's cache ",
        "with `retry: { on: [disk], clear: true }`",
    ] {
        assert!(told.says(says), "{says}: {:?}", told.lines);
    }
    assert!(world.path("project/.tdg/work/long-gone/big").exists());

    let world = says(full, 1, "{ on: [disk], clear: true }");
    let mut options = world.options();
    options.cache = Some(litter(&world));
    let told = world.run_with(&options);
    assert_eq!(told.ends(), [("default".into(), "green", 1)]);
    assert_eq!(steps(&world), 2);
    for gone in [
        ".tdg/work/long-gone",
        ".tdg/logs/0000",
        "../cache/v1/objects",
    ] {
        assert!(!world.project().join(gone).exists(), "{gone}");
    }
    for kept in [
        ".tdg/mine.txt",
        "notes.txt",
        ".tdg/logs/0001",
        ".tdg/work/default",
    ] {
        assert!(world.project().join(kept).exists(), "{kept}");
    }
    let did = &told.outcome().variants[0].remedies[0];
    assert!(did.why.contains("cleared the old work tree"), "{did:?}");
}

#[test]
fn a_killed_step_runs_again_where_the_recipe_says_so() {
    for (on, end, runs) in [("killed", "green", 2), ("network", "failed", 1)] {
        let world = World::new();
        let script =
            "{ sh: 'echo x >>$RUNS.step; if [ $(wc -l <$RUNS.step) -le 1 ]; then kill -9 $$; fi' }";
        let iterate = format!("iterate: {{ remedies: [{{ retry: {{ on: [{on}] }} }}] }}\n");
        world.recipe(&format!("[{script}, make]"), &iterate);
        assert_eq!(world.run().ends()[0].1, end, "{on}");
        assert_eq!(steps(&world), runs);
    }
}
