//! How a boot ends where QEMU is not there or breaks down, or tdg is killed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use super::{check, machine, machines_of, nothing_is_left, run, spec, wait};
use crate::world::{Report, World, ran, ran_while};

/// A folder of programs with what a boot needs beside QEMU, and a script in its place.
fn programs(world: &World, qemu: Option<&str>) -> PathBuf {
    let folder = world.path().join("programs");
    fs::create_dir_all(&folder).unwrap();
    for name in ["sh", "rm"] {
        let _ = symlink(Path::new("/bin").join(name), folder.join(name));
    }
    if let Some(script) = qemu {
        let program = folder.join("qemu-system-aarch64");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn where_no_machine_comes_about_nothing_is_judged() {
    let world = World::new();
    world.write("vmlinuz", "no kernel");
    world.write("initrd", "no initramfs");
    fs::create_dir(world.path().join("tmp")).unwrap();
    for (qemu, said) in [
        (
            None,
            vec![
                "`qemu-system-aarch64` is not here",
                "install qemu-system-arm",
            ],
        ),
        (
            Some(
                "#!/bin/sh\necho 'qemu: warning: slow' >&2\necho 'qemu: no such board' >&2\nexit 1\n",
            ),
            vec!["QEMU does not start: qemu: no such board\""],
        ),
        (Some("#!/bin/sh\nexit 0\n"), vec!["QEMU does not start"]),
    ] {
        let mut command = world.command(&["run", "specs", "--format", "json"]);
        let check = check("error it", "off", "then: wait", "problem: null");
        world.write("specs/it.yaml", spec(&[&check]));
        command
            .env("PATH", programs(&world, qemu))
            .env("TMPDIR", world.path().join("tmp"));
        let report = Report::of(ran(&mut command));
        report.as_named();
        for said in said {
            let why = report.why("error it");
            assert!(why.contains(said), "{why}");
        }
        nothing_is_left(&world);
    }
    let mut missing = check("error no kernel", "off", "then: wait", "problem: null");
    missing = missing.replace("kernel: vmlinuz", "kernel: nowhere");
    let report = run(&world, &spec(&[&missing]));
    report.as_named();
    assert!(report.why("error no kernel").contains("nowhere"));
}

fn signal_qemu(world: &World, signal: Signal) {
    for pid in machines_of(world.path()) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.starts_with("qemu") {
            kill(pid, signal).unwrap();
        }
    }
}

#[test]
fn a_qemu_that_breaks_down_is_no_verdict_on_the_machine() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let check = check(
        "error it",
        "chatter",
        "sees: [machine login], keep: out",
        "problem: null",
    );
    world.write("specs/it.yaml", spec(&[&check]));
    let mut command = world.command(&["run", "specs", "--format", "json"]);
    command.env("TMPDIR", world.path().join("tmp"));
    let ran = ran_while(&mut command, |_| {
        says(&world, "still here");
        signal_qemu(&world, Signal::SIGKILL);
    });
    let report = Report::of(ran);
    report.as_named();
    assert!(report.why("error it").contains("QEMU broke down"));
    nothing_is_left(&world);
}

#[test]
fn a_qemu_that_something_else_ends_is_no_machine_that_powered_off() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    for then in ["wait", "power-button"] {
        let more = format!("sees: [still here], then: {then}, keep: out");
        let check = check("error it", "chatter", &more, "problem: null");
        world.write("specs/it.yaml", spec(&[&check]));
        let mut command = world.command(&["run", "specs", "--format", "json"]);
        command.env("TMPDIR", world.path().join("tmp"));
        let ran = ran_while(&mut command, |_| {
            says(&world, "still here");
            // It ends in order, with exit code 0.
            signal_qemu(&world, Signal::SIGTERM);
        });
        let report = Report::of(ran);
        report.as_named();
        let why = report.why("error it");
        assert!(why.contains("QEMU broke down"), "{why}");
        nothing_is_left(&world);
        fs::remove_file(world.path().join("out/console.log")).unwrap();
    }
}

/// Waits until the console that is kept says something.
fn says(world: &World, what: &str) {
    let log = world.path().join("out/console.log");
    let said = || fs::read_to_string(&log).is_ok_and(|log| log.contains(what));
    wait("the machine does not come up", said);
}

#[test]
fn nothing_is_left_of_a_run_that_is_interrupted_or_killed() {
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let check = check(
        "error it",
        "chatter",
        "sees: [machine login], keep: out",
        "problem: null",
    );
    world.write("specs/it.yaml", spec(&[&check]));
    let command = || -> Command {
        let mut command = world.command(&["run", "specs", "--format", "json"]);
        command.env("TMPDIR", world.path().join("tmp"));
        command
    };
    let ran = ran_while(&mut command(), |pid| {
        says(&world, "still here");
        assert!(!machines_of(world.path()).is_empty());
        kill(pid, Signal::SIGINT).unwrap();
    });
    assert_eq!(ran.code, 130, "{}{}", ran.stdout, ran.stderr);
    nothing_is_left(&world);
    fs::remove_file(world.path().join("out/console.log")).unwrap();
    ran_while(&mut command(), |pid| {
        says(&world, "still here");
        kill(pid, Signal::SIGINT).unwrap();
        // The second one does not wait until the first has been seen to.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let _ = kill(pid, Signal::SIGINT);
    });
    nothing_is_left(&world);
    fs::remove_file(world.path().join("out/console.log")).unwrap();
    ran_while(&mut command(), |pid| {
        says(&world, "still here");
        kill(pid, Signal::SIGKILL).unwrap();
    });
    nothing_is_left(&world);
}
