//! One transfer: what is sent again and when, and who may answer.

use super::TftpError;
use super::waiting::Waiting;
use crate::format::tftp::{Agreed, Asked, Code, Packet, Receiver, Step, Stopped};
use crate::probe::exec::Cancel;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a request waits for its first answer before it is sent again.
const FIRST: Duration = Duration::from_secs(1);
/// The least and the most that an answer waits for what follows it.
const LEAST: Duration = Duration::from_millis(25);
const MOST: Duration = Duration::from_secs(2);
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often an end that was asked for is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Strangers that are told so; a flood of them is not answered.
const STRANGERS: u64 = 100;

/// What is fetched, and how.
#[derive(Clone, Debug)]
pub struct Fetch<'f> {
    /// The server, with its port.
    pub server: SocketAddr,
    /// The file's name, as the server knows it.
    pub file: &'f str,
    /// The options to ask for.
    pub asked: Asked,
    /// How many bytes may come.
    pub max: u64,
    /// When it has to be over.
    pub deadline: Instant,
    /// Set when the run is to end.
    pub cancel: &'f Cancel,
}

/// How a transfer went.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// The bytes that came.
    pub size: u64,
    /// Whether the last block came; not where the caller wanted no more.
    pub whole: bool,
    /// Why the transfer ended before its end.
    pub stopped: Option<Stopped>,
    /// What was agreed on.
    pub agreed: Agreed,
    /// Whether the server refused to hear of options, and was asked without.
    pub without_options: bool,
    /// The blocks that came in order.
    pub blocks: u64,
    /// How often something had to be sent again.
    pub retransmissions: u64,
    /// Blocks that came again, or out of order.
    pub duplicates: u64,
    /// Packets of others than the server; each was told so.
    pub strangers: u64,
}

/// Fetches a file. Its bytes go to `sink`, in order; where that gives `false`, no more is wanted, and
/// the server is told so.
///
/// # Errors
/// Where nothing came, or what came cannot be put away. A refusal of the server is in what is given.
pub fn get(
    fetch: &Fetch<'_>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<bool>,
) -> Result<Got, TftpError> {
    let got = Transfer::begin(fetch, fetch.asked.clone())?.all(sink)?;
    let unheard = got.size == 0 && fetch.asked != Asked::default();
    match got.stopped {
        // Old servers know no options.
        Some(Stopped::Refused { code: 8, .. }) if unheard => {
            let mut got = Transfer::begin(fetch, Asked::default())?.all(sink)?;
            got.without_options = true;
            Ok(got)
        }
        _ => Ok(got),
    }
}

struct Transfer<'f> {
    fetch: &'f Fetch<'f>,
    socket: Waiting,
    receiver: Receiver,
    /// Where the server sends from; it picks a port for each transfer.
    peer: Option<SocketAddr>,
    begun: Instant,
    got: Got,
    /// How long an answer waits, and what that is made of.
    wait: Duration,
    usual: Option<Duration>,
    sent: Instant,
    /// When something of use came last.
    heard: Instant,
}

impl<'f> Transfer<'f> {
    fn begin(fetch: &'f Fetch<'f>, asked: Asked) -> Result<Self, TftpError> {
        let any: IpAddr = match fetch.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = Waiting::bind((any, 0).into()).map_err(|error| local("no socket", &error))?;
        let now = Instant::now();
        Ok(Self {
            fetch,
            socket,
            receiver: Receiver::new(fetch.file, asked),
            peer: None,
            begun: now,
            got: Got::default(),
            wait: FIRST,
            usual: None,
            sent: now,
            heard: now,
        })
    }

    fn all(mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<bool>) -> Result<Got, TftpError> {
        let request = self.receiver.request();
        self.send(&request)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.look()?;
            let left = self.wait.saturating_sub(self.sent.elapsed());
            if left.is_zero() {
                self.repeat()?;
                continue;
            }
            let (length, from) = match self.socket.receive(&mut buffer, left.min(LOOK)) {
                Ok(came) => came,
                Err(error) if is_silence(&error) => continue,
                Err(error) => return Err(local("nothing can be received", &error)),
            };
            if !self.is_server(from) {
                self.stranger(from);
                continue;
            }
            let datagram = buffer.get(..length).unwrap_or_default();
            let step = self.receiver.take(datagram, self.begun.elapsed());
            match step {
                Step::Wait => {}
                Step::Send(answer) => {
                    self.came();
                    self.too_much(self.receiver.agreed().tsize.unwrap_or(0))?;
                    self.send(&answer)?;
                }
                Step::Bytes {
                    bytes,
                    answer,
                    last,
                } => {
                    self.got.size += bytes.len() as u64;
                    self.came();
                    self.too_much(self.got.size)?;
                    // Answered first: the server goes on while these bytes are put away.
                    if let Some(answer) = answer {
                        self.send(&answer)?;
                    }
                    let more = sink(bytes)
                        .map_err(|error| local("what came cannot be put away", &error))?;
                    if !more && !last {
                        self.leave("no more is wanted");
                        return Ok(self.ended(None));
                    }
                    if last {
                        self.got.whole = true;
                        return Ok(self.ended(None));
                    }
                }
                Step::Stop { why, answer } => {
                    if let Some(answer) = answer {
                        self.send(&answer)?;
                    }
                    return Ok(self.ended(Some(why)));
                }
            }
        }
    }

    fn ended(mut self, stopped: Option<Stopped>) -> Got {
        self.got.stopped = stopped;
        self.got.agreed = self.receiver.agreed().clone();
        self.got.blocks = self.receiver.blocks();
        self.got.duplicates = self.receiver.duplicates();
        self.got
    }

    /// Ends where it has to.
    fn look(&self) -> Result<(), TftpError> {
        let (server, at) = (self.fetch.server.to_string(), self.got.size);
        let over = Instant::now() >= self.fetch.deadline;
        let quiet = self.heard.elapsed() >= PATIENCE;
        let seconds = self.heard.elapsed().as_secs();
        let error = match (self.fetch.cancel.is_set(), self.receiver.has_begun()) {
            (true, _) => TftpError::Interrupted,
            (false, false) if over || quiet => TftpError::NoAnswer { server, seconds },
            (false, true) if quiet => TftpError::Silent {
                server,
                at,
                seconds,
            },
            (false, true) if over => TftpError::Late { server, at },
            (false, _) => return Ok(()),
        };
        self.leave("gone");
        Err(error)
    }

    /// Tells the server that nothing more is waited for; whether it hears that does not matter.
    fn leave(&self, message: &str) {
        if let Some(peer) = self.peer {
            let code = Code::Options as u16;
            let error = Packet::Error {
                code,
                message: message.to_owned(),
            };
            let _ = self.socket.send_to(&error.write(), peer);
        }
    }

    fn too_much(&self, size: u64) -> Result<(), TftpError> {
        if size <= self.fetch.max {
            return Ok(());
        }
        self.leave("too large");
        Err(TftpError::Limit {
            server: self.fetch.server.to_string(),
            limit: "max_decoded",
            value: self.fetch.max,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), TftpError> {
        self.sent = Instant::now();
        let to = self.peer.unwrap_or(self.fetch.server);
        match self.socket.send_to(bytes, to) {
            Ok(_) => Ok(()),
            // A full queue is as good as a lost packet.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::OutOfMemory
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(local(&format!("nothing can be sent to {to}"), &error)),
        }
    }

    fn repeat(&mut self) -> Result<(), TftpError> {
        self.got.retransmissions += 1;
        self.wait = (self.wait * 2).min(MOST);
        let again = self.receiver.silence(self.begun.elapsed());
        self.send(&again)
    }

    /// Learns from an answer how long one takes.
    fn came(&mut self) {
        let now = Instant::now();
        let took = now.duration_since(self.sent);
        self.heard = now;
        // What was sent again tells nothing: the answer may be that to what was sent first.
        if self.wait <= FIRST || self.usual.is_none() {
            let usual = self.usual.map_or(took, |usual| (usual * 7 + took) / 8);
            self.usual = Some(usual.min(MOST));
        }
        self.wait = (self.usual.unwrap_or(FIRST) * 4).clamp(LEAST, MOST);
        self.sent = now;
    }

    fn is_server(&mut self, from: SocketAddr) -> bool {
        match self.peer {
            Some(peer) => peer == from,
            None if from.ip() == self.fetch.server.ip() => {
                self.peer = Some(from);
                true
            }
            None => false,
        }
    }

    /// Tells a stranger that it is none of this transfer, and goes on. Source: RFC 1350 §4.
    fn stranger(&mut self, from: SocketAddr) {
        self.got.strangers += 1;
        if self.got.strangers <= STRANGERS {
            let code = Code::UnknownTransfer as u16;
            let error = Packet::Error {
                code,
                message: "unknown transfer ID".to_owned(),
            };
            let _ = self.socket.send_to(&error.write(), from);
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}

fn local(what: &str, error: &io::Error) -> TftpError {
    TftpError::Local {
        what: format!("{what}: {error}"),
    }
}
