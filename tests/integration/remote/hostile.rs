//! Servers that lie, hang and do not end.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::servers::{Asked, Liar, part, range, say};
use crate::world::{Ran, World};

const SIZE: usize = 3 << 20;

fn bytes() -> Vec<u8> {
    super::noise(7, SIZE)
}

/// Reads an address to its end; it ends soon, whatever the server does.
fn cat(world: &World, url: &str, arguments: &[&str]) -> Ran {
    let begin = Instant::now();
    let ran = world.tdg(&[&["cat", url][..], arguments].concat());
    assert!(
        begin.elapsed() < Duration::from_secs(25),
        "{:?}",
        begin.elapsed()
    );
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    ran
}

type Answer = fn(&Asked, &mut TcpStream) -> std::io::Result<()>;

#[test]
fn a_server_that_lies_is_an_error_that_says_how() {
    let world = World::new();
    let cases: &[(&str, Answer, &str)] = &[
        (
            "no Content-Range",
            |_, s| say(s, "206 Partial Content", "", &[1; 100]),
            "does not say which",
        ),
        (
            "another part",
            |_, s| {
                say(
                    s,
                    "206 Partial Content",
                    "Content-Range: bytes 5-104/200\r\n",
                    &[1; 100],
                )
            },
            "the server sends 5-104",
        ),
        (
            "a shorter part",
            |_, s| {
                say(
                    s,
                    "206 Partial Content",
                    "Content-Range: bytes 0-9/200\r\n",
                    &[1; 10],
                )
            },
            "asked for bytes 0-199",
        ),
        (
            "an unknown size",
            |_, s| {
                say(
                    s,
                    "206 Partial Content",
                    "Content-Range: bytes 0-99/*\r\n",
                    &[1; 100],
                )
            },
            "does not say which",
        ),
        (
            "fewer bytes than announced",
            |_, s| {
                say(
                    s,
                    "206 Partial Content",
                    "Content-Range: bytes 0-99/100\r\n",
                    &[1; 60],
                )
            },
            "announces 100 bytes and sends 60",
        ),
        (
            "more bytes than announced",
            |_, s| {
                say(
                    s,
                    "206 Partial Content",
                    "Content-Range: bytes 0-99/100\r\n",
                    &[1; 160],
                )
            },
            "announces 100 bytes and sends 160",
        ),
        (
            "a size beyond all disks that is not there",
            |_, s| {
                let range = format!("Content-Range: bytes 0-262143/{}\r\n", u64::MAX);
                say(s, "206 Partial Content", &range, &[1; 262_144])
            },
            "the server sends 0-262143",
        ),
        (
            "compressed for the way",
            |a, s| part(a, s, &bytes(), "Content-Encoding: gzip\r\n"),
            "Content-Encoding `gzip`",
        ),
        (
            "a tag that changes",
            |a, s| part(a, s, &bytes(), &format!("ETag: \"{}\"\r\n", a.number)),
            "its ETag is another",
        ),
        (
            "a weak tag that changes",
            |a, s| part(a, s, &bytes(), &format!("ETag: W/\"{}\"\r\n", a.number)),
            "its ETag is another",
        ),
        (
            "a time that changes",
            |a, s| {
                let time = format!(
                    "Last-Modified: Thu, 01 Jan 2026 00:00:0{} GMT\r\n",
                    a.number % 9
                );
                part(a, s, &bytes(), &time)
            },
            "its Last-Modified is another",
        ),
        (
            "a size that changes",
            |a, s| part(a, s, &bytes()[..SIZE - a.number], ""),
            "its size is another",
        ),
        (
            "all of it after a part",
            |a, s| match a.number {
                0 => part(a, s, &bytes(), "ETag: \"x\"\r\n"),
                _ => say(s, "200 OK", "ETag: \"y\"\r\n", &bytes()),
            },
            "changed while it was read",
        ),
        (
            "another part later",
            |a, s| match a.number {
                0 => part(a, s, &bytes(), ""),
                _ => say(
                    s,
                    "206 Partial Content",
                    &format!("Content-Range: bytes 0-9/{SIZE}\r\n"),
                    &[1; 10],
                ),
            },
            "the server sends 0-9",
        ),
        (
            "a redirect to nowhere",
            |_, s| say(s, "302 Found", "", b""),
            "leads nowhere",
        ),
        (
            "a status that is none",
            |_, s| say(s, "299 Odd", "", b"x"),
            "answers 299",
        ),
        (
            "not modified",
            |_, s| say(s, "304 Not Modified", "", b""),
            "answers 304",
        ),
        (
            "no HTTP",
            |_, s| s.write_all(b"SSH-2.0-OpenSSH_9\r\n"),
            "ends too early",
        ),
        ("nothing", |_, _| Ok(()), "ends too early"),
        (
            "a control character in a header",
            |a, s| part(a, s, &bytes(), "Content-Encoding: \x1b[31mred\r\n"),
            "",
        ),
    ];
    for (name, answer, said) in cases {
        let server = Liar::start(answer);
        let ran = cat(&world, &server.url("/x"), &[]);
        assert_eq!(ran.code, 4, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{name}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(&server.url("/x")),
            "{name}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_server_that_hangs_or_does_not_end_is_left() {
    let world = World::new();
    let cases: &[(&str, Answer, &[&str], &str)] = &[
        (
            "nothing comes",
            |_, _| {
                std::thread::sleep(Duration::from_secs(40));
                Ok(())
            },
            &["--timeout", "2s"],
            "within the time given",
        ),
        (
            "a byte now and then",
            |_, s| {
                s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
                for _ in 0..100 {
                    s.write_all(b"x")?;
                    std::thread::sleep(Duration::from_millis(400));
                }
                Ok(())
            },
            &["--timeout", "2s"],
            "within the time given",
        ),
        (
            "a body without an end",
            |_, s| {
                s.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    s.write_all(&[1; 65536])?;
                }
            },
            &["--max-decoded", "8 MiB"],
            "max_decoded",
        ),
        (
            "a part without an end",
            |_, s| {
                s.write_all(
                    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99/100\r\n\r\n",
                )?;
                loop {
                    s.write_all(&[1; 65536])?;
                }
            },
            &[],
            "over the limit",
        ),
        (
            "a length beyond the bound",
            |_, s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nx"),
            &[],
            "max_decoded",
        ),
        (
            "a head without an end",
            |_, s| {
                s.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    s.write_all(b"X-Many: yes\r\n")?;
                }
            },
            &[],
            "ends too early",
        ),
        (
            "one header without an end",
            |_, s| {
                s.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                loop {
                    s.write_all(&[b'x'; 65536])?;
                }
            },
            &[],
            "ends too early",
        ),
        (
            "busy for an hour",
            |_, s| say(s, "503 Service Unavailable", "Retry-After: 3600\r\n", b""),
            &[],
            "answers 503",
        ),
        (
            "always cut",
            |a, s| {
                let (first, last) = range(a, SIZE);
                let length = last - first + 1;
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {first}-{last}/{SIZE}\r\n\r\n"
                );
                s.write_all(head.as_bytes())?;
                s.write_all(&bytes()[first..last])
            },
            &[],
            "ends too early",
        ),
    ];
    for (name, answer, arguments, said) in cases {
        let server = Liar::start(answer);
        let ran = cat(&world, &server.url("/x"), arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (4, ""),
            "{name}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains(said), "{name}: {}", ran.stderr);
    }
}

#[test]
fn what_goes_wrong_once_is_asked_again() {
    let world = World::new();
    let server = Liar::start(|asked, stream| match asked.number {
        0 => say(stream, "503 Service Unavailable", "Retry-After: 0\r\n", b""),
        1 => part(asked, stream, &bytes(), ""),
        2 => stream.write_all(b"HTTP/1.1 206 Partial Con"),
        3 => {
            let (first, last) = range(asked, SIZE);
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{SIZE}\r\n\r\nx",
                last - first + 1
            );
            stream.write_all(head.as_bytes())
        }
        _ => part(asked, stream, &bytes(), ""),
    });
    let output = world.command(&["cat", &server.url("/x")]).output().unwrap();
    assert!(
        output.stdout == bytes(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn credentials_are_told_to_one_server_and_shown_to_nobody() {
    let world = World::new();
    let other = Liar::start(|asked, stream| part(asked, stream, &bytes()[..900_000], ""));
    let there = other.url("/there");
    let first = Liar::start(move |_, stream| {
        say(stream, "302 Found", &format!("Location: {there}\r\n"), b"")
    });
    let url = format!(
        "http://me:my-secret@127.0.0.1:{}/x?token=my-secret#my-secret",
        first.port
    );
    let ran = world.command(&["cat", &url]).output().unwrap();
    assert!(
        ran.stdout == bytes()[..900_000],
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    for asked in first.asked() {
        assert!(
            asked
                .header("authorization")
                .is_some_and(|v| v.starts_with("basic "))
        );
        assert_eq!(asked.path, "/x?token=my-secret");
        let version = format!("tdg/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(asked.header("user-agent"), Some(version.as_str()));
        assert_eq!(asked.header("accept-encoding"), Some("identity"));
    }
    assert!(other.asked().len() > 1);
    for asked in other.asked() {
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("referer"), None);
    }
    // Where a redirect led to is good for a while only: then the way is gone again.
    assert_eq!(first.asked().len(), 1);
    for (address, code) in [
        (format!("{url}!/x"), 4),
        (
            format!(
                "http://me:my-secret@127.0.0.1:{}/x?my-secret",
                first.port + 1
            ),
            4,
        ),
        (
            "http://me:my-secret@no.such.host.invalid/?my-secret".into(),
            4,
        ),
        ("http://me:my-secret@[::1/?my-secret".into(), 4),
        ("https://me:my-secret@/?my-secret".into(), 4),
    ] {
        let ran = world.tdg(&["cat", &address]);
        assert_eq!(ran.code, code, "{address}");
        assert!(!ran.stderr.contains("my-secret"), "{}", ran.stderr);
    }
}

#[test]
fn a_proxy_of_the_environment_is_asked_and_its_password_shown_to_nobody() {
    let world = World::new();
    let proxy = Liar::start(|asked, stream| part(asked, stream, &bytes()[..100_000], ""));
    let through = |port: u16, not: &str| {
        let mut command = world.command(&["cat", "http://no.such.host.invalid/x"]);
        command.env(
            "http_proxy",
            format!("http://me:my-secret@127.0.0.1:{port}"),
        );
        command.env("no_proxy", not).output().unwrap()
    };
    let output = through(proxy.port, "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout == bytes()[..100_000], "{stderr}");
    let asked = proxy.asked();
    assert_eq!(asked[0].path, "http://no.such.host.invalid/x");
    assert!(asked[0].header("proxy-authorization").is_some());
    for (port, not) in [(1, ""), (proxy.port, "host.invalid")] {
        let output = through(port, not);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(
            stderr.contains("no connection") && !stderr.contains("my-secret"),
            "{stderr}"
        );
    }
    assert_eq!(proxy.asked().len(), 1);
}
