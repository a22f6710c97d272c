//! Who may ask now, where several ask at once.
//!
//! A relay's port has one user: its answers come to one socket. So relays take turns. From a network
//! card any number may ask at once, as what is broadcast comes to all of them; but a server that looks
//! whether an address is free answers nobody else for seconds, so that each waits for all.
//! Who takes an address is alone, whatever the way: while it is taken, the next machine may get none.

use super::{DhcpError, LOOK, Way};
use crate::probe::exec::Cancel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who asks now, and who wants to.
struct Asking {
    /// One entry for each that asks: its way, and whether it is alone.
    now: Vec<(Way, bool)>,
    /// How many wait to be alone; nobody begins before them.
    alone: usize,
}

static ASKING: Mutex<Asking> = Mutex::new(Asking {
    now: Vec::new(),
    alone: 0,
});
static ENDED: Condvar = Condvar::new();

/// How many times as long as one machine several of them wait at most.
const MOST: usize = 5;

fn asking() -> MutexGuard<'static, Asking> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to ask by a way; it ends with this.
#[derive(Debug)]
pub struct Turn<'w> {
    /// The way.
    pub way: &'w Way,
    /// When all has to be over.
    pub deadline: Instant,
    /// How long this right was waited for.
    pub waited: Duration,
}

impl<'w> Turn<'w> {
    /// Waits until it may be asked by this way; `alone`, until nobody else asks at all.
    ///
    /// # Errors
    /// Where the time is over, or the end is asked for.
    pub fn take(
        way: &'w Way,
        alone: bool,
        deadline: Instant,
        cancel: &Cancel,
    ) -> Result<Self, DhcpError> {
        let begin = Instant::now();
        let mut asking = asking();
        asking.alone += usize::from(alone);
        let taken = loop {
            let of_same = |(other, takes): &(Way, bool)| *takes || way.shares_port(other);
            let taken = match alone {
                true => !asking.now.is_empty(),
                false => asking.alone > 0 || asking.now.iter().any(of_same),
            };
            if !taken {
                break Ok(());
            }
            if cancel.is_set() {
                break Err(DhcpError::Interrupted);
            }
            if Instant::now() >= deadline {
                break Err(DhcpError::NoTurn);
            }
            let waited = ENDED.wait_timeout(asking, LOOK);
            asking = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        asking.alone -= usize::from(alone);
        if taken.is_ok() {
            asking.now.push((way.clone(), alone));
        }
        drop(asking);
        ENDED.notify_all();
        taken?;
        let waited = begin.elapsed();
        Ok(Self {
            way,
            deadline,
            waited,
        })
    }

    /// How many ask by this way now, this one among them; at most five.
    pub(super) fn beside(&self) -> u32 {
        let count = asking()
            .now
            .iter()
            .filter(|(way, _)| way == self.way)
            .count();
        u32::try_from(count.clamp(1, MOST)).unwrap_or(1)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut asking = asking();
        if let Some(at) = asking.now.iter().position(|(way, _)| way == self.way) {
            asking.now.swap_remove(at);
        }
        drop(asking);
        ENDED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn long() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn relay(server: u8, port: u16) -> Way {
        Way::Relay {
            server: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, server), 67),
            relay: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        }
    }

    #[test]
    fn a_relay_asks_one_after_the_other() {
        let (way, other) = (relay(1, 7001), relay(2, 7001));
        let first = Turn::take(&way, false, long(), &Cancel::default()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let second = Turn::take(&other, false, long(), &Cancel::default()).unwrap();
                assert_eq!(second.beside(), 1);
                second.waited
            });
            std::thread::sleep(Duration::from_millis(30));
            drop(first);
            assert!(waiting.join().unwrap() > Duration::ZERO);
        });
        // Another relay's turn has nothing to do with it.
        let _first = Turn::take(&way, false, long(), &Cancel::default()).unwrap();
        Turn::take(&relay(1, 7002), false, long(), &Cancel::default()).unwrap();
        let short = Turn::take(&way, false, Instant::now(), &Cancel::default());
        assert!(matches!(short, Err(DhcpError::NoTurn)));
        let ended = Cancel::default();
        ended.set();
        let interrupted = Turn::take(&way, false, long(), &ended);
        assert!(matches!(interrupted, Err(DhcpError::Interrupted)));
    }

    #[test]
    fn a_card_is_asked_from_by_all_at_once() {
        let way = Way::Interface("test-of-turns".to_owned());
        let take = || Turn::take(&way, false, long(), &Cancel::default()).unwrap();
        let first = take();
        assert_eq!(first.beside(), 1);
        let more: Vec<Turn<'_>> = (0..7).map(|_| take()).collect();
        assert_eq!(first.beside(), 5);
        drop(more);
        assert_eq!(first.beside(), 1);
        // But not beside who takes an address.
        let now = |alone| Turn::take(&way, alone, Instant::now(), &Cancel::default());
        assert!(matches!(now(true), Err(DhcpError::NoTurn)));
        drop(first);
        let _alone = Turn::take(&way, true, long(), &Cancel::default()).unwrap();
        assert!(matches!(now(false), Err(DhcpError::NoTurn)));
    }
}
