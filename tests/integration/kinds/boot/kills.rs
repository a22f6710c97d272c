//! SIGKILL of tdg at random moments of a boot: nothing runs on, and nothing stays.
//!
//! `TDG_KILLS` says how many, `TDG_SEED` repeats a run.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{check, machine, spec, wait};
use crate::booting::uki;
use crate::world::World;

/// Starts tdg on `specs`; what it makes for a while is in `tmp`, which those that it starts know too.
fn start(world: &World, specs: &str) -> Child {
    let mut command = world.command(&["run", specs, "--format", "json"]);
    command.env("TMPDIR", world.path().join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// What runs that was started for the world, by its environment or its command line.
fn at_work(world: &World) -> Vec<String> {
    let folder = world.path().join("tmp");
    let folder = folder.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let has = |bytes: &[u8]| bytes.windows(folder.len()).any(|part| part == folder);
        if has(&read("environ")) || has(&read("cmdline")) {
            let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            found.push(format!("{}: {words}", entry.file_name().display()));
        }
    }
    found
}

#[test]
fn nothing_is_left_whenever_it_is_killed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let kills = number("TDG_KILLS").unwrap_or(20);
    let mut seed = number("TDG_SEED").unwrap_or(0x7d67_0002).max(1);
    eprintln!("TDG_SEED={seed}");
    // xorshift64: the same moments for the same seed, as far as the machine allows.
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as f64 / u64::MAX as f64
    };
    let world = World::new();
    let Some(()) = machine(&world) else { return };
    let Some(_) = uki(&world, "files/uki.efi", "chatter") else {
        return;
    };
    let direct = check(
        "it",
        "chatter",
        "sees: [machine login], keep: out",
        "problem: null",
    );
    world.write("direct/it.yaml", spec(&[&direct]));
    let firmware = "name: it, boot: { arch: arm64, netboot: pxe, boot-file: files/uki.efi, \
                    sees: [machine login], keep: out }, expect: { problem: null }";
    world.write("firmware/it.yaml", spec(&[firmware]));
    let log = world.path().join("out/console.log");
    let up = || fs::read_to_string(&log).is_ok_and(|log| log.contains("still here"));
    let begin = Instant::now();
    let mut child = start(&world, "direct");
    wait("the machine does not come up", up);
    let time = begin.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut hit, mut machines, mut begun) = (0, 0, 0);
    while hit < kills {
        let specs = ["direct", "firmware"][usize::from(begun % 4 >= 2)];
        begun += 1;
        assert!(begun <= 2 * kills, "it ends before it is killed");
        let mut child = start(&world, specs);
        // Some of them come while there is no machine yet.
        thread::sleep(match begun % 3 {
            0 => Duration::from_secs_f64(random() * 0.1),
            _ => time.mul_f64(random() * 1.2),
        });
        let running = child.try_wait().unwrap().is_none();
        let works = at_work(&world);
        machines += u64::from(works.iter().any(|words| words.contains(": qemu-system-")));
        child.kill().unwrap();
        child.wait().unwrap();
        hit += u64::from(running);
        let killed = Instant::now();
        loop {
            let (left, folders) = (at_work(&world), fs::read_dir(world.path().join("tmp")));
            let folders: Vec<_> = folders
                .unwrap()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            if left.is_empty() && folders.is_empty() {
                break;
            }
            assert!(
                killed.elapsed() < Duration::from_secs(20),
                "kill {hit} leaves {left:?} {folders:?}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
    eprintln!("{hit} kills, {machines} of them while a machine ran");
    assert!(0 < machines && machines <= hit);
}
