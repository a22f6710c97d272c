//! TFTP servers of a test's own, and a way to them on which packets are lost.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::images::Random;
use crate::peers::peer;

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gives a UDP port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Starts tftpd-hpa on the files of a folder; `resend` is after how long it sends again. `None` where
/// it is missing.
pub(crate) fn tftpd(folder: &Path, resend: Duration) -> Option<(Running, u16)> {
    let program = peer("in.tftpd")?;
    let port = free_port();
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .unwrap()
        .unwrap()
        .name;
    let child = Command::new(program)
        .args([
            "--listen",
            "--foreground",
            "--address",
            &format!("127.0.0.1:{port}"),
        ])
        .args(["--user", &user, "--permissive"])
        .args(["--retransmit", &resend.as_micros().to_string()])
        .arg(folder)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    // It listens once a request for nothing is answered.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let begin = Instant::now();
    loop {
        let _ = socket.send_to(b"\0\x01/nowhere\0octet\0", ("127.0.0.1", port));
        if socket.recv_from(&mut [0; 100]).is_ok() {
            return Some((running, port));
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no tftpd");
    }
}

/// A relay between a client and a server. What it does with a packet is said by a closure: how many
/// times it passes. The first argument tells whether it goes to the client.
pub(crate) struct Relay {
    pub(crate) port: u16,
    pub(crate) lost: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Relay {
    /// Loses some of a hundred packets each way, the same ones each time.
    pub(crate) fn losing(server: u16, percent: usize) -> Self {
        let mut random = Random::new(7);
        Self::start(server, move |_, _| {
            usize::from(random.below(100) >= percent)
        })
    }

    pub(crate) fn start(
        server: u16,
        mut pass: impl FnMut(bool, &[u8]) -> usize + Send + 'static,
    ) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = front.local_addr().unwrap().port();
        let (lost, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (losses, stopped) = (Arc::clone(&lost), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut back = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut client: Option<SocketAddr> = None;
            let first = SocketAddr::from(([127, 0, 0, 1], server));
            let mut to = first;
            front
                .set_read_timeout(Some(Duration::from_micros(200)))
                .unwrap();
            back.set_read_timeout(Some(Duration::from_micros(200)))
                .unwrap();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = front.recv_from(&mut buffer) {
                    if client != Some(from) {
                        client = Some(from);
                        to = first;
                        back = UdpSocket::bind("127.0.0.1:0").unwrap();
                        back.set_read_timeout(Some(Duration::from_micros(200)))
                            .unwrap();
                    }
                    let times = pass(false, &buffer[..length]);
                    losses.fetch_add(usize::from(times == 0), Ordering::Relaxed);
                    for _ in 0..times {
                        let _ = back.send_to(&buffer[..length], to);
                    }
                }
                while let Ok((length, from)) = back.recv_from(&mut buffer) {
                    to = from;
                    let times = pass(true, &buffer[..length]);
                    losses.fetch_add(usize::from(times == 0), Ordering::Relaxed);
                    for _ in 0..times {
                        let _ = front.send_to(&buffer[..length], client.unwrap());
                    }
                    if times > 0 {
                        break;
                    }
                }
            }
        });
        Self { port, lost, stop }
    }
}

/// A server that answers the first packet of each client as a closure says: the packets to send, the
/// second ones from another port.
pub(crate) fn liar(answer: impl Fn(&[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let (mine, strange) = answer(&buffer[..length]);
            for packet in mine {
                let _ = socket.send_to(&packet, from);
            }
            for packet in strange {
                let _ = other.send_to(&packet, from);
            }
        }
    });
    port
}
