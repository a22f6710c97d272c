//! The kind `boot`: Debian's kernel with an init of the test's own, in a real QEMU.

mod amd64;
mod console;
mod ends;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::images::cpio;
use crate::peers::{fetched, peer};
use crate::world::{Report, World, ran};

/// What the machine does, by a word of its command line: the kernel gives `act=…` to it as a variable.
const INIT: &str = r#"#!/bin/busybox sh
echo "init: on $(/bin/busybox uname -m)"
echo "init: second line"
case "$act" in
  off) /bin/busybox poweroff -f ;;
  restart) /bin/busybox reboot -f ;;
  prompt) printf '\033[1mmachine\033[0m login: ' ;;
  shell) echo 'You are in emergency mode. After logging in, type "journalctl -xb" to view' ;;
  exit) exit 1 ;;
  chatter) while :; do echo "init: still here"; /bin/busybox usleep 20000; done ;;
esac
/bin/busybox sleep 1000
"#;

/// Makes the initramfs `initrd` in the world's folder, and links the kernel `vmlinuz` there.
fn machine(world: &World) -> Option<()> {
    let peers = fetched()?;
    let tool = peer("cpio")?;
    peer("qemu-system-aarch64")?;
    symlink(peers.join("vmlinuz"), world.path().join("vmlinuz")).unwrap();
    world.write("root/init", INIT);
    world.mode("root/init", 0o755);
    fs::create_dir_all(world.path().join("root/bin")).unwrap();
    let busybox = world.path().join("root/bin/busybox");
    fs::copy(peers.join("arm64/bin/busybox"), busybox).unwrap();
    let root = world.path().join("root");
    let archive = cpio(&tool, &root, "newc", &["init", "bin", "bin/busybox"]);
    world.write("initrd", archive);
    fs::create_dir(world.path().join("tmp")).unwrap();
    Some(())
}

/// The processes of QEMU that were started for a folder.
fn machines_of(folder: &Path) -> Vec<Pid> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        if words.contains(&folder) && words.contains("qemu-system-") {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

fn wait(what: &str, until: impl Fn() -> bool) {
    let begin = Instant::now();
    while !until() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Tells that nothing of a boot is left: no process, no folder.
fn nothing_is_left(world: &World) {
    let folders = || fs::read_dir(world.path().join("tmp")).unwrap().count();
    wait("a machine is left", || machines_of(world.path()).is_empty());
    wait("a folder is left", || folders() == 0);
}

fn spec(checks: &[&str]) -> String {
    let checks: String = checks.iter().map(|c| format!("  - {{ {c} }}\n")).collect();
    format!("spec: boot\nchecks:\n{checks}")
}

fn run(world: &World, spec: &str) -> Report {
    world.write("specs/it.yaml", spec);
    let mut command = world.command(&["run", "specs", "--format", "json", "--jobs", "2"]);
    let report = Report::of(ran(command.env("TMPDIR", world.path().join("tmp"))));
    nothing_is_left(world);
    report
}

/// A check of a boot of the machine above: its name, more arguments, what is expected.
fn check(name: &str, act: &str, more: &str, expect: &str) -> String {
    format!(
        "name: {name}, boot: {{ arch: arm64, kernel: vmlinuz, initrd: initrd, memory: 256 MiB, \
         cmdline: 'console=ttyAMA0 act={act}', {more} }}, expect: {{ {expect} }}"
    )
}

fn checks(rows: &[(&str, &str, &str, &str)]) -> String {
    let all: Vec<String> = rows
        .iter()
        .map(|(name, act, more, expect)| check(name, act, more, expect))
        .collect();
    spec(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn what_is_no_machine_is_said_before_anything_runs() {
    let world = World::new();
    for (more, said) in [
        ("memory: 1 KiB, then: wait", "`memory` is from 16 MiB"),
        ("cpus: 0, then: wait", "`cpus` is from 1"),
        ("sees: []", "nothing is waited for"),
        ("sees: ['(']", "`sees`: regex parse error"),
        ("sees: ['a*']", "matches a line with nothing in it"),
        (
            "never: [''], then: wait",
            "matches a line with nothing in it",
        ),
        (
            "sees: [{ pattern: a, within: 0s }]",
            "`within` is a time that is not zero",
        ),
        ("mac: '52:54:00:12:34:56', then: wait", "`network: true`"),
        (
            "network: true, mac: '52:54:00:12:34', then: wait",
            "is no MAC address",
        ),
        ("serial: one, then: wait", "told by firmware"),
        ("then: explode", "not a value this can have"),
    ] {
        let check = check("it", "off", more, "problem: null").replace("memory: 256 MiB, ", "");
        world.write("specs/it.yaml", spec(&[&check]));
        let ran = world.tdg(&["run", "specs"]);
        assert_eq!(ran.code, 3, "{more}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{more}: {}", ran.stderr);
    }
}
