//! Killed at any moment, a loop goes on where it was and leaves nothing behind.

use super::world::{World, patch, told};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tdg::generate::{LoopOptions, VariantEnd};
use tdg::probe::exec::{Cancel, watch_signals};

const WORLD: &str = "TDG_TEST_WORLD";
const EXIT: &str = "TDG_TEST_EXIT";

/// Gives the options of a loop whose make is slow enough to be hit.
fn options(folder: &Path) -> LoopOptions {
    let mut options = LoopOptions::new(folder.join("project/tdg.yaml"));
    let env = |name: &str, value: String| (name.to_owned(), value);
    options.env = vec![
        env("RUNS", folder.join("runs").display().to_string()),
        env("SLOW", "setsid sleep 0.2 & sleep 0.1; wait".into()),
    ];
    options.resume = true;
    options
}

/// The loop in a process of its own, where a test asks for it; nothing to see otherwise.
#[test]
fn a_loop_of_its_own() {
    let Some(folder) = std::env::var_os(WORLD).map(PathBuf::from) else {
        return;
    };
    let cancel = watch_signals().unwrap();
    let told = told(&options(&folder), &cancel);
    let code = match &told.result {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => error.exit_code(),
    };
    fs::write(
        folder.join("said"),
        format!("{:?}\n{}", told.result, told.lines.join("\n")),
    )
    .unwrap();
    if std::env::var_os(EXIT).is_some() {
        std::process::exit(code.into());
    }
    assert_eq!(code, 0, "{:?}\n{}", told.result, told.lines.join("\n"));
}

pub(crate) fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "generate::interrupted::a_loop_of_its_own",
            "--nocapture",
        ])
        .env(WORLD, folder)
        .env(EXIT, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lists the processes that work in a folder or were told of it.
pub(crate) fn at_work_in(folder: &Path) -> Vec<String> {
    let name = folder.display().to_string();
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.chars().all(|c| c.is_ascii_digit()) || pid == own {
            continue;
        }
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let told = String::from_utf8_lossy(&environ).contains(&name);
        if told || cwd.starts_with(folder) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!(
                "{pid} {}",
                String::from_utf8_lossy(&line).replace('\0', " ")
            ));
        }
    }
    found
}

/// A world that needs two attempts and a remedy.
fn world() -> World {
    let world = World::new();
    world.write("project/patches/01.patch", &patch("amd64", "armv7"));
    world.remedy(
        "sleep 0.05; echo '# half' >>patches/series; sleep 0.05; sed -i s/armv7/arm64/ patches/01.patch; sleep 0.05",
        "",
    );
    world
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_place() {
    let whole = world();
    let begin = Instant::now();
    assert_eq!(start(whole.folder.path()).wait().unwrap().code(), Some(0));
    let time = begin.elapsed();
    let want = whole.read("project/_out/assets/image");
    assert_eq!(want, "arm64\n");

    let mut hit = 0;
    let rounds = std::env::var("TDG_TEST_ROUNDS").map_or(7, |n| n.parse().unwrap());
    for round in 0..rounds {
        let world = world();
        let folder = world.folder.path();
        // Spread over the whole run, each world killed up to three times.
        for strike in 0..3 {
            let mut child = start(folder);
            let after = time.mul_f64(f64::from((round * 3 + strike * 7) % 20 + 1) / 21.0);
            std::thread::sleep(after);
            let running = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            hit += u32::from(running);
        }
        let code = start(folder).wait().unwrap().code();
        assert_eq!(code, Some(0), "round {round}: {}", world.read("said"));
        assert_eq!(
            world.read("project/_out/assets/image"),
            want,
            "round {round}"
        );
        let patch_now = world.read("project/patches/01.patch");
        assert_eq!(patch_now, patch("amd64", "arm64"), "round {round}");
        assert_eq!(at_work_in(folder), Vec::<String>::new(), "round {round}");
        let record = world.read("project/.tdg/records/default.json");
        assert!(
            record.contains("\"fresh\": true"),
            "round {round}: {record}"
        );
        // Done is done: nothing is due any more.
        let again = told(&options(folder), &Cancel::new());
        assert!(
            again.outcome().variants[0].unchanged,
            "round {round}: {:?}",
            again.lines
        );
    }
    assert!(
        hit >= rounds,
        "{hit} kills in {rounds} rounds came while the loop ran"
    );
}

#[test]
fn ctrl_c_leaves_nothing_and_the_loop_goes_on_later() {
    let world = world();
    let folder = world.folder.path();
    let mut child = start(folder);
    let begin = Instant::now();
    while world.runs() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(at_work_in(folder), Vec::<String>::new());
    assert!(!world.path("project/_out/assets/image").exists());
    assert_eq!(start(folder).wait().unwrap().code(), Some(0));
}

#[test]
fn cancelled_it_says_how_to_go_on() {
    let world = world();
    let cancel = Cancel::new();
    cancel.set();
    let told = told(&options(world.folder.path()), &cancel);
    let outcome = told.outcome();
    assert_eq!(outcome.variants[0].end, VariantEnd::Interrupted);
    assert_eq!(outcome.exit_code(), 130);
    assert!(outcome.variants[0].why.contains("--resume"));
}

#[test]
fn two_loops_never_share_a_project() {
    let world = world();
    let folder = world.folder.path();
    let mut child = start(folder);
    let begin = Instant::now();
    while world.runs() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = told(&options(folder), &Cancel::new()).error();
    let pid = child.id();
    assert!(said.contains(&format!("(process {pid})")), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_resumed_loop_has_the_specs_it_began_with() {
    let world = world();
    let folder = world.folder.path();
    let mut child = start(folder);
    let begin = Instant::now();
    while world.runs() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    world.write("project/specs/a.spec", "any | $assets/image | a\n");
    let said = told(&options(folder), &Cancel::new()).error();
    assert!(
        said.starts_with("specs/a.spec was changed since the interrupted loop began"),
        "{said}"
    );
    let mut fresh = options(folder);
    fresh.resume = false;
    let told = told(&fresh, &Cancel::new());
    assert!(
        told.says("note: since the interrupted loop began, specs/a.spec was changed"),
        "{:?} {:?}",
        told.result,
        told.lines
    );
    assert_eq!(told.ends()[0].1, "green");
    assert_eq!(at_work_in(folder), Vec::<String>::new());
}

#[test]
fn a_series_that_was_being_put_back_when_the_loop_was_killed_is_put_back() {
    let world = world();
    let folder = world.folder.path();
    // The remedy takes the series away, says so, and is killed with the loop.
    world.remedy(
        "test -e $RUNS.tried || { touch $RUNS.tried; rm patches/series; sleep 30; }\n\
         sed -i s/armv7/arm64/ patches/01.patch",
        "",
    );
    let mut child = start(folder);
    let begin = Instant::now();
    while world.path("project/patches/series").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        start(folder).wait().unwrap().code(),
        Some(0),
        "{}",
        world.read("said")
    );
    assert_eq!(world.read("project/patches/series"), "01.patch\n");
    assert_eq!(world.read("project/_out/assets/image"), "arm64\n");
}
