//! Connections over TCP, as far as telling who answers.

use crate::probe::exec::Cancel;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether somebody still wants to know.
const LOOK: Duration = Duration::from_millis(50);
/// The most that is taken of what a server says.
const MAX_SAID: usize = 1024;
/// Addresses of one name that are tried; a client gives up long before.
const MAX_ADDRESSES: usize = 32;

/// What a connection came to, in the words of port scanners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody took it.
    Open,
    /// The machine refused it: nothing listens there.
    Closed,
    /// No answer in the time given, or one that it is forbidden: a firewall, or nobody is there.
    Filtered,
    /// This machine knows no way there.
    Unreachable,
}

impl State {
    /// Gives its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
            Self::Unreachable => "unreachable",
        }
    }

    /// Every name.
    pub const NAMES: [&'static str; 4] = ["open", "closed", "filtered", "unreachable"];
}

/// What to try.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The name or address of a machine.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How long each connection may take, and how long a server may be silent then.
    pub within: Duration,
    /// Whether the addresses behind the first one that is open are tried as well.
    pub all: bool,
    /// Whether to wait for what the server says.
    pub listen: bool,
    /// What to say first.
    pub send: Option<Vec<u8>>,
    /// When all of it has to be over.
    pub deadline: Instant,
}

/// What one address did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The address.
    pub address: IpAddr,
    /// What the connection came to.
    pub state: State,
    /// Why it did not come about.
    pub reason: Option<String>,
    /// How long that took.
    pub took: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The addresses in the order in which they were tried: the first that is open is the last,
    /// unless all were asked for.
    pub tried: Vec<Tried>,
    /// What the first open one said, up to the end of a line and at most 1 KiB of it.
    pub said: Option<Vec<u8>>,
}

impl Answer {
    /// Gives the address that speaks for all: the first one that is open, or else the first.
    pub fn chosen(&self) -> Option<&Tried> {
        let open = self.tried.iter().find(|t| t.state == State::Open);
        open.or(self.tried.first())
    }
}

/// Looks a name up and connects; one address after the other, as the system sorts them.
///
/// # Errors
/// Says why nothing can be known: the name has no address, it took too long, it was stopped.
pub fn connect(ask: Ask, cancel: &Cancel) -> Result<Answer, String> {
    let (send, receive) = mpsc::sync_channel(1);
    let deadline = ask.deadline;
    let host = ask.host.clone();
    // Looking a name up cannot be stopped; whoever waits for it can.
    thread::Builder::new()
        .name("port".into())
        .spawn(move || send.send(tried(&ask)))
        .map_err(|error| format!("the system gives no thread: {error}"))?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receive.recv_timeout(LOOK.min(left)) {
            Ok(answer) => return answer,
            Err(_) if cancel.is_set() => return Err("the run was interrupted".into()),
            Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => {
                return Err(format!("{host} could not be tried within the time given"));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("the thread that asks has ended".into());
            }
        }
    }
}

fn tried(ask: &Ask) -> Result<Answer, String> {
    let found = (ask.host.as_str(), ask.port).to_socket_addrs();
    let found = found.map_err(|error| format!("{} cannot be looked up: {error}", ask.host))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("{} has no address", ask.host));
    }
    let mut answer = Answer::default();
    let mut open = false;
    for address in addresses {
        let begin = Instant::now();
        let left = ask.deadline.saturating_duration_since(begin);
        let within = ask.within.min(left).max(Duration::from_millis(1));
        let connected = TcpStream::connect_timeout(&address, within);
        let took = begin.elapsed();
        let (state, reason) = match &connected {
            Ok(_) => (State::Open, None),
            Err(error) => (failed(error)?, Some(why(error))),
        };
        answer.tried.push(Tried {
            address: address.ip(),
            state,
            reason,
            took,
        });
        if let (Ok(stream), false) = (connected, open) {
            open = true;
            if ask.listen {
                answer.said = said(stream, ask);
            }
            if !ask.all {
                break;
            }
        }
    }
    Ok(answer)
}

/// Tells what an error says about the port. What it says about this machine is none of it.
fn failed(error: &std::io::Error) -> Result<State, String> {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Ok(State::Closed),
        ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::PermissionDenied => {
            Ok(State::Filtered)
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Ok(State::Unreachable),
        _ => Err(format!("no connection could be tried: {error}")),
    }
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".into(),
        ErrorKind::ConnectionRefused => "refused".into(),
        _ => error.to_string(),
    }
}

/// Takes what a server says, up to the end of a line; `None` where it says nothing.
fn said(mut stream: TcpStream, ask: &Ask) -> Option<Vec<u8>> {
    let end = (Instant::now() + ask.within).min(ask.deadline);
    let left = || Some(end.saturating_duration_since(Instant::now())).filter(|l| !l.is_zero());
    if let Some(send) = &ask.send {
        stream.set_write_timeout(left()).ok()?;
        stream.write_all(send).ok()?;
    }
    let mut said = Vec::new();
    let mut piece = [0; MAX_SAID];
    while said.len() < MAX_SAID && !said.contains(&b'\n') {
        let Some(left) = left() else { break };
        if stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => said.extend(piece.iter().take(read)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    said.truncate(MAX_SAID);
    if let Some(line) = said.iter().position(|byte| *byte == b'\n') {
        said.truncate(line);
    }
    if said.last() == Some(&b'\r') {
        said.pop();
    }
    (!said.is_empty()).then_some(said)
}
