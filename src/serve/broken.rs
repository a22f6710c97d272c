//! Packets that are none: they are answered with nothing, and told; of a flood, one line a second.

use super::event::{Event, OnEvent};
use crate::model::value::clip;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How often they are told at most.
const EACH: Duration = Duration::from_secs(1);

/// Counts the packets that are none, of one server.
pub struct Broken {
    server: &'static str,
    on_event: OnEvent,
    /// When some were told last.
    told: Option<Instant>,
    /// Those that have not been told yet, and the last of them.
    untold: u64,
    last: Option<(SocketAddr, String)>,
}

impl Broken {
    /// Begins to count.
    pub fn new(server: &'static str, on_event: OnEvent) -> Self {
        Self {
            server,
            on_event,
            told: None,
            untold: 0,
            last: None,
        }
    }

    /// Counts one; the first is told at once.
    pub fn met(&mut self, from: SocketAddr, why: &str) {
        self.untold += 1;
        self.last = Some((from, clip(why, 200)));
        if self.due().is_some_and(|left| left.is_zero()) {
            self.tell();
        }
    }

    /// Takes the next packet of a socket, and tells in time what has not been told.
    pub async fn next(
        &mut self,
        socket: &UdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        while let Some(left) = self.due() {
            match tokio::time::timeout(left, socket.recv_from(buffer)).await {
                Ok(came) => return came,
                Err(_) => self.tell(),
            }
        }
        socket.recv_from(buffer).await
    }

    /// Gives for how long what has not been told has to wait.
    fn due(&self) -> Option<Duration> {
        self.last.as_ref()?;
        let since = self.told.map_or(EACH, |told| told.elapsed());
        Some(EACH.saturating_sub(since))
    }

    fn tell(&mut self) {
        if let Some((from, why)) = self.last.take() {
            (self.on_event)(&Event::Broken {
                server: self.server,
                from,
                count: self.untold,
                why,
            });
            self.untold = 0;
            self.told = Some(Instant::now());
        }
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_flood_is_one_line_a_second_and_each_packet_is_counted() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&lines);
        let on_event: OnEvent = Arc::new(move |event| taken.lock().unwrap().push(event.clone()));
        let from = SocketAddr::from(([10, 0, 0, 1], 9));
        let begin = Instant::now();
        let mut broken = Broken::new("tftp", on_event);
        for _ in 0..100_000 {
            broken.met(from, "it is no request");
        }
        drop(broken);
        let seconds = begin.elapsed().as_secs();
        let lines = lines.lock().unwrap();
        // The first, one for each second, and the last.
        assert!(lines.len() as u64 <= seconds + 2, "{}", lines.len());
        let counts = lines.iter().map(|line| match line {
            Event::Broken { count, .. } => *count,
            other => panic!("{other:?}"),
        });
        assert_eq!(counts.sum::<u64>(), 100_000);
        assert_eq!(
            lines[0].human(),
            "tftp   1 broken packet, from 10.0.0.1:9: it is no request"
        );
        assert!(lines[1].human().contains("broken packets, the last from"));
    }
}
