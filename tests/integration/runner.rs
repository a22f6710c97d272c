//! The runner as its users meet it: verdicts, exit codes, order, patience, choice, reports.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use regex::Regex;

use crate::world::{Report, World, ran};

/// A spec with one check a line; each line is a flow map without its braces.
fn spec(head: &str, checks: &[&str]) -> String {
    let checks: String = checks.iter().map(|c| format!("  - {{ {c} }}\n")).collect();
    format!("spec: it\n{head}\nchecks:\n{checks}")
}

const PASS: &str = "name: pass, command: ['true'], expect: { exit-code: 0 }";
const FAIL: &str = "name: fail, command: ['false'], expect: { exit-code: 0 }";
const ERROR: &str = "name: error, command: [no-such-program-here], expect: { exit-code: 0 }";
const SKIP: &str = "name: skip, if: 1 > 2, command: ['true'], expect: { exit-code: 0 }";

#[test]
fn exit_codes_are_those_of_the_help() {
    let code = |checks: &[&str], arguments: &[&str]| {
        let world = World::new();
        world.write("specs/it.yaml", spec("", checks));
        world.tdg(&[&["run"], arguments].concat()).code
    };
    assert_eq!(code(&[PASS], &[]), 0);
    assert_eq!(code(&[PASS, SKIP], &[]), 0);
    assert_eq!(code(&[PASS, FAIL, ERROR, SKIP], &[]), 1);
    assert_eq!(code(&[PASS, ERROR, SKIP], &[]), 4);
    assert_eq!(code(&[PASS, SKIP], &["--strict"]), 5);
    assert_eq!(code(&[FAIL, SKIP], &["--strict"]), 1);
    // A run in which nothing was judged proves nothing.
    assert_eq!(code(&[SKIP], &[]), 5);
    assert_eq!(code(&["name: x"], &[]), 3);
    assert_eq!(code(&[PASS], &["--no-such-flag"]), 2);
    assert_eq!(code(&[PASS], &["--filter", "nowhere"]), 2);
    assert_eq!(code(&[PASS], &["--tag", "nowhere"]), 2);
    assert_eq!(code(&[PASS], &["--partition", "slice:3/2"]), 2);
    assert_eq!(code(&[PASS], &["--var", "nowhere=1"]), 2);
    assert_eq!(code(&[PASS], &["nowhere.yaml"]), 2);
    assert_eq!(code(&[PASS], &["--timeout", "soon"]), 2);
}

#[test]
fn an_interrupted_run_ends_with_130_and_ends_what_it_started() {
    let world = World::new();
    world.write(
        "specs/it.yaml",
        spec(
            "",
            &[
                "name: long, command: { sh: 'echo $$ > pid; sleep 300; true' }, timeout: 5m, expect: { exit-code: 0 }",
                "name: later, needs: long, command: ['true'], expect: { exit-code: 0 }, id: later",
            ],
        )
        .replace("name: long", "name: long, id: long"),
    );
    let mut command = world.command(&["run", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = world.path().join("pid");
    wait(|| fs::read_to_string(&pid).is_ok_and(|t| t.ends_with('\n')));
    let own = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGINT).unwrap();
    let begin = Instant::now();
    let status = child.wait().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    let started = fs::read_to_string(&pid).unwrap();
    wait(|| !alive(started.trim()));
}

fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

fn wait(until: impl Fn() -> bool) {
    let begin = Instant::now();
    while !until() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "waited for too long"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_check_waits_for_what_it_needs_and_is_blocked_where_that_does_not_pass() {
    let report = World::new().run(&spec(
        "",
        &[
            "name: last, needs: [first, bad], command: ['true'], expect: { exit-code: 0 }",
            "name: good, needs: first, command: [cat, made], expect: { stdout: x }",
            "name: first, id: first, command: { sh: 'sleep 0.3; printf x > made' }, expect: { exit-code: 0 }",
            "name: bad, id: bad, command: ['false'], expect: { exit-code: 0 }",
            "name: after a skip, needs: off, command: ['true'], expect: { exit-code: 0 }",
            "name: off, id: off, if: false, command: ['true'], expect: { exit-code: 0 }",
        ],
    ));
    assert_eq!(report.verdict("good"), "pass");
    assert_eq!(report.verdict("last"), "skip");
    assert!(report.why("last").contains("blocked: it::bad did not pass"));
    assert_eq!(report.verdict("after a skip"), "skip");
    assert!(report.why("after a skip").contains("blocked: it::off"));
    assert!(report.why("off").contains("its condition is false: false"));
    assert_eq!(report.code, 1);
}

#[test]
fn what_is_required_and_missing_is_said() {
    let world = World::new();
    world.write("here", "");
    let report = world.run(&spec(
        "",
        &[
            "name: pass all here, requires: { tools: [sh], files: [here], env: [PATH], tdg: '>=0.0.1', capabilities: [linux] }, file: here, expect: { present: true }",
            "name: skip tool, requires: [no-such-program-here], file: here, expect: { present: true }",
            "name: skip version, requires: { tools: ['git >=999'] }, file: here, expect: { present: true }",
            "name: skip env, requires: { env: [TDG_TEST_NOT_SET] }, file: here, expect: { present: true }",
            "name: skip file, requires: { files: [nowhere] }, file: here, expect: { present: true }",
            "name: skip tdg, requires: { tdg: '>=999' }, file: here, expect: { present: true }",
        ],
    ));
    report.as_named();
    for (check, words) in [
        (
            "skip tool",
            "requires the program no-such-program-here, which is not on PATH",
        ),
        ("skip version", "requires git >=999; this is "),
        (
            "skip env",
            "requires the environment variable TDG_TEST_NOT_SET",
        ),
        ("skip file", "requires the file nowhere"),
        ("skip tdg", "requires tdg >=999; this is 0."),
    ] {
        assert!(report.why(check).contains(words), "{}", report.why(check));
    }
}

#[test]
fn a_check_is_tried_again_as_often_as_it_says() {
    let world = World::new();
    let report = world.run(&spec(
        "",
        &[
            "name: pass third, id: third, command: { sh: 'printf x >> tries; cat tries; test $(wc -c < tries) -ge 3' }, retry: { attempts: 5, delay: 10ms }, expect: { exit-code: 0 }",
            "name: fail always, command: { sh: 'printf x >> always; false' }, retry: { attempts: 3 }, expect: { exit-code: 0 }",
            // What is compared with is what passed, not what the first try saw.
            "name: pass the same, needs: third, command: [printf, xxx], expect: { stdout: { same-as: third.stdout } }",
        ],
    ));
    report.as_named();
    assert_eq!(report.trial("pass third")["tries"], 3);
    assert_eq!(report.trial("fail always")["tries"], 3);
    assert_eq!(fs::read(world.path().join("always")).unwrap(), b"xxx");
}

#[test]
fn a_check_waits_until_it_holds() {
    let world = World::new();
    let late = world.path().join("late");
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        fs::write(late, "ready").unwrap();
    });
    let report = world.run(&spec(
        "",
        &[
            "name: pass late, file: late, eventually: 20s, expect: { text: ready }",
            "name: pass late image, tree: '', in: ., eventually: 20s, expect: { count: { ge: 0 } }",
            "name: fail never, file: never, eventually: 400ms, expect: { present: true }",
        ],
    ));
    writer.join().unwrap();
    assert_eq!(report.verdict("pass late"), "pass");
    assert!(report.trial("pass late")["tries"].as_u64().unwrap() > 1);
    assert_eq!(report.verdict("fail never"), "fail");
    let took = report.trial("fail never")["duration_s"].as_f64().unwrap();
    assert!((0.2..8.0).contains(&took), "{took}");
}

#[test]
fn a_time_out_ends_the_whole_tree_of_processes() {
    let world = World::new();
    let begin = Instant::now();
    let report = world.run(&spec(
        "",
        &["name: error slow, timeout: 1s, command: { sh: 'setsid sh -c \"echo \\$\\$ > far; sleep 300\" & echo $$ > near; sleep 300; true' }, expect: { exit-code: 0 }"],
    ));
    report.as_named();
    assert!(begin.elapsed() < Duration::from_secs(30));
    for name in ["near", "far"] {
        let pid = fs::read_to_string(world.path().join(name)).unwrap();
        wait(|| !alive(pid.trim()));
    }
}

#[test]
fn a_known_fault_is_a_skip_until_its_date() {
    let report = World::new().run(&spec(
        "",
        &[
            "name: skip known, quarantine: { issue: '#7', until: 2999-12-31 }, command: ['false'], expect: { exit-code: 0 }",
            "name: fail over, quarantine: { issue: '#8', until: 2020-01-01 }, command: ['false'], expect: { exit-code: 0 }",
            "name: pass again, quarantine: { issue: '#9', until: 2999-12-31 }, command: ['true'], expect: { exit-code: 0 }",
        ],
    ));
    report.as_named();
    assert!(
        report
            .why("skip known")
            .contains("quarantined until 2999-12-31 (#7)")
    );
    assert!(
        report
            .why("fail over")
            .contains("its quarantine ended on 2020-01-01 (#8)")
    );
    assert!(
        report
            .why("pass again")
            .contains("remove its quarantine (#9)")
    );
}

#[test]
fn variables_from_the_command_line_keep_their_type() {
    let world = World::new();
    world.write("specs/_shared.yaml", "vars: { shared: 1, text: 5s }\n");
    let text = spec(
        "include: _shared.yaml\nvars: { number: 1, flag: false, text: a, list: [a], nothing: }",
        &[
            "name: n, command: [echo, '${{ vars.number + 1 }}', '${{ vars.text }}', '${{ vars.list | length }}', '${{ vars.shared }}'], if: '${{ vars.flag }}', expect: { stdout: \"8 007 3 2\\n\" }",
        ],
    );
    let arguments = [
        "--var",
        "number=7",
        "--var",
        "flag=true",
        "--var",
        "text=007",
        "--var",
        "list=[a, b, c]",
        "--var",
        "shared=2",
    ];
    let report = world.run_with(&text, &arguments);
    assert_eq!(report.verdict("n"), "pass", "{:#}", report.json);
    assert_eq!(world.run(&text).verdict("n"), "skip");
}

const CHOICE: &str = "
spec: choice
tags: [all]
matrix: { v: [a, b] }
checks:
  - { name: one, tags: [x], command: ['true'], expect: { exit-code: 0 } }
  - { name: two, tags: [y], id: two, tool: sh, expect: { present: true } }
  - { name: three, needs: two, command: ['true'], expect: { exit-code: 0 } }
";

fn listed(world: &World, arguments: &[&str]) -> Vec<String> {
    let ran = world.tdg(&[&["list"], arguments].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn trials_are_chosen_by_tag_filter_and_slice() {
    let world = World::new();
    world.write("specs/deep/it.yaml", CHOICE);
    let list = |arguments: &[&str]| -> String {
        let names = listed(&world, arguments);
        let short = |n: &String| n.replace("deep/it::", "").replace("v=", "");
        names.iter().map(short).collect::<Vec<_>>().join(" ")
    };
    let all = "one[a] two[a] three[a] one[b] two[b] three[b]";
    assert_eq!(list(&[]), all);
    assert_eq!(list(&["-t", "all"]), all);
    assert_eq!(list(&["-t", "x"]), "one[a] one[b]");
    assert_eq!(list(&["-t", "x", "-t", "y"]), "one[a] two[a] one[b] two[b]");
    assert_eq!(
        list(&["-t", "!x", "-t", "!y", "--filter", "[v=b]"]),
        "two[b] three[b]"
    );
    // What a check needs comes along.
    assert_eq!(
        list(&["--filter", "three"]),
        "two[a] three[a] two[b] three[b]"
    );
    assert_eq!(list(&["--filter", "=deep/it::one[v=a]"]), "one[a]");
    assert_eq!(list(&["--filter", "/::t.*b.$/"]), "two[b] three[b]");
    assert_eq!(list(&["--filter", "kind:tool"]), "two[a] two[b]");
    assert_eq!(
        list(&["--filter", "one", "--filter", "two"]),
        "one[a] two[a] one[b] two[b]"
    );
    assert_eq!(
        list(&["--filter", "deep", "--filter", "!three", "--filter", "!two"]),
        "one[a] one[b]"
    );
    assert_eq!(
        list(&["--filter", "!three", "--filter", "!two"]),
        "one[a] one[b]"
    );
    // Slices share the work: each trial is in one of them, needs aside.
    let slice = |n| listed(&world, &["--filter", "!three", "--partition", n]);
    let (first, second) = (slice("slice:1/2"), slice("slice:2/2"));
    assert_eq!((first.len(), second.len()), (2, 2));
    assert!(first.iter().all(|n| !second.contains(n)));
}

#[test]
fn fail_fast_ends_the_run_with_the_first_that_does_not_pass() {
    let world = World::new();
    let mut checks = vec![FAIL.to_owned()];
    checks.extend((0..5).map(|n| {
        format!("name: later {n}, command: [touch, made-{n}], expect: {{ exit-code: 0 }}")
    }));
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    let report = world.run_with(&spec("", &checks), &["--fail-fast", "--jobs", "1"]);
    assert_eq!(report.code, 1);
    for n in 0..5 {
        assert!(
            report
                .why(&format!("later {n}"))
                .contains("not run: an earlier check failed")
        );
        assert!(!world.path().join(format!("made-{n}")).exists());
    }
}

#[test]
fn same_as_compares_within_a_row_and_across_rows() {
    let world = World::new();
    for (name, text) in [("a", "one"), ("b", "two"), ("c", "one")] {
        world.write(name, text);
    }
    let report = world.run(
        "
spec: same
matrix: { v: [a, b, c] }
checks:
  - { name: it, id: it, file: '${{ matrix.v }}', expect: { present: true } }
  - { name: again, file: '${{ matrix.v }}', expect: { sha256: { same-as: it.sha256 } } }
  - { name: first, file: '${{ matrix.v }}', expect: { sha256: { same-as: 'it[v=a].sha256' } } }
  - { name: nothing, file: '${{ matrix.v }}', expect: { target: { same-as: it.target } } }
  - { name: other, file: '${{ matrix.v }}', expect: { sha256: { not: { same-as: 'it[v=a].sha256' } } } }
",
    );
    let verdicts = |check: &str| {
        ["a", "b", "c"].map(|v| report.verdict(&format!("it::{check}[v={v}]")).to_owned())
    };
    assert_eq!(verdicts("again"), ["pass", "pass", "pass"]);
    assert_eq!(verdicts("first"), ["pass", "fail", "pass"]);
    assert_eq!(verdicts("other"), ["fail", "pass", "fail"]);
    // Nothing is not the same as nothing: neither was seen.
    assert_eq!(verdicts("nothing"), ["fail", "fail", "fail"]);
    assert!(
        report
            .why("it::nothing[v=a]")
            .contains("nothing on either side")
    );
}

/// A run with one trial of each verdict, reported in a format.
fn reported(format: &str) -> String {
    let world = World::new();
    world.write("a.txt", "hello\n");
    world.write(
        "specs/it.yaml",
        r#"spec: One of each
tags: [all]
matrix: { v: [x] }
checks:
  - { name: it passes, file: a.txt, expect: { size: { lt: 1 KiB } } }
  - name: it fails
    tree:
    in: .
    tags: [slow]
    expect:
      files: { ge: 9 }
      entries: { contain: [a.text, { path: a.txt, mode: "4755" }] }
  - { name: it cannot be judged, kernel: , in: a.txt, expect: { arch: arm64 } }
  - { name: it is skipped, if: "matrix.v == 'y'", file: a.txt, expect: { present: true } }
  - { name: it is lenient, file: a.txt, quarantine: { issue: '#1', until: 2999-01-01 }, expect: { present: true } }
  - { name: 'it says <&"> 漢', command: { sh: 'printf "one\ntwo\n"; exit 3' }, expect: { exit-code: 0, stdout: "one\n" } }
"#,
    );
    let ran = world.tdg(&["run", "--jobs", "1", "--format", format]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let text = world.scrub(&ran.stdout);
    let text = Regex::new(r#"("duration_s": )[0-9.e-]+"#)
        .unwrap()
        .replace_all(&text, "${1}0.0");
    let text = Regex::new(r#"time="[0-9.]+""#)
        .unwrap()
        .replace_all(&text, "time=\"0\"");
    let text = Regex::new(r" +[0-9.]+ m?s(  |:)")
        .unwrap()
        .replace_all(&text, "  TIME$1");
    let text = Regex::new(r#"("tdg": )"[^"]*""#)
        .unwrap()
        .replace_all(&text, "${1}\"VERSION\"");
    text.into_owned()
}

#[test]
fn the_report_for_people() {
    insta::assert_snapshot!(reported("human"));
}

#[test]
fn the_report_in_json() {
    insta::assert_snapshot!(reported("json"));
}

#[test]
fn the_report_in_junit() {
    insta::assert_snapshot!(reported("junit"));
}

#[test]
fn reports_are_written_into_a_folder_as_well() {
    let world = World::new();
    world.write("specs/it.yaml", spec("", &[PASS]));
    let ran = world.tdg(&["run", "--report", "out/reports"]);
    assert_eq!(ran.code, 0);
    let json = fs::read_to_string(world.path().join("out/reports/tdg.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["version"], 1);
    let junit = fs::read_to_string(world.path().join("out/reports/junit.xml")).unwrap();
    assert!(junit.starts_with("<?xml"));
    // Where it cannot be written, the run does not pretend.
    world.write("taken", "");
    assert_eq!(world.tdg(&["run", "--report", "taken"]).code, 2);
}

#[test]
fn secrets_reach_no_output() {
    const SECRET: &str = "hunter2-and-more";
    const KEY: &str = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQABAAABgQ\n-----END KEY-----\n";
    let world = World::new();
    world.write("big", format!("{}{SECRET}", "x".repeat(3990)));
    world.write(
        "specs/it.yaml",
        r#"
spec: secrets
secrets: [TDG_TEST_SECRET, TDG_TEST_KEY]
vars: { token: "${{ secrets.TDG_TEST_SECRET }}" }
checks:
  - { name: "in a name ${{ vars.token }}", command: [echo, "${{ vars.token }}"], expect: { stdout: "" } }
  - { name: in what is expected, command: [echo], expect: { stdout: "${{ vars.token }}" } }
  - { name: in an error, command: ["/no/such/${{ vars.token }}"], expect: { exit-code: 0 } }
  - { name: in a subject, kernel: , in: "dir/${{ vars.token }}", expect: { arch: arm64 } }
  - { name: in a requirement, requires: { files: ["${{ vars.token }}"] }, command: ["true"], expect: { exit-code: 0 } }
  - { name: in a tag, tags: ["${{ vars.token }}"], command: ["false"], expect: { exit-code: 0 } }
  - { name: in JSON, command: [echo, '{"a": "${{ vars.token }}"}'], expect: { json: { a: { len: 3 } }, stdout: { json: { $.a: x } } } }
  - { name: cut in two, file: big, expect: { text: x } }
  - { name: in a snapshot, command: [echo, "${{ vars.token }}"], snapshot: true }
  - { name: a key of several lines, command: [printf, "%s", "${{ secrets.TDG_TEST_KEY }}"], expect: { stdout: x, json: { present: true } } }
  - { name: a key in a snapshot, command: [printf, "%s", "${{ secrets.TDG_TEST_KEY }}"], snapshot: true }
  - { name: it is handed over, command: { sh: 'test "$T" = hunter2-and-more', env: { T: "${{ vars.token }}" } }, expect: { exit-code: 0 } }
"#,
    );
    let line = KEY.lines().nth(1).unwrap();
    for format in ["human", "json", "junit", "html"] {
        let mut command = world.command(&["run", "--format", format, "--report", "reports"]);
        let ran = ran(command
            .env("TDG_TEST_SECRET", SECRET)
            .env("TDG_TEST_KEY", KEY));
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let mut all = ran.stdout + &ran.stderr;
        for entry in walkdir::WalkDir::new(world.path()) {
            let path = entry.unwrap().into_path();
            let made = path
                .components()
                .any(|c| matches!(c.as_os_str().to_str(), Some("snapshots" | "reports")));
            if made && path.is_file() {
                all += &path.display().to_string();
                all += &fs::read_to_string(path).unwrap();
            }
        }
        assert!(all.contains("•••"), "{all}");
        for part in [SECRET, &SECRET[..6], line, &line[..10]] {
            // The spec's own line names it: that is no leak of a value.
            let all = all
                .replace("test \\\"$T\\\" = hunter2-and-more", "")
                .replace("= hunter2-and-more", "");
            if let Some(at) = all.find(part) {
                let from = all.floor_char_boundary(at.saturating_sub(200));
                panic!("{format}: {part} in …{}", &all[from..at + part.len()]);
            }
        }
    }
}

#[test]
fn a_snapshot_is_written_reviewed_and_held() {
    let world = World::new();
    world.write("data/a", "one");
    world.mode("data/a", 0o644);
    let text = "spec: s\nchecks:\n  - { name: as it was, tree: '*', in: data, snapshot: true, expect: { count: 1 } }\n";
    let snap = world.path().join("specs/snapshots/it__as-it-was.snap");
    let new = snap.with_extension("snap.new");
    world.write("specs/it.yaml", text);
    let run = |env: &[(&str, &str)]| {
        let mut command = world.command(&["run", "--format", "json"]);
        Report::of(ran(command.envs(env.iter().copied())))
    };
    // In CI nothing is written.
    let report = run(&[("CI", "true")]);
    assert_eq!(report.verdict("as it was"), "fail");
    assert!(!new.exists() && !snap.exists());
    assert!(report.why("as it was").contains("without CI"));
    // New: it fails until it is reviewed.
    let report = run(&[]);
    assert_eq!(report.verdict("as it was"), "fail");
    assert!(report.why("as it was").contains("cargo insta review"));
    let stored = fs::read_to_string(&new).unwrap();
    let stored = Regex::new(r#"("[ug]id": )\d+"#)
        .unwrap()
        .replace_all(&stored, "${1}0");
    insta::assert_snapshot!(stored);
    // Accepted, as `cargo insta accept` does it.
    fs::rename(&new, &snap).unwrap();
    assert_eq!(run(&[]).verdict("as it was"), "pass");
    assert!(!new.exists());
    // Changed: the difference is shown, the old one stays.
    world.write("data/a", "other");
    let report = run(&[]);
    assert_eq!(report.verdict("as it was"), "fail");
    let why = report.why("as it was");
    assert!(
        why.contains(r#"-      \"size\": 3"#) && why.contains(r#"+      \"size\": 5"#),
        "{why}"
    );
    assert!(new.exists());
    assert!(fs::read_to_string(&snap).unwrap().contains("\"size\": 3"));
    // What `expect` demands comes first: no snapshot of what is wrong.
    fs::remove_file(&new).unwrap();
    world.write("data/b", "");
    assert_eq!(run(&[]).verdict("as it was"), "fail");
    assert!(!new.exists());
    fs::remove_file(world.path().join("data/b")).unwrap();
    assert_eq!(
        run(&[("INSTA_UPDATE", "always")]).verdict("as it was"),
        "pass"
    );
    assert!(fs::read_to_string(&snap).unwrap().contains("\"size\": 5"));
    // A skipped check still says that its snapshot is in use.
    let list = world.path().join("references");
    world.write(
        "specs/it.yaml",
        text.replace("snapshot: true", "snapshot: true, if: false"),
    );
    run(&[("INSTA_SNAPSHOT_REFERENCES_FILE", list.to_str().unwrap())]);
    assert!(
        fs::read_to_string(list)
            .unwrap()
            .contains("it__as-it-was.snap")
    );
}

#[test]
fn a_failure_names_the_line_that_demands_it() {
    let world = World::new();
    world.write("a.txt", "x");
    let report = world.run(
        "spec: s\nchecks:\n  - name: n\n    file: a.txt\n    expect:\n      size:\n        ge: 8 MiB\n",
    );
    let failure = &report.trial("n")["failures"][0];
    assert_eq!(failure["place"]["line"], 7);
    assert_eq!(failure["place"]["column"], 13);
    assert_eq!(failure["place"]["text"], "ge: 8 MiB");
    assert_eq!(failure["path"], "size");
}

#[test]
fn a_pipe_that_closes_is_no_fault() {
    let world = World::new();
    world.write("specs/it.yaml", spec("", &[PASS]));
    let mut command = world.command(&["run"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    assert_eq!(output.status.code(), Some(0));
    assert!(Path::new("/proc").is_dir());
}

#[test]
fn relative_subjects_start_at_the_root_given() {
    let world = World::new();
    world.write("assets/a.txt", "x");
    world.write("run-me", "");
    let text = spec(
        "",
        &[
            "name: pass subject, tree: , in: ., expect: { entries: [a.txt] }",
            "name: pass file, file: a.txt, requires: { files: [a.txt] }, expect: { present: true }",
            "name: pass folder, command: [ls], expect: { stdout: \"a.txt\\n\" }",
        ],
    );
    world.run_with(&text, &["--root", "assets"]).as_named();
    let report = world.run(&text);
    assert_eq!(report.verdict("pass subject"), "fail");
    assert_eq!(report.verdict("pass file"), "skip");
}

#[test]
fn each_kind_and_each_matcher_is_explained() {
    let world = World::new();
    let overview = world.tdg(&["explain"]).stdout;
    for kind in tdg::check::KINDS {
        assert!(overview.contains(kind.summary()), "{overview}");
        let ran = world.tdg(&["explain", kind.name()]);
        assert_eq!(ran.code, 0);
        // A kind without arguments has an empty map for them.
        let fields = [kind.args(), kind.evidence()]
            .into_iter()
            .flat_map(|shape| match shape {
                tdg::model::Shape::Record(record) => record.fields.as_slice(),
                _ => &[],
            });
        for field in fields {
            assert!(!field.doc.is_empty(), "{}.{}", kind.name(), field.name);
            let line = format!("  {}", field.name);
            assert!(ran.stdout.contains(&line), "{line}: {}", ran.stdout);
        }
    }
    let matchers = world.tdg(&["explain", "matchers"]).stdout;
    for operator in tdg::spec::matcher::OPERATORS {
        assert!(matchers.contains(operator.example), "{}", operator.name);
    }
    let wrong = world.tdg(&["explain", "kernal"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("did you mean `kernel`?"),
        "{}",
        wrong.stderr
    );
}
