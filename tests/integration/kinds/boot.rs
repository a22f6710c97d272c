//! The kind `boot`: Debian's kernel with an init of the test's own, in a real QEMU.

mod amd64;
mod console;
mod ends;
mod firmware;
mod kills;
mod network;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::booting::initramfs;
use crate::peers::{fetched, peer};
use crate::world::{Report, World, ran};

/// Makes the initramfs `initrd` in the world's folder, and links the kernel `vmlinuz` there.
fn machine(world: &World) -> Option<()> {
    peer("qemu-system-aarch64")?;
    initramfs(world)?;
    let kernel = fetched()?.join("vmlinuz");
    symlink(kernel, world.path().join("vmlinuz")).unwrap();
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
        ("disk: it, then: wait", "one of `kernel`, `disk`"),
        ("boot-file: it, then: wait", "what `netboot` is offered"),
        ("interface: 'a b', then: wait", "no name of a network card"),
        ("screenshot: true, then: wait", "`keep` says where"),
        ("then: explode", "not a value this can have"),
    ] {
        let check = check("it", "off", more, "problem: null").replace("memory: 256 MiB, ", "");
        world.write("specs/it.yaml", spec(&[&check]));
        let ran = world.tdg(&["run", "specs"]);
        assert_eq!(ran.code, 3, "{more}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{more}: {}", ran.stderr);
    }
    let netboot = "name: it, boot: { arch: arm64, then: wait, MORE }, expect: { problem: null }";
    for (more, said) in [
        ("netboot: pxe", "nobody offers anything"),
        ("netboot: http, boot-file: it", "offers no HTTP boot"),
        (
            "netboot: pxe, boot-file: it, interface: tap0",
            "either the network at",
        ),
        ("disk: it, cmdline: quiet", "belong to a `kernel`"),
        ("cpus: 1", "one of `kernel`, `disk`"),
    ] {
        world.write("specs/it.yaml", spec(&[&netboot.replace("MORE", more)]));
        let ran = world.tdg(&["run", "specs"]);
        assert_eq!(ran.code, 3, "{more}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{more}: {}", ran.stderr);
    }
}
