//! One question to one name server: over UDP, and over TCP where the answer does not fit.
//!
//! The messages are read and written by `hickory-proto`. Sources: RFC 1035, RFC 7766.

use crate::probe::exec::Cancel;
use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::{Name, RecordType};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer is waited for before the question is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a question is asked over UDP, where packets are lost.
const TRIES: u32 = 3;
/// How often it is looked whether the run is to end.
const LOOK: Duration = Duration::from_millis(200);

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of which name.
    pub name: Name,
    /// Which records.
    pub record: RecordType,
    /// Whom.
    pub server: SocketAddr,
    /// Whether the server is to ask others.
    pub recurse: bool,
    /// Whether UDP is left out.
    pub tcp: bool,
    /// When it has to be over.
    pub deadline: Instant,
}

/// An answer, and how it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Whether an answer over UDP did not fit.
    pub cut: bool,
}

impl Question {
    /// Asks.
    ///
    /// # Errors
    /// Where no answer to this question comes in time.
    pub fn ask(&self, cancel: &Cancel) -> Result<Reply, String> {
        let mut message = Message::query();
        message.metadata.recursion_desired = self.recurse;
        message.add_query(Query::query(self.name.clone(), self.record));
        let bytes = message.to_vec().map_err(|error| error.to_string())?;
        let failed = |error: io::Error| format!("{}: {}", self.server, said(&error));
        if !self.tcp {
            let reply = self.by_udp(&message, &bytes, cancel).map_err(failed)?;
            if !reply.metadata.truncation {
                return Ok(Reply {
                    message: reply,
                    tcp: false,
                    cut: false,
                });
            }
        }
        let reply = self.by_tcp(&message, &bytes, cancel).map_err(failed)?;
        Ok(Reply {
            message: reply,
            tcp: true,
            cut: !self.tcp,
        })
    }

    fn by_udp(&self, asked: &Message, bytes: &[u8], cancel: &Cancel) -> io::Result<Message> {
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // Packets from elsewhere do not come in, and a closed port is told.
        socket.connect(self.server)?;
        let mut space = vec![0; 65_536];
        for _ in 0..TRIES {
            socket.send(bytes)?;
            let end = self.deadline.min(Instant::now() + PATIENCE);
            while let Some(left) = left(end, cancel)? {
                socket.set_read_timeout(Some(left))?;
                let length = match socket.recv(&mut space) {
                    Ok(length) => length,
                    Err(error) if is_time(&error) => continue,
                    Err(error) => return Err(error),
                };
                // What does not answer the question is of somebody who guesses, or late.
                if let Some(reply) = space.get(..length).and_then(|bytes| reply(asked, bytes)) {
                    return Ok(reply);
                }
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    fn by_tcp(&self, asked: &Message, bytes: &[u8], cancel: &Cancel) -> io::Result<Message> {
        let end = self.deadline.min(Instant::now() + PATIENCE * TRIES);
        let over = || io::Error::from(ErrorKind::TimedOut);
        let patience = end.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err(over());
        }
        let mut stream = TcpStream::connect_timeout(&self.server, patience)?;
        stream.set_write_timeout(Some(patience))?;
        let length =
            u16::try_from(bytes.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        stream.write_all(&[&length.to_be_bytes()[..], bytes].concat())?;
        let mut got = Vec::new();
        let mut wanted = 2;
        let mut space = [0; 4096];
        while got.len() < wanted {
            let left = left(end, cancel)?.ok_or_else(over)?;
            stream.set_read_timeout(Some(left))?;
            let room = (wanted - got.len()).min(space.len());
            match stream.read(space.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => got.extend_from_slice(space.get(..read).unwrap_or_default()),
                Err(error) if is_time(&error) => continue,
                Err(error) => return Err(error),
            }
            if let (2, [high, low]) = (wanted, got.as_slice()) {
                wanted = 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
        }
        let answer = reply(asked, got.get(2..).unwrap_or_default());
        answer.ok_or_else(|| ErrorKind::InvalidData.into())
    }
}

/// Reads a message, if it answers the question.
fn reply(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let read = Message::from_vec(bytes).ok()?;
    let fits = read.metadata.id == asked.metadata.id
        && read.metadata.message_type == MessageType::Response
        && (read.queries == asked.queries || read.queries.is_empty() && read.answers.is_empty());
    fits.then_some(read)
}

/// Gives how long to wait before the next look; `None` where the time is over.
fn left(end: Instant, cancel: &Cancel) -> io::Result<Option<Duration>> {
    if cancel.is_set() {
        return Err(io::Error::other("the run was interrupted"));
    }
    let left = end.saturating_duration_since(Instant::now());
    Ok((!left.is_zero()).then(|| left.min(LOOK)))
}

fn is_time(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => "no answer came".to_owned(),
        ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        ErrorKind::UnexpectedEof => "the connection ended before the answer did".to_owned(),
        ErrorKind::InvalidData => "what came is no answer to the question".to_owned(),
        _ => error.to_string(),
    }
}
