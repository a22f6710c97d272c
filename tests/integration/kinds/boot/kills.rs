//! SIGKILL of tdg at random moments of a boot: nothing runs on, and nothing stays.
//!
//! `TDG_KILLS` says how many, `TDG_SEED` repeats a run.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{check, machine, spec, wait};
use crate::booting::uki;
use crate::kills::{Kills, at_work, left, nothing_left};
use crate::world::World;

/// Starts tdg on `specs`; what it makes for a while is in `tmp`, which those that it starts know too.
fn start(world: &World, specs: &str) -> Child {
    let mut command = world.command(&["run", specs, "--format", "json"]);
    command.env("TMPDIR", world.path().join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn nothing_is_left_whenever_it_is_killed() {
    let mut kills = Kills::new(20, 0x7d67_0002);
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
    while hit < kills.count {
        let specs = ["direct", "firmware"][usize::from(begun % 4 >= 2)];
        begun += 1;
        assert!(begun <= 2 * kills.count, "it ends before it is killed");
        let mut child = start(&world, specs);
        // Some of them come while there is no machine yet.
        thread::sleep(match begun % 3 {
            0 => kills.moment(Duration::from_millis(100)),
            _ => kills.moment(time.mul_f64(1.2)),
        });
        let running = child.try_wait().unwrap().is_none();
        let works = at_work(&world);
        machines += u64::from(works.iter().any(|words| words.contains(": qemu-system-")));
        child.kill().unwrap();
        child.wait().unwrap();
        hit += u64::from(running);
        nothing_left(hit, || left(&world));
    }
    eprintln!("{hit} kills, {machines} of them while a machine ran");
    assert!(0 < machines && machines <= hit);
}
