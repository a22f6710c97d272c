//! Connections: how many there may be, and which one goes where there are too many.
//!
//! The one that has moved nothing for longest makes room: a client that sends its request byte by
//! byte, or takes nothing of an answer, holds a place only while nobody else wants it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that count as having moved something.
const STEP: u64 = 4096;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All of them.
    pub connections: usize,
    /// Those of one address.
    pub of_one: usize,
    /// What has been quiet for less does not have to go.
    pub quiet: Duration,
}

/// One connection.
#[derive(Debug)]
pub struct Slot {
    from: IpAddr,
    begun: Instant,
    /// When it moved something last, in milliseconds since it began.
    moved: AtomicU64,
    /// Bytes since then.
    bytes: AtomicU64,
    /// Told when it has to go.
    pub leave: Notify,
}

impl Slot {
    /// A whole request came.
    pub fn asked(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.bytes.store(0, Ordering::Relaxed);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// Bytes of an answer were taken.
    pub fn wrote(&self, count: usize) {
        let before = self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if before + count as u64 >= STEP {
            self.asked();
        }
    }

    /// Tells for how long it has moved nothing.
    pub fn quiet(&self) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(moved)
    }
}

/// All connections.
#[derive(Debug)]
pub struct Slots {
    bounds: Bounds,
    taken: Mutex<Vec<Arc<Slot>>>,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    slots: Arc<Slots>,
    /// The connection in it.
    pub slot: Arc<Slot>,
}

impl Slots {
    /// Makes room for so many.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::new(Vec::new()),
        })
    }

    /// Takes a place, whoever has to go for it; `None` where nobody is quiet enough.
    pub fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.iter().filter(|slot| slot.from == from).count();
        if own >= self.bounds.of_one {
            self.clear(&mut taken, |slot| slot.from == from)?;
        } else if taken.len() >= self.bounds.connections {
            self.clear(&mut taken, |_| true)?;
        }
        let slot = Arc::new(Slot {
            from,
            begun: Instant::now(),
            moved: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            leave: Notify::new(),
        });
        taken.push(Arc::clone(&slot));
        drop(taken);
        Some(Place {
            slots: Arc::clone(self),
            slot,
        })
    }

    fn clear(&self, taken: &mut Vec<Arc<Slot>>, may: impl Fn(&Slot) -> bool) -> Option<()> {
        let places = taken.iter().enumerate().filter(|(_, slot)| may(slot));
        let (at, quiet) = places
            .map(|(at, slot)| (at, slot.quiet()))
            .max_by_key(|(_, quiet)| *quiet)?;
        if quiet < self.bounds.quiet {
            return None;
        }
        taken.swap_remove(at).leave.notify_one();
        Some(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quietest_goes_first_and_nobody_who_moves() {
        let slots = Slots::new(Bounds {
            connections: 2,
            of_one: 2,
            quiet: Duration::from_millis(30),
        });
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let one = slots.take(ip(1)).unwrap();
        let two = slots.take(ip(2)).unwrap();
        assert!(slots.take(ip(3)).is_none());
        std::thread::sleep(Duration::from_millis(50));
        one.slot.wrote(4096);
        let three = slots.take(ip(3)).unwrap();
        assert!(slots.take(ip(4)).is_none());
        // The one that went gives nothing back a second time.
        drop(two);
        assert!(slots.take(ip(4)).is_none());
        drop(three);
        assert!(slots.take(ip(4)).is_some());
        one.slot.wrote(100);
        assert!(one.slot.quiet() < Duration::from_secs(5));
    }

    #[test]
    fn one_address_takes_not_all() {
        let slots = Slots::new(Bounds {
            connections: 10,
            of_one: 1,
            quiet: Duration::from_secs(60),
        });
        let _one = slots.take([10, 0, 0, 1].into()).unwrap();
        assert!(slots.take([10, 0, 0, 1].into()).is_none());
        assert!(slots.take([10, 0, 0, 2].into()).is_some());
    }
}
