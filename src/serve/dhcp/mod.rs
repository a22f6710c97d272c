//! ProxyDHCP: tells machines that boot what to boot, and gives no addresses.

mod answer;

use super::Site;
use super::broken::Broken;
use super::error::ServeError;
use super::event::{Event, OnEvent};
use crate::format::dhcp::{CLIENT_PORT, Packet, SERVER_PORT};
use crate::probe::dhcp::open;
pub use answer::{Asked, Told, answer};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;

/// The longest packet that is read.
const MAX_PACKET: usize = 4096;

/// A socket that answers.
#[derive(Debug)]
pub struct Dhcp {
    socket: UdpSocket,
    site: Arc<Site>,
    asked: Asked,
    told: Told,
}

/// A network card, with the address that is used on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its first IPv4 address, or the one that was asked for.
    pub address: Ipv4Addr,
    /// Whether only this machine hears it.
    pub loopback: bool,
}

/// Lists the network cards that have an IPv4 address, each address one.
///
/// # Errors
/// Passes on what the system reports.
pub fn cards() -> std::io::Result<Vec<Card>> {
    let cards = getifaddrs()?.filter_map(|card| {
        Some(Card {
            address: card.address?.as_sockaddr_in()?.ip(),
            loopback: card.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            name: card.interface_name,
        })
    });
    Ok(cards.collect())
}

impl Dhcp {
    /// Takes a port. What is broadcast is heard on the card alone; without one, only what is sent to
    /// the address itself, as by relays.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn bind(
        (address, port): (Ipv4Addr, u16),
        card: Option<&str>,
        site: Arc<Site>,
        asked: Asked,
        told: Told,
    ) -> Result<Self, ServeError> {
        let heard = match (asked, card) {
            (Asked::Everybody, Some(_)) => Ipv4Addr::UNSPECIFIED,
            (Asked::Everybody, None) | (Asked::BootServer, _) => address,
        };
        let at = SocketAddrV4::new(heard, port);
        let (server, option, other) = match asked {
            Asked::Everybody => ("dhcp", "--dhcp-port", 1067),
            Asked::BootServer => ("boot-server", "--boot-server-port", 4012),
        };
        let card = card.filter(|_| asked == Asked::Everybody);
        let socket = open(at, card).map_err(|error| {
            let error = std::io::Error::from(error);
            ServeError::bind(server, at.into(), option, other)(error)
        })?;
        let ready = socket
            .set_nonblocking(true)
            .and_then(|()| UdpSocket::from_std(socket));
        Ok(Self {
            socket: ready.map_err(ServeError::local("no socket"))?,
            site,
            asked,
            told,
        })
    }

    /// Gives where it listens.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn at(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until it is dropped, one machine after the other.
    pub async fn run(self, on_event: OnEvent) {
        let mut buffer = vec![0; MAX_PACKET];
        let server = match self.asked {
            Asked::Everybody => "dhcp",
            Asked::BootServer => "boot-server",
        };
        let mut broken = Broken::new(server, Arc::clone(&on_event));
        loop {
            let Ok((length, from)) = broken.next(&self.socket, &mut buffer).await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            // What is no packet is answered with nothing.
            let asked = match Packet::read(buffer.get(..length).unwrap_or_default()) {
                Ok(asked) => asked,
                Err(error) => {
                    broken.met(from, &error.to_string());
                    continue;
                }
            };
            let (site, at, told) = (Arc::clone(&self.site), self.asked, self.told);
            let to = to(&asked, from, at);
            let made = tokio::task::spawn_blocking(move || {
                answer::answer(&asked, at, told, || {
                    // A folder that has no kernel lacks none: its verdict is asked first.
                    let green = site.green().map_err(|why| why.shown().to_owned());
                    green.map(|()| site.kernels())
                })
            });
            let Ok(Some((reply, mut event))) = made.await else {
                continue;
            };
            if let Some(reply) = reply {
                // A machine that did not hear it asks again.
                let sent = self.socket.send_to(&reply.write(), to).await;
                if let (Err(error), Event::Dhcp { note, .. }) = (sent, &mut event) {
                    *note = Some(format!("the answer could not be sent: {error}"));
                }
            }
            on_event(&event);
        }
    }
}

/// Gives where an answer goes. Source: RFC 2131 §4.1; a relay that asks from another port than that
/// of servers hears there.
fn to(asked: &Packet, from: SocketAddr, at: Asked) -> SocketAddr {
    if at == Asked::BootServer {
        from
    } else if asked.giaddr.is_unspecified() {
        // It has no address yet: that it asks from none makes it no relay.
        (Ipv4Addr::BROADCAST, CLIENT_PORT).into()
    } else if from.ip() == asked.giaddr {
        from
    } else {
        (asked.giaddr, SERVER_PORT).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_where_it_is_heard() {
        let mut asked = Packet::of([2, 0, 0, 0, 0, 1], 7);
        let firmware = SocketAddr::from(([0, 0, 0, 0], 68));
        let everybody = SocketAddr::from(([255, 255, 255, 255], 68));
        assert_eq!(to(&asked, firmware, Asked::Everybody), everybody);
        let leased = SocketAddr::from(([10, 0, 0, 9], 68));
        assert_eq!(to(&asked, leased, Asked::Everybody), everybody);
        assert_eq!(to(&asked, leased, Asked::BootServer), leased);
        asked.giaddr = [10, 0, 0, 1].into();
        let relay = SocketAddr::from(([10, 0, 0, 1], 5067));
        assert_eq!(to(&asked, relay, Asked::Everybody), relay);
        let other = SocketAddr::from(([10, 0, 0, 1], 67));
        assert_eq!(to(&asked, leased, Asked::Everybody), other);
    }
}
