//! The kind `boot`: Debian's kernel with an init of the test's own, in a real QEMU.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::images::cpio;
use crate::peers::{fetched, peer};

use crate::world::{Report, World, ran, ran_while};

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
        if words.contains(&folder) && words.contains("qemu-system-aarch64") {
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

#[test]
fn a_machine_of_amd64_tells_the_uuid_and_serial_number_it_was_given() {
    let installer =
        Path::new("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64");
    let world = World::new();
    let (Some(tool), Some(_)) = (peer("cpio"), peer("qemu-system-x86_64")) else {
        return;
    };
    let Ok(mut initrd) = fs::read(installer.join("initrd.gz")) else {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(!strict, "debian-installer-12-netboot-amd64 is missing");
        return;
    };
    fs::create_dir(world.path().join("tmp")).unwrap();
    symlink(installer.join("linux"), world.path().join("vmlinuz")).unwrap();
    world.write(
        "root/init",
        "#!/bin/sh\nmount -t sysfs none /sys\ncd /sys/class/dmi/id\n\
         echo uuid $(cat product_uuid) serial $(cat product_serial)\npoweroff -f\n",
    );
    world.mode("root/init", 0o755);
    // What comes later in an initramfs takes the place of what came before.
    initrd.extend(cpio(&tool, &world.path().join("root"), "newc", &["init"]));
    world.write("initrd", initrd);
    let report = run(
        &world,
        "spec: boot
checks:
  - name: pass told
    boot:
      arch: amd64
      kernel: vmlinuz
      initrd: initrd
      uuid: 30000000-aaaa-4bbb-8ccc-000000000001
      serial: 'tdg,1'
      sees: ['uuid 30000000-aaaa-4bbb-8ccc-000000000001 serial tdg,1']
      then: wait
    timeout: 3m
    expect: { problem: null, end: 'off' }
",
    );
    report.as_named();
}

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
        for pid in machines_of(world.path()) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.starts_with("qemu") {
                kill(pid, Signal::SIGKILL).unwrap();
            }
        }
    });
    let report = Report::of(ran);
    report.as_named();
    assert!(report.why("error it").contains("QEMU broke down"));
    nothing_is_left(&world);
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
        kill(pid, Signal::SIGKILL).unwrap();
    });
    nothing_is_left(&world);
    // At moments from before QEMU runs to after the machine has begun.
    for moment in 0..12u64 {
        ran_while(&mut command(), |pid| {
            thread::sleep(Duration::from_millis(moment * moment * 5));
            kill(pid, Signal::SIGKILL).unwrap();
        });
        nothing_is_left(&world);
    }
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
