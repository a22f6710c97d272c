//! Asking DHCP servers what a machine would boot.
//!
//! To [`discover`], only DISCOVER is sent, to which servers answer with what they would offer, and what
//! a boot server is asked on port 4011: nothing is reserved for longer than an offer stands, and there
//! is nothing to give back. A [`lease()`] is taken only by whoever asks for one, and given back.

mod lease;
mod pick;
mod turn;

use crate::format::dhcp::{BOOT_SERVER_PORT, CLIENT_PORT, Machine, Offer, Packet, SERVER_PORT};
use crate::probe::exec::Cancel;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};
use thiserror::Error;

pub use lease::{Answer, Lease, lease};
pub use pick::{Picked, pick};
pub use turn::Turn;

/// When it is asked again where nobody answers, counted from the beginning.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(1000),
    Duration::from_millis(2500),
    Duration::from_millis(5000),
];
/// How long more is waited for others, once an address is offered. ProxyDHCP alone is not enough: who
/// gives addresses may look first, for seconds, whether one is free.
const OTHERS: Duration = Duration::from_millis(700);
/// How often an end that was asked for is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Answers that are kept.
const MOST: usize = 64;

/// The way to the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Broadcast from a network card.
    Interface(String),
    /// To one server, as a relay with this address would.
    Relay {
        /// The server, with its port.
        server: SocketAddrV4,
        /// The relay's address and port; it has to be one of this machine's.
        relay: SocketAddrV4,
    },
}

impl Way {
    /// Whether answers to both would come to one port that has one user.
    fn shares_port(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Relay { relay: one, .. }, Self::Relay { relay: two, .. }) => one == two,
            (Self::Interface(_), _) | (_, Self::Interface(_)) => false,
        }
    }

    /// Opens a socket that answers come to; gives where requests go, and the relay's address.
    fn open(&self) -> Result<(UdpSocket, SocketAddrV4, Option<Ipv4Addr>), DhcpError> {
        Ok(match self {
            Self::Interface(name) => {
                let own = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
                let all = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
                let socket = open(own, Some(name))?;
                if flags(name).is_some_and(|flags| !flags.contains(InterfaceFlags::IFF_UP)) {
                    return Err(DhcpError::Down(name.clone()));
                }
                (socket, all, None)
            }
            Self::Relay { server, relay } => (open(*relay, None)?, *server, Some(*relay.ip())),
        })
    }
}

/// Says why nothing is known of what servers offer.
#[derive(Clone, Debug, Error)]
pub enum DhcpError {
    /// Nobody answered.
    #[error("no offer within {0:.1} s")]
    NoOffer(f32),
    /// The time of whoever asks was over before that of whoever answers.
    #[error("what has to come did not within {seconds:.1} s, and there was no more time")]
    Late {
        /// How long it was waited.
        seconds: f32,
        /// The answers that came, none of which was enough.
        answers: usize,
    },
    /// Others asked for as long as there was time.
    #[error("others asked until the time was over")]
    NoTurn,
    /// The time is over.
    #[error("interrupted")]
    Interrupted,
    /// A port below 1024 may not be used.
    #[error("port {0} may not be used by this user")]
    Privilege(u16),
    /// The port is in use.
    #[error("port {0} is in use")]
    InUse(u16),
    /// This machine has no address from which a boot server can be asked.
    #[error(
        "the boot server {0} has to be asked on port 4011, and this machine has no address there"
    )]
    NoAddress(Ipv4Addr),
    /// Firmware looks for boot servers by broadcast or multicast.
    #[error(
        "the menu leads to boot servers that firmware looks for by {0}, and who would answer is not \
         known"
    )]
    Discovery(&'static str),
    /// The network card is down.
    #[error("the network card `{0}` is down")]
    Down(String),
    /// Nobody answered, and nothing is at the other end of the network card.
    #[error("no offer, and the network card `{0}` has no link")]
    NoLink(String),
    /// Anything else that this machine cannot do.
    #[error("{0}")]
    Local(String),
}

/// Asks, and gives what servers answer, in the order in which it came.
///
/// # Errors
/// Where nobody answers, or nothing can be sent.
pub fn discover(
    machine: &Machine,
    turn: &Turn<'_>,
    wait: Duration,
    cancel: &Cancel,
) -> Result<Vec<Offer>, DhcpError> {
    let (socket, to, relay) = turn.way.open()?;
    let xid = transaction();
    let request = machine.discover(xid, relay).write();
    let ours = |packet: &Packet| is_ours(packet, machine, xid, 2);
    let exchange = Exchange {
        socket: &socket,
        turn,
        to,
        request: &request,
        wait,
        enough: |answers| !answers.iter().all(Offer::is_proxy),
        others: OTHERS,
        cancel,
    };
    let begin = Instant::now();
    let offers = match exchange.carry_out(&ours) {
        Err(DhcpError::Late { answers: 0, .. }) => Vec::new(),
        offers => offers?,
    };
    if !offers.is_empty() {
        return Ok(offers);
    }
    match turn.way {
        Way::Interface(name)
            if flags(name).is_some_and(|flags| !flags.contains(InterfaceFlags::IFF_RUNNING)) =>
        {
            Err(DhcpError::NoLink(name.clone()))
        }
        Way::Interface(_) | Way::Relay { .. } => {
            Err(DhcpError::NoOffer(begin.elapsed().as_secs_f32()))
        }
    }
}

/// Gives the flags of a network card; nothing where that cannot be seen.
pub fn flags(name: &str) -> Option<InterfaceFlags> {
    let mut cards = nix::ifaddrs::getifaddrs().ok()?;
    let card = cards.find(|card| card.interface_name == name)?;
    Some(card.flags)
}

/// Asks a boot server on port 4011, and gives what it answers; `None` where it does not.
///
/// # Errors
/// Where nothing can be sent: an answer needs an address of this machine on the way.
pub fn ask_boot_server(
    machine: &Machine,
    turn: &Turn<'_>,
    server: Ipv4Addr,
    item: Option<u16>,
    wait: Duration,
    cancel: &Cancel,
) -> Result<Option<Offer>, DhcpError> {
    let to = SocketAddrV4::new(server, BOOT_SERVER_PORT);
    let socket = match turn.way {
        Way::Interface(name) => open(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), Some(name))?,
        Way::Relay { relay, .. } => open(SocketAddrV4::new(*relay.ip(), 0), None)?,
    };
    // That sends nothing; it only finds the address of this machine.
    let own = socket.connect(to).and_then(|()| socket.local_addr());
    let own = match own {
        Ok(SocketAddr::V4(own)) if !own.ip().is_unspecified() => *own.ip(),
        Ok(_) | Err(_) => return Err(DhcpError::NoAddress(server)),
    };
    let xid = transaction();
    let request = machine.ask_boot_server(xid, own, item).write();
    let ours = |packet: &Packet| is_ours(packet, machine, xid, 5);
    let exchange = Exchange {
        socket: &socket,
        turn,
        to,
        request: &request,
        wait,
        enough: |answers| !answers.is_empty(),
        others: Duration::ZERO,
        cancel,
    };
    Ok(exchange.carry_out(&ours)?.into_iter().next())
}

fn is_ours(packet: &Packet, machine: &Machine, xid: u32, message: u8) -> bool {
    let said = packet.option(53) == Some(&[message]);
    said && packet.reply && packet.xid == xid && packet.mac == machine.mac
}

/// A question, and the answers to it.
struct Exchange<'e> {
    socket: &'e UdpSocket,
    turn: &'e Turn<'e>,
    to: SocketAddrV4,
    request: &'e [u8],
    wait: Duration,
    /// Whether these answers are all that has to come.
    enough: fn(&[Offer]) -> bool,
    others: Duration,
    cancel: &'e Cancel,
}

impl Exchange<'_> {
    fn send(&self) -> Result<(), DhcpError> {
        let to = self.to;
        match self.socket.send_to(self.request, to) {
            Ok(_) => Ok(()),
            // That is what an earlier request met.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => {
                let what = format!("nothing can be sent to {to}: {error}");
                Err(DhcpError::Local(what))
            }
        }
    }

    fn carry_out(&self, ours: &dyn Fn(&Packet) -> bool) -> Result<Vec<Offer>, DhcpError> {
        let begin = Instant::now();
        // Where others ask besides, a server may have them in hand first.
        let mut beside = 1;
        let mut enough = None;
        self.send()?;
        let mut again = AGAIN.iter().peekable();
        let mut answers: Vec<Offer> = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            beside = beside.max(self.turn.beside());
            let waited_for = begin + self.wait * beside;
            let last = self.turn.deadline.min(waited_for);
            if Instant::now() >= enough.map_or(last, |end: Instant| end.min(last)) {
                // Who had less time than it may take has not kept silent.
                return match enough.is_none() && self.turn.deadline < waited_for {
                    true => Err(DhcpError::Late {
                        seconds: begin.elapsed().as_secs_f32(),
                        answers: answers.len(),
                    }),
                    false => Ok(answers),
                };
            }
            if self.cancel.is_set() {
                return Err(DhcpError::Interrupted);
            }
            let elapsed = begin.elapsed();
            if answers.is_empty() && again.next_if(|after| elapsed >= **after).is_some() {
                self.send()?;
            }
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(came) => came,
                Err(error) if is_silence(&error) => continue,
                Err(error) => {
                    let what = format!("nothing can be received: {error}");
                    return Err(DhcpError::Local(what));
                }
            };
            // What is no packet, or none of ours, is another's business.
            let packet = buffer.get(..length).map(Packet::read);
            let (Some(Ok(packet)), SocketAddr::V4(from)) = (packet, from) else {
                continue;
            };
            let answer = Offer {
                from: *from.ip(),
                packet,
            };
            if ours(&answer.packet) && !answers.contains(&answer) && answers.len() < MOST {
                answers.push(answer);
                if enough.is_none() && (self.enough)(&answers) {
                    enough = Some(Instant::now() + self.others);
                }
            }
        }
    }
}

fn is_silence(error: &std::io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    let kind = error.kind();
    matches!(
        kind,
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}

/// Makes a number for a transaction that nobody guesses.
fn transaction() -> u32 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or_default()
}

impl From<DhcpError> for std::io::Error {
    fn from(error: DhcpError) -> Self {
        let kind = match error {
            DhcpError::Privilege(_) => ErrorKind::PermissionDenied,
            DhcpError::InUse(_) => ErrorKind::AddrInUse,
            DhcpError::NoOffer(_)
            | DhcpError::NoTurn
            | DhcpError::Late { .. }
            | DhcpError::Interrupted
            | DhcpError::NoAddress(_)
            | DhcpError::Discovery(_)
            | DhcpError::Down(_)
            | DhcpError::NoLink(_)
            | DhcpError::Local(_) => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Opens a socket that may broadcast, on one network card alone where one is named.
///
/// # Errors
/// Where the port or the card cannot be had.
pub fn open(at: SocketAddrV4, interface: Option<&str>) -> Result<UdpSocket, DhcpError> {
    let failed = |what: &str, error: nix::Error| match error {
        nix::Error::EACCES | nix::Error::EPERM => DhcpError::Privilege(at.port()),
        nix::Error::EADDRINUSE => DhcpError::InUse(at.port()),
        error => DhcpError::Local(format!("{what}: {}", error.desc())),
    };
    let made = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    );
    let made = made.map_err(|error| failed("no socket", error))?;
    if let Some(name) = interface {
        // Beside another client: what is broadcast comes to both. A relay would lose its answers.
        let reused = setsockopt(&made, sockopt::ReuseAddr, &true);
        reused.map_err(|error| failed("no socket", error))?;
        let bound = setsockopt(&made, sockopt::BindToDevice, &OsString::from(name));
        bound.map_err(|error| failed(&format!("the network card `{name}`"), error))?;
    }
    let bound = bind(
        std::os::fd::AsRawFd::as_raw_fd(&made),
        &SockaddrIn::from(at),
    );
    bound.map_err(|error| failed(&format!("the address {at}"), error))?;
    let socket = UdpSocket::from(made);
    let ready = socket
        .set_broadcast(true)
        .and_then(|()| socket.set_read_timeout(Some(LOOK)));
    ready.map_err(|error| DhcpError::Local(format!("no socket: {error}")))?;
    Ok(socket)
}
