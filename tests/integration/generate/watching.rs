//! `--watch`, `build.tools`, and a step that prints without end, through the program.

use super::history::{SPEC, tdg, world};
use super::world::{World, patch, recipe};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts the program; what it says goes to a file.
fn start(world: &World, arguments: &[&str]) -> Child {
    let said = File::create(world.path("said")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tdg"))
        .arg("generate")
        .args(arguments)
        .current_dir(world.path("project"))
        .env("RUNS", world.path("runs"))
        .env("SLOW", ":")
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}

/// Waits until something was said so often.
fn until(world: &World, child: &mut Child, text: &str, times: usize) {
    let begin = Instant::now();
    while world.read("said").matches(text).count() < times {
        let ended = child.try_wait().unwrap();
        let said = world.read("said");
        assert!(
            ended.is_none(),
            "it ended ({ended:?}) before `{text}`: {said}"
        );
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no `{text}`: {said}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends it as Ctrl-C does; it says that the last loop was green.
fn interrupt(world: &World, mut child: Child) {
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(0), "{}", world.read("said"));
}

#[test]
fn a_change_begins_the_loop_again_and_ctrl_c_ends_it() {
    let world = world();
    world.write("project/patches/01.patch", &patch("amd64", "mips"));
    let mut child = start(&world, &["--watch"]);
    until(&world, &mut child, "watching the recipe", 1);
    assert!(
        world.read("said").contains("verify   RED"),
        "{}",
        world.read("said")
    );
    // Nothing is read anew that says the same.
    world.write("project/patches/01.patch", &patch("amd64", "mips"));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(world.read("said").matches(": again").count(), 0);
    world.write("project/patches/01.patch", &patch("amd64", "arm64"));
    until(&world, &mut child, "watching the recipe", 2);
    let said = world.read("said");
    assert!(
        said.contains("\npatches/01.patch changed: again\n"),
        "{said}"
    );
    assert!(said.contains("green  default"), "{said}");
    // A recipe that is wrong is told, and waited for.
    let right = world.read("project/tdg.yaml");
    world.write("project/tdg.yaml", "recipe: [");
    until(&world, &mut child, "watching the recipe", 3);
    world.write("project/tdg.yaml", &right);
    until(&world, &mut child, "watching the recipe", 4);
    world.write(
        "project/specs/b.yaml",
        &SPEC.replace("spec: The image", "spec: Another"),
    );
    until(&world, &mut child, "watching the recipe", 5);
    let said = world.read("said");
    assert!(said.contains("\nspecs/b.yaml is new: again\n"), "{said}");
    assert_eq!(world.runs(), 2, "{said}");
    interrupt(&world, child);
}

#[test]
fn what_a_remedy_changes_is_not_watched_for() {
    let world = world();
    world.write("project/patches/01.patch", &patch("amd64", "mips"));
    world.remedy("sed -i s/mips/arm64/ patches/01.patch", "");
    let mut child = start(&world, &["--watch"]);
    until(&world, &mut child, "watching the recipe", 1);
    std::thread::sleep(Duration::from_millis(1500));
    let said = world.read("said");
    assert!(said.contains("green  default"), "{said}");
    assert_eq!(said.matches(": again").count(), 0, "{said}");
    interrupt(&world, child);
}

#[test]
fn specs_that_the_build_changes_end_the_watch() {
    let world = world();
    let step = "[make, { sh: 'echo \"# weaker\" >> ../../../specs/a.yaml' }]";
    world.write("project/tdg.yaml", &recipe(step, ""));
    let mut child = start(&world, &["--watch"]);
    let begin = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            world.read("said")
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(4), "{}", world.read("said"));
}

#[test]
fn another_version_of_a_tool_builds_again() {
    let world = world();
    let tools = "steps: [make]\n  tools: [cat version, no-such-tool --version]";
    let text = recipe("[make]", "").replace("steps: [make]", tools);
    world.write("project/tdg.yaml", &text);
    world.write("project/version", "cc 1\n");
    let ran = |said: &str| said.matches(" ok ").count();
    assert_eq!(ran(&tdg(&world, &[]).1), 5);
    let record = world.read("project/.tdg/records/default.json");
    assert!(
        record.contains("cc 1\\n") && record.contains("no-such-tool"),
        "{record}"
    );
    assert_eq!(ran(&tdg(&world, &[]).1), 0);
    world.write("project/version", "cc 2\n");
    let (_, said) = tdg(&world, &["--dry-run"]);
    assert!(said.contains("what `cat version` says changed"), "{said}");
    assert_eq!(ran(&tdg(&world, &[]).1), 4);
    assert_eq!(world.runs(), 2);
}

#[test]
fn a_step_that_prints_without_end_has_a_bounded_log_and_takes_bounded_memory() {
    let world = world();
    // Half in lines, half without a single break.
    let flood = "yes 0123456789012345678901234567890123456789 | head -c 100000000; \
                 head -c 100000000 /dev/zero | tr '\\\\0' x";
    world.write(
        "project/tdg.yaml",
        &recipe(&format!("[{{ sh: \"{flood}\" }}, make]"), ""),
    );
    let mut child = start(&world, &[]);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let begin = Instant::now();
    let code = loop {
        // The highest there was, as the kernel counts it.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(begin.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(0), "{}", world.read("said"));
    let log = world.path("project/.tdg/logs/0001/default-attempt-1-build-1.log");
    let size = fs::metadata(log).unwrap().len();
    assert!(
        (60 << 20..=(64 << 20) + 4096).contains(&size),
        "the log has {size} bytes"
    );
    assert!((1..200 << 10).contains(&most), "it took {most} KiB");
    eprintln!("{:?}, a log of {size} bytes, {most} KiB", begin.elapsed());
}
