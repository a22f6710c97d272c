//! SIGKILL at random moments, two variants at once: `--resume` ends in the same place.
//!
//! `TDG_KILLS` says how many, `TDG_SEED` repeats a run.

use super::interrupted::{at_work_in, start};
use super::parallel::assert_no_gap;
use super::world::{World, git, patch, recipe};
use crate::kills::Kills;
use std::time::{Duration, Instant};

/// A world of two variants; the first remedy makes it worse, the second mends it.
fn world() -> World {
    let world = World::in_memory();
    for v in ["x", "y"] {
        world.write(
            &format!("project/patches/{v}.series"),
            &format!("{v}.patch\n"),
        );
        let word = format!("ab{v}");
        world.write(
            &format!("project/patches/{v}.patch"),
            &patch("amd64", &word),
        );
    }
    let want = |letter| format!("{letter} is in it | $assets/image | {letter}\n");
    let specs: String = ["a", "b", "c"].map(want).concat();
    world.write("project/specs/a.spec", &specs);
    // What it does depends on nothing but what it is told.
    world.remedy(
        "told=$(cat); case $told in *'\"rolled_back\":null'*) to=a;; *) to=abc;; esac\n\
         case $told in *'\"variant\":\"x\"'*) v=x;; *) v=y;; esac\n\
         sleep 0.05; echo '# half' >>patches/$v.series; sleep 0.05; sed -i \"s/^+[a-z]*$/+$to$v/\" patches/$v.patch; sleep 0.05",
        "",
    );
    let iterate = "iterate:\n  parallel: 2\n  remedies: [{ run: [./remedy] }]\npackage: { oci: r.example/team/image, tags: ['${{ build.variant }}'] }\n";
    let text = recipe("[make]", iterate);
    let text = text.replace("recipe: test", "recipe: test\nmatrix: { v: [x, y] }");
    let text = text.replace("patches/series", "patches/${{ matrix.v }}.series");
    world.write("project/tdg.yaml", &text);
    world
}

/// What has to be the same whatever happened on the way.
fn place(world: &World) -> Vec<String> {
    let mut place = Vec::new();
    for v in ["x", "y"] {
        place.push(world.read(&format!("project/patches/{v}.patch")));
        let tree = world.path(&format!("project/.tdg/work/{v}"));
        place.push(git(&tree, &["rev-parse", "HEAD^{tree}"]));
        place.push(world.read(&format!("project/_out/assets/{v}/image")));
        place.push(world.read(&format!("project/_out/package/{v}/index.json")));
    }
    place
}

/// Counts the remedies that began and did not end, by the journal.
fn remedies_at_work(world: &World) -> usize {
    let journal = world.read("project/.tdg/journal.jsonl");
    let count = |name: &str| journal.matches(&format!("\"record\":{{\"{name}\"")).count();
    let ended = count("remedy-finished") + count("remedy-undone");
    count("remedy-started").saturating_sub(ended)
}

/// Waits until a remedy begins, or the loop ends without one.
fn remedy_begins(world: &World, child: &mut std::process::Child) {
    let begin = Instant::now();
    let open = remedies_at_work(world);
    while begin.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none() {
        // What was open is undone first.
        let journal = world.read("project/.tdg/journal.jsonl");
        let last = journal.rfind("\"loop-resumed\"").unwrap_or(0);
        if journal[last..].contains("remedy-started") && (open == 0 || last > 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn killed_at_random_moments_two_variants_end_in_the_same_place() {
    let mut kills = Kills::new(20, 0x7d67_0001);
    let whole = world();
    let begin = Instant::now();
    assert_eq!(
        start(whole.folder.path()).wait().unwrap().code(),
        Some(0),
        "{}",
        whole.read("said")
    );
    let time = begin.elapsed();
    eprintln!("a run takes {time:?}");
    let want = place(&whole);
    assert_eq!(want[2], "abcx\n");
    assert!(want[3].contains("sha256:"));
    let (mut hit, mut in_remedies, mut worlds) = (0, 0, 0);
    while hit < kills.count {
        let world = world();
        let folder = world.folder.path();
        worlds += 1;
        for nth in 0..10.min(kills.count - hit) {
            let mut child = start(folder);
            // Some of them come while a remedy is at work, whenever that is.
            if nth % 4 == 3 {
                remedy_begins(&world, &mut child);
                std::thread::sleep(kills.moment(Duration::from_millis(200)));
            } else {
                std::thread::sleep(kills.moment(time / 2));
            }
            let running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            in_remedies += u64::from(running && remedies_at_work(&world) > 0);
            hit += u64::from(running);
            if !running {
                break;
            }
        }
        let begin = Instant::now();
        assert_eq!(
            start(folder).wait().unwrap().code(),
            Some(0),
            "world {worlds}: {}",
            world.read("said")
        );
        assert!(begin.elapsed() < Duration::from_secs(120));
        assert_eq!(
            place(&world),
            want,
            "world {worlds}: {}",
            world.read("said")
        );
        assert_no_gap(&world);
        assert_eq!(at_work_in(folder), Vec::<String>::new(), "world {worlds}");
        assert_eq!(world.read("project/.tdg/loop.lock"), "", "world {worlds}");
    }
    eprintln!("{hit} kills in {worlds} worlds, {in_remedies} of them during a remedy");
    assert!(kills.count < 8 || in_remedies > 0);
}
