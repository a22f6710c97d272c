//! What the console says, and what is wrong with it.

use std::fs;
use std::time::{Duration, Instant};

use super::{check, checks, machine, run, spec};
use crate::world::World;

#[test]
fn what_a_machine_says_is_seen_in_order_and_one_boot_serves_many_checks() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let sees = "sees: [Booting Linux, { pattern: 'Run /init', within: 60s }, 'on (\\w+)$', 'second'], network: true, keep: out";
    let report = run(
        &world,
        &checks(&[
            (
                "pass all is seen",
                "sleep",
                sees,
                "problem: null, end: seen, missing: { len: 0 }, fault: null, \
                 seen: [{ pattern: Booting Linux }, { pattern: Run /init }, { text: on aarch64, line: 'init: on aarch64' }, { text: second }], \
                 files: [out/console.log, out/network.pcap]",
            ),
            (
                "pass the same boot",
                "sleep",
                sees,
                "problem: null, console: { contain: 'init: on aarch64' }, qemu: { semver: '>=7' }",
            ),
            (
                "fail the same boot",
                "sleep",
                sees,
                "problem: null, console: { contain: 'no machine says so' }",
            ),
            (
                "pass a prompt has no line break and loses its colours",
                "prompt",
                "sees: ['machine login: $']",
                "problem: null, end: seen",
            ),
            (
                "pass it powers off by itself",
                "off",
                "sees: [second line], then: wait",
                "problem: null, end: 'off'",
            ),
        ]),
    );
    report.as_named();
    // What was kept is named by reports, also where all is right.
    let kept = serde_json::json!(["out/console.log", "out/network.pcap"]);
    for check in ["pass all is seen", "fail the same boot"] {
        assert_eq!(report.trial(check)["picture"]["files"], kept);
    }
    let log = fs::read_to_string(world.path().join("out/console.log")).unwrap();
    assert_eq!(
        log.matches("init: on aarch64").count(),
        1,
        "one boot: {log}"
    );
    let pcap = fs::read(world.path().join("out/network.pcap")).unwrap();
    assert!(pcap.len() >= 24 && pcap[..4] == 0xa1b2_c3d4_u32.to_ne_bytes());
}

#[test]
fn what_is_wrong_with_a_boot_is_said() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let report = run(
        &world,
        &checks(&[
            (
                "fail out of order",
                "off",
                "sees: [second line, init. on]",
                "problem: null",
            ),
            (
                "pass a panic is a fault",
                "exit",
                "sees: [machine login]",
                "end: fault, fault: { kind: panic, line: { contain: Attempted to kill init } }, missing: [machine login]",
            ),
            (
                "fail a panic",
                "exit",
                "sees: [machine login]",
                "problem: null",
            ),
            (
                "error a panic that nobody asks for",
                "exit",
                "sees: [machine login]",
                "missing: { len: 1 }",
            ),
            (
                "error not seen and nobody asks",
                "off",
                "sees: [second line, init. on]",
                "end: 'off'",
            ),
            (
                "fail an emergency shell",
                "shell",
                "sees: [machine login]",
                "problem: null",
            ),
            (
                "fail what is forbidden",
                "chatter",
                "sees: [machine login], never: ['still here$']",
                "problem: null",
            ),
            (
                "fail a step that is late",
                "chatter",
                "sees: [{ pattern: second line, within: 60s }, { pattern: machine login, within: 50ms }]",
                "problem: null",
            ),
            (
                "fail it restarts",
                "restart",
                "sees: [second line], then: wait",
                "problem: null",
            ),
            (
                "fail nobody listens to the button",
                "chatter",
                "sees: [{ pattern: second line, within: 60s }], then: power-button, within: 300ms",
                "problem: null",
            ),
        ]),
    );
    report.as_named();
    for (check, said) in [
        ("fail out of order", "the machine powered off after"),
        ("fail out of order", "before /init. on/ was seen"),
        ("fail a panic", "the kernel panicked after"),
        (
            "error a panic that nobody asks for",
            "a check that names `problem`",
        ),
        (
            "fail an emergency shell",
            "went into an emergency shell after",
        ),
        ("fail what is forbidden", "what must never be seen was seen"),
        (
            "fail a step that is late",
            "/machine login/ was not seen within",
        ),
        ("fail a step that is late", "init: still here"),
        ("fail it restarts", "did not power off but restarted"),
        (
            "fail nobody listens to the button",
            "the machine did not power off within",
        ),
    ] {
        let why = report.why(check);
        assert!(why.contains(said), "{check}: {why}");
    }
}

#[test]
fn a_boot_ends_in_the_time_of_its_check() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let all = check(
        "fail no time",
        "chatter",
        "sees: [machine login]",
        "problem: null",
    );
    let begin = Instant::now();
    let report = run(&world, &spec(&[&format!("{all}, timeout: 4s")]));
    assert!(begin.elapsed() < Duration::from_secs(20));
    report.as_named();
    let why = report.why("fail no time");
    assert!(why.contains("in all the time of the check"), "{why}");
}
