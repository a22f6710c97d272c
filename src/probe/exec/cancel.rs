//! Cancellation: one flag that Ctrl-C sets and everything that waits looks at.

use super::tree;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The exit code of a program that was interrupted.
pub const INTERRUPTED: i32 = 130;

/// A flag that stops work, shared by everyone who holds a clone.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
    /// A flag that counts as this one's too.
    parent: Option<Box<Cancel>>,
}

/// How long a wait may oversleep the parent's flag.
const PARENT_TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Inner {
    set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Cancel {
    /// Makes a flag of its own, not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the process-wide flag: every command ends when it is set.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Cancel> = OnceLock::new();
        GLOBAL.get_or_init(Self::default).clone()
    }

    /// Makes a flag that is set with this one, and alone without it.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            inner: Arc::default(),
            parent: Some(Box::new(self.clone())),
        }
    }

    /// Sets the flag; it is never cleared.
    pub fn set(&self) {
        self.inner.set.store(true, Ordering::SeqCst);
        let _held = self
            .inner
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.inner.changed.notify_all();
    }

    /// Tells whether the flag is set.
    pub fn is_set(&self) -> bool {
        let own = self.inner.set.load(Ordering::SeqCst);
        own || self.parent.as_deref().is_some_and(Self::is_set)
    }

    /// Waits for a time; returns `true`, at once, when the flag is or becomes set.
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut held = self
            .inner
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.is_set() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let left = match self.parent {
                Some(_) => left.min(PARENT_TICK),
                None => left,
            };
            held = match self.inner.changed.wait_timeout(held, left) {
                Ok((held, _)) => held,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// Makes SIGINT, SIGTERM and SIGHUP set the process-wide [`Cancel`]; gives that flag.
///
/// The caller then sees its commands end with [`End::Cancelled`](super::End::Cancelled) and exits
/// with [`INTERRUPTED`]. A second signal does not wait for that: it kills what still runs and
/// exits on the spot.
///
/// # Errors
/// Passes on what the system reports when a handler cannot be installed.
pub fn watch_signals() -> io::Result<Cancel> {
    let cancel = Cancel::global();
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.set(()).is_err() {
        return Ok(cancel);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut signals = {
        let _inside = runtime.enter();
        use tokio::signal::unix::{SignalKind, signal};
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    let flag = cancel.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = signals.0.recv() => {}
                        _ = signals.1.recv() => {}
                        _ = signals.2.recv() => {}
                    }
                    if flag.is_set() {
                        tree::kill_every_group();
                        std::process::exit(INTERRUPTED);
                    }
                    flag.set();
                }
            });
        })?;
    Ok(cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_when_the_flag_is_set() {
        let cancel = Cancel::new();
        assert!(!cancel.wait(Duration::from_millis(5)));
        let other = cancel.clone();
        let start = Instant::now();
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(20));
        cancel.set();
        assert!(thread.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(!Cancel::new().is_set());
    }

    #[test]
    fn a_child_is_set_with_its_parent_and_not_the_other_way() {
        let parent = Cancel::new();
        let (one, two) = (parent.child(), parent.child());
        one.set();
        assert!(one.is_set() && !two.is_set() && !parent.is_set());
        let start = Instant::now();
        let thread = std::thread::spawn(move || two.wait(Duration::from_secs(20)));
        parent.set();
        assert!(thread.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
