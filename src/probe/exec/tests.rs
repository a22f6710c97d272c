//! Real commands, the nasty ones among them.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn sh(script: &str) -> Request {
    Request::new(["sh", "-c", script])
}

fn text(captured: &Captured) -> String {
    captured.text().trim_end().to_owned()
}

/// Tells whether a pid is a process, zombies included.
fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// Waits for a file that a script writes its pid to.
fn pid_in(path: &Path) -> String {
    for _ in 0..500 {
        if let Ok(pid) = fs::read_to_string(path)
            && pid.ends_with('\n')
        {
            return pid.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no pid in {}", path.display());
}

#[test]
fn output_exit_and_input() {
    let done = run(&sh("cat; echo err >&2; exit 3").stdin("in")).unwrap();
    assert_eq!(done.exit, Exit::Code(3));
    assert_eq!(
        (text(&done.stdout), text(&done.stderr)),
        ("in".into(), "err".into())
    );
    assert_eq!((done.end, done.left_running), (End::Exited, 0));
    assert!(!done.success());
    assert_eq!(run(&sh("kill -9 $$")).unwrap().exit, Exit::Signal(9));
    // Unread input must not end the command, nor us.
    assert!(
        run(&sh("exit 0").stdin(vec![b'x'; 4 << 20]))
            .unwrap()
            .success()
    );
}

#[test]
fn the_environment_is_what_was_named() {
    let done = run(&Request::new(["env"])
        .env("GIVEN", "1")
        .pass("CARGO_MANIFEST_DIR"))
    .unwrap();
    let mut names: Vec<String> = text(&done.stdout)
        .lines()
        .filter_map(|l| Some(l.split_once('=')?.0.to_owned()))
        .filter(|n| !["HOME", "TMPDIR"].contains(&n.as_str()))
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["CARGO_MANIFEST_DIR", "GIVEN", "LANG", "PATH", "TDG_TREE"]
    );
}

#[test]
fn what_cannot_be_run_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tool");
    fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    let said = |argv: &[&str]| {
        let error = run(&Request::new(argv.iter().copied()).cwd(folder.path())).unwrap_err();
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
    };
    assert!(
        said(&["no-such-tool-here"]).starts_with("`no-such-tool-here` was not found in PATH (")
    );
    assert_eq!(
        said(&["./missing"]),
        "`./missing` was not found at DIR/missing: install it, or name its path"
    );
    assert_eq!(
        said(&["./tool"]),
        "`DIR/tool` may not be run: make it executable (chmod +x)"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        said(&["./tool"]).contains("cannot run on this machine"),
        "{}",
        said(&["./tool"])
    );
    assert_eq!(said(&[]), "no program to run: name one as the first word");
    let nowhere = Request::new(["true"]).cwd("/no/such/folder");
    assert!(matches!(run(&nowhere), Err(ExecError::NoDirectory { .. })));
    assert!(which("sh").is_some() && which("no-such-tool-here").is_none());
}

#[test]
fn a_program_is_found_in_the_path_it_gets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own-tool");
    fs::write(&file, "#!/bin/sh\necho own\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let request = Request::new(["own-tool"]).env("PATH", folder.path());
    assert_eq!(text(&run(&request).unwrap().stdout), "own");
}

#[test]
fn endless_output_is_bounded_and_counted() {
    let request = sh("head -c 3000000 /dev/zero | tr '\\0' x; echo end").keep(1000);
    let done = run(&request).unwrap();
    assert_eq!(
        (done.stdout.head.len(), done.stdout.tail.len()),
        (1000, 1000)
    );
    assert_eq!(done.stdout.dropped, 3_000_004 - 2000);
    assert!(done.stdout.text().ends_with("xend\n"));
    let start = Instant::now();
    let done = run(&Request::new(["yes"])
        .keep(100)
        .timeout(Duration::from_millis(200)))
    .unwrap();
    assert!(done.timed_out() && done.stdout.truncated());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn lines_come_while_it_runs_and_go_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("logs/x.log");
    let begin = Instant::now();
    let mut first = None;
    let mut seen = Vec::new();
    let request = sh("echo one hunter22; sleep 0.5; echo two >&2; printf three")
        .log(&log, 1 << 20)
        .redact("hunter22");
    run_with(&request, &mut |stream, line| {
        first.get_or_insert(begin.elapsed());
        seen.push((stream, line.to_owned()));
    })
    .unwrap();
    assert!(first.unwrap() < Duration::from_millis(450));
    let want = [
        (Stream::Stdout, "one ***".to_owned()),
        (Stream::Stderr, "two".to_owned()),
        (Stream::Stdout, "three".to_owned()),
    ];
    assert_eq!(seen, want);
    assert_eq!(fs::read_to_string(log).unwrap(), "one ***\ntwo\nthree\n");
}

#[test]
fn a_slow_reader_loses_nothing() {
    let request = sh("seq 1 2000");
    let mut count = 0;
    run_with(&request, &mut |_, _| {
        count += 1;
        std::thread::sleep(Duration::from_micros(500));
    })
    .unwrap();
    assert_eq!(count, 2000);
}

/// Runs a test of this binary again in a process of its own; `true` in that process.
///
/// An orphan that wiped its environment belongs to any command that ran when it started: only
/// where nothing else runs is it certain when it ends.
fn alone(test: &str) -> bool {
    if std::env::var_os("TDG_TEST_ALONE").is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("probe::exec::tests::{test}"),
            "--nocapture",
        ])
        .env("TDG_TEST_ALONE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Ways out of a process tree; each writes the pid of a process that means to stay.
const ESCAPES: [(&str, &str); 6] = [
    (
        "child",
        "(echo $$ >/dev/null; exec sleep 300) & echo $! >pid; wait",
    ),
    (
        "deaf",
        "trap '' TERM HUP INT; echo $$ >pid; while :; do sleep 300; done",
    ),
    (
        "setsid",
        "setsid sh -c 'echo $$ >pid; exec sleep 300' & wait",
    ),
    (
        "nohup",
        "nohup sh -c 'echo $$ >pid; exec sleep 300' >/dev/null 2>&1 & wait",
    ),
    (
        "daemon",
        "(setsid sh -c '(trap \"\" TERM; echo $$ >/dev/null; exec sh -c \"echo \\$\\$ >pid; while :; do sleep 300; done\") <&- >&- 2>&- &' &) ; sleep 300",
    ),
    (
        "wiped",
        "(env -i /usr/bin/setsid /bin/sh -c '(exec /bin/sh -c \"echo \\$\\$ >pid; exec /bin/sleep 300\") <&- >&- 2>&- &' &) ; sleep 300",
    ),
];

#[test]
fn a_time_out_ends_the_whole_tree() {
    if !alone("a_time_out_ends_the_whole_tree") {
        return;
    }
    for (name, script) in ESCAPES {
        let folder = tempfile::tempdir().unwrap();
        let request = sh(script)
            .cwd(folder.path())
            .timeout(Duration::from_millis(400))
            .grace(Duration::from_millis(200));
        let begin = Instant::now();
        let done = run(&request).unwrap();
        assert_eq!(done.end, End::TimedOut, "{name}");
        assert!(done.survivors.is_empty(), "{name}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{name}");
        let pid = pid_in(&folder.path().join("pid"));
        assert!(!exists(&pid), "{name}: {pid} is still there");
    }
}

#[test]
fn a_normal_end_leaves_nothing_running() {
    if !alone("a_normal_end_leaves_nothing_running") {
        return;
    }
    for (name, script) in ESCAPES {
        let folder = tempfile::tempdir().unwrap();
        let script = script
            .replace("wait", "true")
            .replace("; sleep 300", "; true");
        if name == "deaf" {
            continue;
        }
        // The leftover gets going before the first process ends.
        let script = format!("{script}\nwhile ! [ -s pid ]; do sleep 0.01; done; exit 7");
        let begin = Instant::now();
        let done = run(&sh(&script).cwd(folder.path())).unwrap();
        assert_eq!(
            (done.exit, done.end),
            (Exit::Code(7), End::Exited),
            "{name}"
        );
        assert!(done.left_running > 0, "{name}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{name}");
        let pid = pid_in(&folder.path().join("pid"));
        assert!(!exists(&pid), "{name}: {pid} is still there");
    }
}

#[test]
fn a_wiped_orphan_ends_with_the_last_command_that_may_have_started_it() {
    if !alone("a_wiped_orphan_ends_with_the_last_command_that_may_have_started_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_, script) = ESCAPES[5];
    let other = std::thread::spawn(|| run(&sh("sleep 1")));
    let script = script.replace("; sleep 300", "");
    let script = format!("{script}\nwhile ! [ -s pid ]; do sleep 0.01; done");
    run(&sh(&script).cwd(folder.path())).unwrap();
    let pid = pid_in(&folder.path().join("pid"));
    other.join().unwrap().unwrap();
    assert!(!exists(&pid));
}

#[test]
fn a_helper_that_still_writes_is_waited_for() {
    let done = run(&sh("(sleep 0.1; echo late) & echo early")).unwrap();
    assert_eq!(text(&done.stdout), "early\nlate");
    assert_eq!(done.left_running, 0);
}

#[test]
fn commands_side_by_side_do_not_end_each_other() {
    let threads: Vec<_> = (0..6)
        .map(|i| {
            std::thread::spawn(move || {
                for round in 0..8 {
                    let script = if (i + round) % 2 == 0 {
                        "sleep 0.15; echo ok"
                    } else {
                        "setsid sleep 30 >/dev/null 2>&1 & echo ok"
                    };
                    let done = run(&sh(script)).unwrap();
                    assert!(done.success(), "{}", done.how());
                    assert_eq!(text(&done.stdout), "ok");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn cancelling_ends_it() {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let begin = Instant::now();
    let thread = std::thread::spawn(move || run(&sh("sleep 300").cancel(&flag)));
    std::thread::sleep(Duration::from_millis(100));
    cancel.set();
    let done = thread.join().unwrap().unwrap();
    assert_eq!(done.end, End::Cancelled);
    assert_eq!(done.how(), "interrupted");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn marked_processes_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mark = own_mark();
    // What a killed loop leaves: nobody's child, marked in its environment.
    Command::new("sh")
        .args(["-c", "setsid sh -c 'echo $$ >pid; sleep 300' &"])
        .current_dir(folder.path())
        .env(tree::MARKER, tree::marker_value(&[&mark, "inner"]))
        .status()
        .unwrap();
    let pid = pid_in(&folder.path().join("pid"));
    let (found, left) = end_marked(&mark, Duration::from_secs(5));
    assert!(found >= 1 && left.is_empty(), "{found} {left:?}");
    assert!(!exists(&pid));
    assert_eq!(end_marked(&mark, Duration::from_secs(1)).0, 0);
}

#[test]
fn ctrl_c_ends_what_runs() {
    const FOLDER: &str = "TDG_TEST_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        watch_signals().unwrap();
        let script = "trap '' TERM INT; echo $$ >pid; while :; do sleep 300; done";
        let done = run(&sh(script).cwd(folder).grace(Duration::from_millis(50))).unwrap();
        assert_eq!(done.end, End::Cancelled);
        std::process::exit(INTERRUPTED);
    }
    for signal in ["-INT", "-TERM", "-HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "probe::exec::tests::ctrl_c_ends_what_runs",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = pid_in(&folder.path().join("pid"));
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED), "{signal}");
        assert!(!exists(&pid), "{signal}");
    }
}

#[test]
fn a_short_command_is_quick() {
    let quickest = (0..20)
        .map(|_| run(&Request::new(["true"])).unwrap().duration)
        .min()
        .unwrap();
    // Beside what starting a process costs: two looks at /proc.
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    eprintln!("quickest: {quickest:?}");
}

#[test]
fn a_mark_for_all_reaches_every_command() {
    let mark = own_mark();
    let held = mark_all(&mark);
    let said = || text(&run(&sh("echo $TDG_TREE")).unwrap().stdout);
    assert!(said().contains(&format!(":{mark}:")));
    drop(held);
    assert!(!said().contains(&mark));
}
