//! One transfer: what is sent, and when it is sent again.

use crate::format::tftp::send::{Answered, Sender};
use crate::format::tftp::{Agreed, Asked, Code, Packet};
use crate::model::value::clip;
use crate::serve::opened::Opened;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How long the first answer may take.
const FIRST: Duration = Duration::from_secs(1);
/// The least and the most that an answer may take before its window is sent again, where the client
/// does not say it.
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(4);
/// How long a client may be silent before it counts as gone.
pub const SILENCE: Duration = Duration::from_secs(30);
/// How often something is sent again to one who never answered: who asked may be another than who is
/// sent to.
const UNHEARD: u32 = 2;
/// The most seconds between repeats that a client may ask for.
const MAX_TIMEOUT: u8 = 10;
/// Bytes of a window: a larger one is more than queues on the way hold.
const MAX_WINDOW: usize = 128 << 10;
/// Bytes that are read at once.
const AHEAD: u64 = 256 << 10;

/// A transfer.
pub struct Transfer {
    socket: UdpSocket,
    file: Arc<Opened>,
    agreed: Agreed,
    /// Bytes of the file, and where they begin.
    held: (u64, Vec<u8>),
    wait: Duration,
    usual: Option<Duration>,
    again: u64,
    /// When an answer came last, or the transfer began.
    last: Instant,
    /// Whether an answer came at all.
    heard: Arc<AtomicBool>,
    /// How long its client may be silent.
    silence: Duration,
}

/// Why a transfer ended before its end.
type Failure = String;

/// What came.
enum Came {
    Ack(u16),
    Silence,
}

impl Transfer {
    /// Begins one to whom the socket is connected, and who may be silent for so long.
    pub fn new(
        socket: UdpSocket,
        file: Arc<Opened>,
        asked: &Asked,
        heard: Arc<AtomicBool>,
        silence: Duration,
    ) -> Self {
        let agreed = grant(asked, file.size);
        let wait = agreed
            .timeout
            .map_or(FIRST, |seconds| Duration::from_secs(seconds.into()));
        Self {
            socket,
            file,
            agreed,
            held: (0, Vec::new()),
            wait,
            usual: None,
            again: 0,
            last: Instant::now(),
            heard,
            silence,
        }
    }

    /// Carries it out; gives the bytes that arrived, those of the file, how often something was sent
    /// again, and why it is not all of it.
    pub async fn carry_out(mut self) -> (u64, u64, u64, Option<Failure>) {
        let mut sender = Sender::new(self.file.size, self.agreed.block(), self.agreed.window());
        let ended = self.all(&mut sender).await;
        (sender.arrived(), self.file.size, self.again, ended.err())
    }

    async fn all(&mut self, sender: &mut Sender) -> Result<(), Failure> {
        let options = granted(&self.agreed);
        if !options.is_empty() {
            self.agree(&Packet::OptionAck { options }.write()).await?;
        }
        let mut tries = 0;
        loop {
            let window: Vec<_> = sender.window().collect();
            for (number, place) in window {
                let bytes = self.bytes(place).await?;
                let packet = Packet::Data {
                    block: number,
                    bytes: &bytes,
                };
                self.send(&packet.write()).await?;
            }
            let sent = Instant::now();
            loop {
                let left = self.wait.saturating_sub(sent.elapsed());
                let end = match self.came(left).await? {
                    Came::Ack(number) => sender.take(number),
                    Came::Silence => {
                        sender.silence();
                        self.again += 1;
                        tries += 1;
                        self.slower(tries)?;
                        break;
                    }
                };
                match end {
                    Answered::Nothing => {}
                    Answered::Again => {
                        self.again += 1;
                        break;
                    }
                    Answered::Next => {
                        // An answer to what was sent twice tells nothing of the time it took.
                        if tries == 0 {
                            self.learn(sent.elapsed());
                        }
                        tries = 0;
                        break;
                    }
                    Answered::Done => return Ok(()),
                }
            }
        }
    }

    /// Says what is granted until the client has heard it.
    async fn agree(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            self.send(packet).await?;
            let sent = Instant::now();
            loop {
                match self.came(self.wait.saturating_sub(sent.elapsed())).await? {
                    Came::Ack(0) => {
                        if tries == 0 {
                            self.learn(sent.elapsed());
                        }
                        return Ok(());
                    }
                    Came::Ack(_) => {}
                    Came::Silence => {
                        self.again += 1;
                        tries += 1;
                        self.slower(tries)?;
                        break;
                    }
                }
            }
        }
    }

    /// Learns from an answer how long one takes.
    fn learn(&mut self, took: Duration) {
        if self.agreed.timeout.is_none() {
            let usual = self.usual.map_or(took, |usual| (usual * 7 + took) / 8);
            self.usual = Some(usual);
            self.wait = (usual * 4).clamp(LEAST, MOST);
        }
    }

    fn slower(&mut self, tries: u32) -> Result<(), Failure> {
        let unheard = !self.heard.load(Ordering::Relaxed) && tries > UNHEARD;
        if unheard || self.last.elapsed() >= self.silence {
            return Err("nothing comes from there any more".to_owned());
        }
        if self.agreed.timeout.is_none() {
            self.wait = (self.wait * 2).min(MOST);
        }
        Ok(())
    }

    async fn send(&self, packet: &[u8]) -> Result<(), Failure> {
        match self.socket.send(packet).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err("nobody is there any more".to_owned())
            }
            // A full queue is as good as a lost packet.
            Err(_) => Ok(()),
        }
    }

    async fn came(&mut self, within: Duration) -> Result<Came, Failure> {
        let end = Instant::now() + within;
        let mut buffer = [0; 600];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(came) = tokio::time::timeout(left, self.socket.recv(&mut buffer)).await else {
                return Ok(Came::Silence);
            };
            let length = match came {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    return Err("nobody is there any more".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            };
            match buffer.get(..length).map(Packet::read) {
                Some(Ok(Packet::Ack { block })) => {
                    self.last = Instant::now();
                    self.heard.store(true, Ordering::Relaxed);
                    return Ok(Came::Ack(block));
                }
                Some(Ok(Packet::Error { code, message })) => {
                    let message = clip(&message, 200);
                    return Err(format!("the client says: {message} (error {code})"));
                }
                // What is no answer is passed over.
                Some(Ok(_) | Err(_)) | None => {}
            }
        }
    }

    /// Gives bytes of the file; where they cannot be had, its client is told so.
    async fn bytes(&mut self, place: Range<u64>) -> Result<Vec<u8>, Failure> {
        let read = self.read(place).await;
        if let Err(why) = &read {
            let (code, message) = (Code::Undefined as u16, why.clone());
            let _ = self.send(&Packet::Error { code, message }.write()).await;
        }
        read
    }

    /// Gives bytes of the file, read ahead. The last ones are given only of a file that is still what
    /// it was at the first.
    async fn read(&mut self, place: Range<u64>) -> Result<Vec<u8>, Failure> {
        if place.end >= self.file.size {
            let file = Arc::clone(&self.file);
            let same = tokio::task::spawn_blocking(move || file.is_same()).await;
            let same = same.map_err(|error| error.to_string())?;
            same.map_err(|error| error.to_string())?;
        }
        let length = usize::try_from(place.end - place.start).unwrap_or(0);
        if let Some(bytes) = self.at(place.start, length) {
            return Ok(bytes);
        }
        let (file, from) = (Arc::clone(&self.file), place.start);
        let most = usize::try_from(AHEAD.min(self.file.size - from)).unwrap_or(0);
        let read = tokio::task::spawn_blocking(move || file.read_at(from, most)).await;
        let read = read.map_err(|error| error.to_string())?;
        self.held = (from, read.map_err(|error| error.to_string())?);
        let bytes = self.at(place.start, length);
        bytes.ok_or_else(|| "the file became shorter".to_owned())
    }

    fn at(&self, from: u64, length: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(from.checked_sub(self.held.0)?).ok()?;
        let bytes = self.held.1.get(start..start.checked_add(length)?)?;
        Some(bytes.to_vec())
    }
}

/// Decides what is granted.
fn grant(asked: &Asked, size: u64) -> Agreed {
    let block = usize::from(asked.blksize.unwrap_or(crate::format::tftp::BLOCK));
    let most = u16::try_from(MAX_WINDOW / block.max(1))
        .unwrap_or(u16::MAX)
        .max(1);
    Agreed {
        blksize: asked.blksize,
        tsize: asked.tsize.then_some(size),
        windowsize: asked.windowsize.map(|window| window.min(most)),
        timeout: asked.timeout.filter(|seconds| *seconds <= MAX_TIMEOUT),
    }
}

fn granted(agreed: &Agreed) -> Vec<(String, String)> {
    let pairs = [
        ("tsize", agreed.tsize.map(|n| n.to_string())),
        ("blksize", agreed.blksize.map(|n| n.to_string())),
        ("windowsize", agreed.windowsize.map(|n| n.to_string())),
        ("timeout", agreed.timeout.map(|n| n.to_string())),
    ];
    let given = pairs.into_iter();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_does_not_say_how_long_its_place_is_kept() {
        let asked = |timeout| Asked {
            timeout: Some(timeout),
            ..Asked::default()
        };
        assert_eq!(grant(&asked(10), 1).timeout, Some(10));
        assert_eq!(grant(&asked(11), 1).timeout, None);
    }

    /// Sends 2,000 bytes to a client that answers the first `answers` blocks and then says nothing;
    /// gives what became of it, how long that took, and what arrived there.
    fn sent_to(
        answers: usize,
        silence: Duration,
    ) -> ((u64, u64, u64, Option<Failure>), Duration, usize) {
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let to = client.local_addr().unwrap();
        let heard = std::thread::spawn(move || {
            let mut buffer = [0; 600];
            let mut packets = 0;
            // The last one says that the transfer is over.
            while let Ok((length, from)) = client.recv_from(&mut buffer)
                && length > 1
            {
                packets += 1;
                if packets <= answers {
                    client.send_to(&[0, 4, buffer[2], buffer[3]], from).unwrap();
                }
            }
            packets
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let begin = Instant::now();
        let ended = runtime.unwrap().block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(to).await.unwrap();
            let file = Arc::new(Opened::text("a".repeat(2000)));
            let asked = Asked::default();
            Transfer::new(socket, file, &asked, Arc::default(), silence)
                .carry_out()
                .await
        });
        let took = begin.elapsed();
        let last = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        last.send_to(b"x", to).unwrap();
        (ended, took, heard.join().unwrap())
    }

    #[test]
    fn a_client_that_falls_silent_is_gone_after_a_while_and_not_before() {
        let silence = Duration::from_millis(700);
        let (ended, took, packets) = sent_to(2, silence);
        let (sent, size, again, failure) = ended;
        assert_eq!((sent, size), (1024, 2000));
        assert_eq!(failure.unwrap(), "nothing comes from there any more");
        assert!(took >= silence, "{took:?}");
        // Meanwhile the third was sent again.
        assert!(again > 1 && packets as u64 > again, "{again} {packets}");
        let (ended, _, packets) = sent_to(4, silence);
        assert_eq!((ended.0, ended.3, packets), (2000, None, 4));
        assert_eq!(SILENCE, Duration::from_secs(30));
    }
}
