//! A socket whose reader waits asleep or awake, whichever is quicker.
//!
//! TFTP sends a block and waits for one answer, so that a transfer takes as long as the sum of all
//! waits. A reader that sleeps lets its processor sleep too, which then takes up to a hundred
//! microseconds to wake up: longer than the answer of a server near by. A reader that stays awake has
//! no such cost, but where the processors have other work, it keeps the server from one. Which of the
//! two it is changes within a transfer, so it is measured: lap after lap in the quicker way, and now
//! and then one in the other.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg};

/// How long a reader stays awake: a little more than a processor takes to wake up.
const AWAKE: Duration = Duration::from_micros(150);
/// The packets of a lap.
const LAP: u32 = 64;
/// How many laps go by until the slower way is measured again.
const LAPS: u32 = 32;

/// A way of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Asleep,
    Awake,
}

/// A socket that is bound, and how it waits.
pub struct Waiting {
    socket: UdpSocket,
    /// The time-out that is set on the socket.
    waits: Duration,
    pace: Pace,
}

impl Waiting {
    /// Binds a socket to a port that is free.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: UdpSocket::bind(address)?,
            waits: Duration::ZERO,
            pace: Pace::new(Instant::now()),
        })
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// Those of the system.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(bytes, to)
    }

    /// Waits for a packet, for at most twice as long as is wanted, and gives its length and sender.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where none came in time.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        wanted: Duration,
    ) -> io::Result<(usize, SocketAddr)> {
        let at_once = match self.pace.way {
            Way::Asleep => None,
            Way::Awake => self.awake(buffer, wanted.min(AWAKE))?,
        };
        let came = match at_once {
            Some(came) => came,
            None => self.asleep(buffer, wanted.max(Duration::from_millis(1)))?,
        };
        self.pace.packet(Instant::now);
        Ok(came)
    }

    fn asleep(&mut self, buffer: &mut [u8], wanted: Duration) -> io::Result<(usize, SocketAddr)> {
        // A system call for each packet would cost as much as the packet.
        if wanted < self.waits || wanted > self.waits * 2 {
            self.socket.set_read_timeout(Some(wanted))?;
            self.waits = wanted;
        }
        self.socket.recv_from(buffer)
    }

    fn awake(
        &self,
        buffer: &mut [u8],
        wanted: Duration,
    ) -> io::Result<Option<(usize, SocketAddr)>> {
        let begun = Instant::now();
        while begun.elapsed() < wanted {
            let mut into = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            match recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut into, None, flags) {
                Ok(message) => {
                    let from = message.address.as_ref().and_then(address);
                    let from = from.ok_or(ErrorKind::InvalidData)?;
                    return Ok(Some((message.bytes, from)));
                }
                Err(Errno::EAGAIN) => std::hint::spin_loop(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

fn address(stored: &SockaddrStorage) -> Option<SocketAddr> {
    let four = stored
        .as_sockaddr_in()
        .map(|four| SocketAddr::V4((*four).into()));
    four.or_else(|| {
        stored
            .as_sockaddr_in6()
            .map(|six| SocketAddr::V6((*six).into()))
    })
}

/// Which way is quicker, as far as it was measured.
struct Pace {
    way: Way,
    /// What is left of this lap, and when it began.
    packets: u32,
    begun: Instant,
    /// The laps until the other way has its turn.
    laps: u32,
    /// How long a lap takes in either way.
    asleep: Option<Duration>,
    awake: Option<Duration>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            way: Way::Asleep,
            packets: LAP,
            begun: now,
            laps: LAPS,
            asleep: None,
            awake: None,
        }
    }

    /// Counts a packet that came; the clock is looked at where a lap ends.
    fn packet(&mut self, clock: impl Fn() -> Instant) {
        self.packets -= 1;
        if self.packets == 0 {
            let now = clock();
            self.lap(now.duration_since(self.begun));
            self.packets = LAP;
            self.begun = now;
        }
    }

    fn lap(&mut self, took: Duration) {
        let known = match self.way {
            Way::Asleep => &mut self.asleep,
            Way::Awake => &mut self.awake,
        };
        // What is quick is so; what is slow may have been kept from the processor this once.
        *known = Some(match *known {
            Some(usual) if usual < took => (usual * 7 + took) / 8,
            Some(_) | None => took,
        });
        self.laps = self.laps.saturating_sub(1);
        // Being awake costs a processor, so that it has to be worth it.
        let better = match (self.asleep, self.awake) {
            (Some(asleep), Some(awake)) if awake < asleep / 10 * 9 => Way::Awake,
            (Some(_), Some(_)) | (None, _) => Way::Asleep,
            (Some(_), None) => Way::Awake,
        };
        self.way = better;
        if self.laps == 0 {
            self.laps = LAPS;
            // It is measured afresh: what it took long ago says nothing now.
            self.way = match better {
                Way::Asleep => {
                    self.awake = None;
                    Way::Awake
                }
                Way::Awake => {
                    self.asleep = None;
                    Way::Asleep
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn packets_come_in_either_way_in_time_late_and_never() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sender = UdpSocket::bind(here).unwrap();
        for way in [Way::Asleep, Way::Awake] {
            let mut waiting = Waiting::bind(here).unwrap();
            waiting.pace.way = way;
            let to = waiting.socket.local_addr().unwrap();
            let mut buffer = [0; 16];
            let never = waiting.receive(&mut buffer, Duration::from_millis(1));
            assert_eq!(never.unwrap_err().kind(), ErrorKind::WouldBlock);
            sender.send_to(b"there", to).unwrap();
            let long = Duration::from_secs(60);
            let (length, from) = waiting.receive(&mut buffer, long).unwrap();
            assert_eq!(&buffer[..length], b"there");
            assert_eq!(from, sender.local_addr().unwrap());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    sender.send_to(b"late", to).unwrap();
                });
                let (length, _) = waiting.receive(&mut buffer, long).unwrap();
                assert_eq!(&buffer[..length], b"late");
            });
        }
    }

    #[test]
    fn a_sender_is_known_by_either_kind_of_address() {
        for text in ["192.0.2.7:69", "[2001:db8::7]:69", "[fe80::7%3]:1069"] {
            let sender: SocketAddr = text.parse().unwrap();
            assert_eq!(address(&sender.into()), Some(sender), "{text}");
        }
    }

    /// Runs laps, of which one asleep and one awake take so many microseconds, and gives the ways.
    fn laps(pace: &mut Pace, count: usize, asleep: u64, awake: u64) -> Vec<Way> {
        let mut ways = Vec::new();
        for _ in 0..count {
            ways.push(pace.way);
            pace.lap(Duration::from_micros(match pace.way {
                Way::Asleep => asleep,
                Way::Awake => awake,
            }));
        }
        ways
    }

    fn awake(ways: &[Way]) -> usize {
        ways.iter().filter(|way| **way == Way::Awake).count()
    }

    #[test]
    fn the_quicker_way_is_gone_and_the_other_is_tried_now_and_then() {
        let count = 10 * LAPS as usize;
        let mut pace = Pace::new(Instant::now());
        let quiet = laps(&mut pace, count, 7000, 2500);
        assert_eq!(quiet[..2], [Way::Asleep, Way::Awake]);
        assert_eq!(awake(&quiet), count - 10);
        // The processors get other work: sleeping is quicker now, and that is found.
        let busy = laps(&mut pace, count, 1800, 2600);
        assert!(awake(&busy[..2 * LAPS as usize]) <= LAPS as usize + 1);
        assert!(awake(&busy[2 * LAPS as usize..]) <= 10);
        // A server far away: being awake gains nothing, and is left.
        let mut pace = Pace::new(Instant::now());
        assert!(awake(&laps(&mut pace, count, 64_000, 64_000)) <= 11);
    }

    #[test]
    fn one_slow_lap_changes_nothing() {
        let mut pace = Pace::new(Instant::now());
        laps(&mut pace, 8, 7000, 2500);
        assert_eq!(pace.way, Way::Awake);
        laps(&mut pace, 1, 7000, 20_000);
        assert_eq!(laps(&mut pace, 3, 7000, 2500), [Way::Awake; 3]);
    }

    #[test]
    fn a_lap_has_its_packets() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        for _ in 1..LAP {
            pace.packet(|| unreachable!("the lap is not over"));
        }
        pace.packet(|| begun + Duration::from_millis(7));
        assert_eq!(pace.asleep, Some(Duration::from_millis(7)));
        assert_eq!((pace.way, pace.packets), (Way::Awake, LAP));
    }
}
