//! `tdg serve` among strangers: broken packets, slow clients, readers of events that read none.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::serve::{asks, first, request, serve};
use crate::images::Random;
use crate::world::World;

#[test]
fn a_broken_packet_is_answered_with_nothing() {
    let world = World::new();
    world.write("boot/file", "f");
    let serving = serve(&world, "boot", &[]);
    let port = serving.port("tftp");
    let mut long = request(1, "file", "octet");
    long.extend(b"blksize\x00512\x00".repeat(300));
    for broken in [
        &b""[..],
        b"\0",
        b"\0\x01file",
        b"\0\x01file\0octet",
        b"\0\x01file\0octet\0blksize",
        b"\0\x03\0\x01data",
        b"\0\x04\0\x01",
        b"\0\x05\0\x01no\0",
        b"\0\x09file\0octet\0",
        b"\x01\0file\0octet\0",
        &[0xff; 1500],
        &long,
    ] {
        // The first answer is that to what came behind it.
        let answer = first(port, &[broken, &request(1, "file", "octet")]);
        assert_eq!(answer, b"\0\x03\0\x01f", "{broken:?}");
    }
    // The first is told at once, and every one is counted.
    let told = serving.event("broken", |_| true);
    assert_eq!(
        (&told["server"], &told["count"]),
        (&"tftp".into(), &1.into())
    );
    serving.event("broken", |_| {
        let all = serving.events("broken");
        let count: u64 = all.iter().map(|told| told["count"].as_u64().unwrap()).sum();
        count == 12
    });
    let refused = |packet: &[u8]| asks(port, packet)[..4].to_vec();
    assert_eq!(refused(&request(2, "new", "octet")), [0, 5, 0, 2]);
    assert_eq!(refused(&request(1, "file", "netascii")), [0, 5, 0, 0]);
    assert!(!world.path().join("boot/new").exists());
    // Of options that make no sense, none is granted.
    let mut odd = request(1, "file", "octet");
    odd.extend(b"blksize\x007\x00windowsize\x000\x00multicast\x00\x00");
    assert_eq!(asks(port, &odd), b"\0\x03\0\x01f");
}

/// Gives the memory of a process that is in use, in MiB, and how many files it has open.
fn uses(pid: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    (
        kilobytes / 1024,
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
    )
}

#[test]
fn a_thousand_slow_clients_take_nothing_from_the_others() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
    let world = World::new();
    let bytes = Random::new(5).bytes(8 << 20);
    world.write("boot/image", &bytes);
    let serving = serve(&world, "boot", &[]);
    let http = serving.port("http");
    let mut slow = Vec::new();
    for number in 0..1000 {
        let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
        // Every second one never ends its request; the others take nothing of the answer.
        let request: &[u8] = match number % 2 {
            0 => b"GET /assets/image HTTP/1.1\r\nHost: x\r\nX-",
            _ => b"GET /assets/image HTTP/1.1\r\nHost: x\r\n\r\n",
        };
        // It may have been sent away already.
        let _ = stream.write_all(request);
        slow.push(stream);
    }
    // A flood of requests over TFTP, whose answers nobody takes.
    let sockets: Vec<UdpSocket> = (0..1000)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for socket in &sockets {
        socket
            .send_to(
                &request(1, "image", "octet"),
                ("127.0.0.1", serving.port("tftp")),
            )
            .unwrap();
    }
    std::thread::sleep(Duration::from_millis(1200));
    let begin = Instant::now();
    for _ in 0..20 {
        assert!(
            serving.get("/assets/image").body == bytes,
            "something else came"
        );
    }
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "{:?}",
        begin.elapsed()
    );
    let (memory, files) = uses(serving.pid());
    assert!(memory < 256, "{memory} MiB");
    // A quarter of the clients at most holds a connection and a file.
    assert!(files < 700, "{files} files");
    drop(slow);
    assert_eq!(serving.interrupt().0, Some(0));
}

#[test]
fn who_takes_no_events_stops_no_server() {
    let world = World::new();
    world.write("boot/file", "f");
    let more = ["serve", "boot", "--only", "http", "--http-port", "0"];
    let mut command = world.command(&more);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut port = None;
    while port.is_none() {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
        let at = line.trim().strip_suffix('/');
        port = at.and_then(|at| at.rsplit_once(':')?.1.parse::<u16>().ok());
    }
    // More than a pipe and what waits for it hold.
    let target = "x".repeat(500);
    let mut answers = 0;
    for _ in 0..1500 {
        let mut stream = TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap();
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).unwrap();
        let request = format!("GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_err() {
            break;
        }
        answers += usize::from(answer.starts_with(b"HTTP/1.1 404"));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!((answers, ended.and_then(|e| e.code())), (1500, Some(0)));
}
