//! SIGKILL of `tdg serve` at random moments under load: nothing runs on, and nothing stays.
//!
//! `TDG_KILLS` says how many, `TDG_SEED` repeats a run.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tdg::format::dhcp::{Firmware, Machine};

use super::program;
use crate::images::Random;
use crate::kills::{Kills, left, nothing_left};
use crate::peers::own_network;
use crate::world::World;

/// Set where the test runs in a network of its own.
const INSIDE: &str = "TDG_TEST_INSIDE";
const LIMIT: Option<Duration> = Some(Duration::from_millis(500));

#[test]
fn nothing_is_left_whenever_it_is_killed() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(unshare) = own_network() else { return };
    let own = std::env::current_exe().unwrap();
    // Whatever runs there ends with its first process.
    let done = Command::new(unshare)
        .args(["-rn", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(own)
        .args([
            "--exact",
            "netboot::kills::nothing_is_left_whenever_it_is_killed",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    eprintln!("{said}");
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stdout)
    );
    assert!(said.contains(" of them while"), "{said}");
}

fn start(world: &World) -> Child {
    let mut command = world.command(&["serve", "boot", "--only", "http,tftp,dhcp"]);
    command.env("TMPDIR", world.path().join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// The sockets of the servers that are there: those that listen, and those of datagrams.
fn sockets() -> Vec<String> {
    let ports = [8080_u16, 69, 67, 4011].map(|port| format!(":{port:04X}"));
    let mut found = Vec::new();
    for (table, state) in [("tcp", Some("0A")), ("udp", None)] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let own = ports.iter().any(|port| words[1].ends_with(port.as_str()));
            if own && state.is_none_or(|state| words[3] == state) {
                found.push(format!("{table} {}", words[1]));
            }
        }
    }
    found
}

fn http(answers: &AtomicU64, whole: bool) -> Option<()> {
    let mut stream = TcpStream::connect("127.0.0.1:8080").ok()?;
    stream.set_read_timeout(LIMIT).ok()?;
    stream
        .write_all(b"GET /assets/image HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut bytes = vec![0; 2000];
    stream.read_exact(&mut bytes).ok()?;
    answers.fetch_add(1, Ordering::Relaxed);
    if whole {
        let _ = stream.read_to_end(&mut bytes);
    } else {
        // One that takes nothing more.
        thread::sleep(Duration::from_millis(50));
    }
    Some(())
}

fn tftp(answers: &AtomicU64) -> Option<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(LIMIT).ok()?;
    socket
        .send_to(b"\0\x01image\0octet\0", "127.0.0.1:69")
        .ok()?;
    let mut buffer = [0; 600];
    for _ in 0..200 {
        let (_, from) = socket.recv_from(&mut buffer).ok()?;
        answers.fetch_add(1, Ordering::Relaxed);
        socket.send_to(&[0, 4, buffer[2], buffer[3]], from).ok()?;
    }
    Some(())
}

fn dhcp(answers: &AtomicU64) -> Option<()> {
    let machine = Machine {
        mac: [2, 0, 0, 0, 0, 1],
        uuid: None,
        arch: 19,
        firmware: Firmware::Http,
    };
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(LIMIT).ok()?;
    for port in [67, 69, 4011] {
        socket.send_to(&[0xff; 300], ("127.0.0.1", port)).ok()?;
    }
    let discover = machine.discover(7, Some([127, 0, 0, 1].into()));
    socket.send_to(&discover.write(), "127.0.0.1:67").ok()?;
    socket.recv(&mut [0; 2000]).ok()?;
    answers.fetch_add(1, Ordering::Relaxed);
    Some(())
}

fn inside() {
    let mut kills = Kills::new(10, 0x7d67_0003);
    let world = World::new();
    world.write("boot/image", Random::new(1).bytes(8 << 20));
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    fs::create_dir(world.path().join("tmp")).unwrap();
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut hit, mut busy) = (0, 0);
    let again = |one: &dyn Fn() -> Option<()>| {
        while !stop.load(Ordering::Relaxed) {
            if one().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| again(&|| http(&answers, true)));
        scope.spawn(|| again(&|| http(&answers, false)));
        scope.spawn(|| again(&|| tftp(&answers)));
        scope.spawn(|| again(&|| dhcp(&answers)));
        let _stop = Stop(&stop);
        while hit < kills.count {
            let before = answers.load(Ordering::Relaxed);
            let mut child = start(&world);
            // Some of them come before it listens.
            let most = if hit % 4 == 0 { 30 } else { 400 };
            // And some surely after it answered, however slow the machine is.
            let begin = Instant::now();
            while hit % 4 == 1
                && answers.load(Ordering::Relaxed) == before
                && begin.elapsed() < Duration::from_secs(20)
            {
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(kills.moment(Duration::from_millis(most)));
            let running = child.try_wait().unwrap().is_none();
            busy += u64::from(answers.load(Ordering::Relaxed) > before);
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(running, "it ended by itself");
            hit += 1;
            nothing_left(hit, || (left(&world), sockets()));
        }
    });
    assert_eq!(fs::read_dir(world.path().join("boot")).unwrap().count(), 2);
    let _ = writeln!(
        std::io::stderr(),
        "{hit} kills, {busy} of them while it answered"
    );
    assert!(busy > 0);
}

/// Ends the load, also where the test fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
