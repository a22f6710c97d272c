//! An address taken, and given back: what a server says once it is asked for what it has offered.

use super::{DhcpError, Exchange, Turn, is_ours, transaction};
use crate::format::dhcp::{Machine, Offer, Packet};
use crate::probe::exec::Cancel;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How often RELEASE is sent. Nobody answers it, and it may be lost; a second one does no harm.
const RELEASES: usize = 2;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The address that was asked for.
    pub address: Ipv4Addr,
    /// The server that had offered it, as it names itself.
    pub server: Ipv4Addr,
    /// What that server answered.
    pub answer: Answer,
}

/// What a server answers to REQUEST.
#[derive(Clone, Debug)]
pub enum Answer {
    /// ACK: the address is the machine's. It has been given back (RELEASE).
    Given(Offer),
    /// NAK, with what the server says of it (option 56).
    Refused(Option<String>),
    /// Nothing. As the address may have been given all the same, it has been given back.
    Silence,
}

/// Asks for the address of an offer, and gives it back. `None` where the offer has no address, or does
/// not say whose it is.
///
/// Once it is asked for, it is given back: also where nobody answers in time, and where the end is
/// asked for. Only the sudden death of this process leaves it with the server, until it runs out.
///
/// # Errors
/// Where nothing can be sent, or the end is asked for.
pub fn lease(
    machine: &Machine,
    turn: &Turn<'_>,
    offer: &Offer,
    wait: Duration,
    cancel: &Cancel,
) -> Result<Option<Lease>, DhcpError> {
    let Some(server) = offer.packet.address(54).filter(|_| !offer.is_proxy()) else {
        return Ok(None);
    };
    let (address, xid) = (offer.packet.yiaddr, offer.packet.xid);
    let (socket, to, relay) = turn.way.open()?;
    let request = machine.request(xid, relay, address, server).write();
    let ours = |packet: &Packet| {
        let of_it = packet.address(54) == Some(server);
        of_it && (is_ours(packet, machine, xid, ACK) || is_ours(packet, machine, xid, NAK))
    };
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
    let answers = exchange.carry_out(&ours);
    let refused = |answer: &Offer| answer.packet.option(53) == Some(&[NAK]);
    let first = answers.as_ref().ok().and_then(|answers| answers.first());
    if !first.is_some_and(refused) {
        // A server may give another address than it was asked for.
        let given = first.map(|answer| answer.packet.yiaddr);
        let held = given.filter(|given| !given.is_unspecified());
        let release = machine.release(transaction(), held.unwrap_or(address), server);
        let release = release.write();
        for _ in 0..RELEASES {
            let exchange = Exchange {
                request: &release,
                ..exchange
            };
            exchange.send()?;
        }
    }
    let answer = match answers?.into_iter().next() {
        None => Answer::Silence,
        Some(answer) if refused(&answer) => Answer::Refused(answer.packet.text(56)),
        Some(answer) => Answer::Given(answer),
    };
    Ok(Some(Lease {
        address,
        server,
        answer,
    }))
}

/// The types of message of option 53. Source: RFC 2132 §9.6.
const ACK: u8 = 5;
const NAK: u8 = 6;

#[cfg(test)]
mod tests {
    use super::super::Way;
    use super::*;
    use crate::format::dhcp::Firmware;
    use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
    use std::time::Instant;

    const SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;
    const OFFERED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

    const LONG: Duration = Duration::from_secs(60);

    fn turn(way: &Way, time: Duration) -> Turn<'_> {
        let long = Instant::now() + LONG;
        let mut turn = Turn::take(way, true, long, &Cancel::default()).unwrap();
        // Other tests may have had theirs before.
        turn.deadline = Instant::now() + time;
        turn
    }

    fn machine() -> Machine {
        Machine {
            mac: [2, 0, 0, 0, 0, 7],
            uuid: None,
            arch: 11,
            firmware: Firmware::Pxe,
        }
    }

    fn said(message: u8, address: Ipv4Addr, xid: u32) -> Packet {
        let mut packet = Packet::of(machine().mac, xid);
        packet.reply = true;
        packet.yiaddr = address;
        packet.options = vec![
            (53, vec![message]),
            (54, SERVER.octets().to_vec()),
            (56, b"not here".to_vec()),
        ];
        packet
    }

    /// Takes a lease of a server that answers to REQUEST as it is told: a stand-in, as a real one
    /// refuses or goes silent only by chance. Gives what it got after that.
    fn against(
        answer: Option<(u8, Ipv4Addr)>,
        cancel: &Cancel,
    ) -> (Result<Option<Lease>, DhcpError>, Vec<Packet>) {
        against_within(answer, cancel, LONG)
    }

    fn against_within(
        answer: Option<(u8, Ipv4Addr)>,
        cancel: &Cancel,
        time: Duration,
    ) -> (Result<Option<Lease>, DhcpError>, Vec<Packet>) {
        let server = UdpSocket::bind((SERVER, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let way = Way::Relay {
            server: SocketAddrV4::new(SERVER, port),
            relay: SocketAddrV4::new(SERVER, 0),
        };
        let offer = Offer {
            from: SERVER,
            packet: said(2, OFFERED, 99),
        };
        let heard = std::thread::spawn(move || {
            let (mut buffer, mut heard) = ([0; 2000], Vec::new());
            let mut wait = Duration::from_secs(20);
            loop {
                server.set_read_timeout(Some(wait)).unwrap();
                let Ok((length, SocketAddr::V4(from))) = server.recv_from(&mut buffer) else {
                    return heard;
                };
                let packet = Packet::read(&buffer[..length]).unwrap();
                if packet.option(53) == Some(&[7]) {
                    wait = Duration::from_secs(1);
                } else if let Some((message, address)) = answer {
                    assert_eq!(packet.address(50), Some(OFFERED));
                    // Somebody else's answer comes first.
                    let other = said(message, address, packet.xid ^ 1).write();
                    server.send_to(&other, from).unwrap();
                    let packet = said(message, address, packet.xid).write();
                    server.send_to(&packet, from).unwrap();
                    wait = Duration::from_secs(2);
                }
                heard.push(packet);
            }
        });
        // An answer ends it; where none comes, all of it is waited for.
        let wait = match answer {
            Some(_) => Duration::from_secs(20),
            None => Duration::from_millis(400),
        };
        let turn = turn(&way, time);
        let lease = lease(&machine(), &turn, &offer, wait, cancel);
        (lease, heard.join().unwrap())
    }

    fn released(heard: &[Packet]) -> Vec<Ipv4Addr> {
        let releases = heard.iter().filter(|p| p.option(53) == Some(&[7]));
        releases.map(|packet| packet.ciaddr).collect()
    }

    #[test]
    fn what_is_given_goes_back() {
        let (lease, heard) = against(Some((ACK, OFFERED)), &Cancel::default());
        let lease = lease.unwrap().unwrap();
        assert!(matches!(lease.answer, Answer::Given(_)), "{lease:?}");
        assert_eq!(released(&heard), [OFFERED; RELEASES]);
        let other = Ipv4Addr::new(10, 0, 0, 51);
        let (_, heard) = against(Some((ACK, other)), &Cancel::default());
        assert_eq!(released(&heard), [other; RELEASES]);
    }

    #[test]
    fn what_is_refused_is_not_given_back_and_what_nobody_knows_is() {
        let (lease, heard) = against(Some((NAK, Ipv4Addr::UNSPECIFIED)), &Cancel::default());
        let Answer::Refused(why) = lease.unwrap().unwrap().answer else {
            panic!("refused");
        };
        assert_eq!(why.as_deref(), Some("not here"));
        assert!(released(&heard).is_empty());
        let (lease, heard) = against(None, &Cancel::default());
        assert!(matches!(lease.unwrap().unwrap().answer, Answer::Silence));
        assert_eq!(released(&heard), [OFFERED; RELEASES]);
    }

    #[test]
    fn who_has_no_time_to_wait_does_not_call_it_silence_and_gives_back() {
        let time = Duration::from_millis(100);
        let (lease, heard) = against_within(None, &Cancel::default(), time);
        let late = matches!(lease, Err(DhcpError::Late { answers: 0, .. }));
        assert!(late, "{lease:?}");
        assert_eq!(released(&heard), [OFFERED; RELEASES]);
    }

    #[test]
    fn an_end_that_is_asked_for_gives_back_too() {
        let cancel = Cancel::default();
        cancel.set();
        let (lease, heard) = against(None, &cancel);
        assert!(matches!(lease, Err(DhcpError::Interrupted)), "{lease:?}");
        assert_eq!(released(&heard), [OFFERED; RELEASES]);
    }

    #[test]
    fn proxies_have_no_address_to_take() {
        let way = Way::Interface("nowhere0".into());
        let offer = Offer {
            from: SERVER,
            packet: said(2, Ipv4Addr::UNSPECIFIED, 99),
        };
        let wait = Duration::from_millis(400);
        let lease = lease(
            &machine(),
            &turn(&way, LONG),
            &offer,
            wait,
            &Cancel::default(),
        );
        assert!(lease.unwrap().is_none());
    }
}
