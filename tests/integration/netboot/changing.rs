//! A file that is changed while `tdg serve` sends it: its client sees that it is not whole.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::serving::Serving;
use crate::world::World;

const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

fn serve(world: &World) -> Serving {
    let more = ["--http-port", "0", "--tftp-port", "0", "--format", "json"];
    Serving::start(world.command(&[&["serve", "boot"], &more[..]].concat()))
}

#[test]
fn over_http_the_connection_ends_before_the_length_that_was_promised() {
    let world = World::new();
    // More than what lies in sockets on the way.
    const SIZE: usize = 64 << 20;
    for change in ["in place", "shorter", "its times"] {
        let path = world.write("boot/image", vec![b'a'; SIZE]);
        let serving = serve(&world);
        let mut stream = TcpStream::connect(("127.0.0.1", serving.port("http"))).unwrap();
        stream.set_read_timeout(LIMIT).unwrap();
        stream
            .write_all(b"GET /assets/image HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut first = vec![0; 1000];
        stream.read_exact(&mut first).unwrap();
        let head = String::from_utf8_lossy(&first).to_lowercase();
        assert!(
            head.contains(&format!("content-length: {SIZE}\r\n")),
            "{head}"
        );
        let file = fs::File::options().write(true).open(&path).unwrap();
        match change {
            "in place" => {
                use std::os::unix::fs::FileExt;
                file.write_all_at(b"b", SIZE as u64 - 1).unwrap();
                // As a program does that does not want it to be seen.
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
            "shorter" => file.set_len(SIZE as u64 / 2).unwrap(),
            _ => file.set_modified(std::time::UNIX_EPOCH).unwrap(),
        }
        let mut rest = Vec::new();
        // It may be reset as well.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < SIZE - 1000, "{change}: {}", rest.len());
        assert!(!rest.contains(&b'b'), "{change}");
        let told = serving.event("http", |event| event["target"] == "/assets/image");
        assert_eq!(
            told["note"], "cut off: it was changed while it was sent",
            "{change}"
        );
        assert!(told["sent"].as_u64().unwrap() < SIZE as u64);
        assert_eq!(serving.get("/assets/image").status, 200, "{change}");
    }
}

#[test]
fn over_tftp_an_error_comes_before_the_last_block() {
    let world = World::new();
    for blocks in [3, 2000] {
        let path = world.write("boot/image", vec![b'a'; 512 * blocks]);
        let serving = serve(&world);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(LIMIT).unwrap();
        let port = serving.port("tftp");
        socket
            .send_to(b"\0\x01image\0octet\0", ("127.0.0.1", port))
            .unwrap();
        let mut buffer = [0; 600];
        let (mut number, mut error) = (0_u16, String::new());
        while error.is_empty() {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let packet = &buffer[..length];
            match packet[1] {
                3 => {
                    assert_eq!(length, 516, "{blocks}: it ends as if it were whole");
                    number = u16::from_be_bytes([packet[2], packet[3]]);
                    if number == 1 {
                        fs::write(&path, vec![b'b'; 512 * blocks]).unwrap();
                    }
                    let ack = [0, 4, packet[2], packet[3]];
                    socket.send_to(&ack, from).unwrap();
                }
                5 => error = String::from_utf8_lossy(&packet[4..length - 1]).into_owned(),
                other => panic!("{other}"),
            }
        }
        assert!(usize::from(number) < blocks, "{number}");
        assert_eq!(error, "it was changed while it was sent");
        let told = serving.event("tftp", |event| event["file"] == "image");
        assert_eq!(told["failure"], "it was changed while it was sent");
        assert!(told["sent"].as_u64().unwrap() < 512 * blocks as u64);
    }
}
