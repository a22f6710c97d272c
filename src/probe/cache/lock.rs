//! One process does what several want; the others wait for it, for a while.

use super::{Cache, Key};
use std::fs::{File, TryLockError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often those who wait look again.
const POLL: Duration = Duration::from_millis(10);
/// One that has the right and has made nothing for so long is not waited for.
const IDLE: Duration = Duration::from_secs(2);
/// How long anybody waits in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The right to make what a key stands for. It ends with the process, however that ends.
///
/// The lock's file has one byte while its holder is at work, and none otherwise.
#[derive(Debug)]
pub struct Lock {
    file: File,
    working: Mutex<usize>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that is just being started has the file as well for a moment.
        let _ = self.file.unlock();
    }
}

/// A piece of work under a lock; it ends when this goes.
#[derive(Debug)]
pub struct Work<'l>(&'l Lock);

/// How the waiting ended.
#[derive(Debug)]
pub enum Turn {
    /// Nobody else makes it.
    Ours(Arc<Lock>),
    /// What was waited for is there.
    There,
    /// Whoever makes it takes too long, or there can be no lock: make it without one.
    Alone,
}

impl Lock {
    /// Waits for the right to make what `key` stands for, until it is had, `there` says that
    /// somebody else has made it, or waiting is no use.
    pub fn wait(
        cache: &Cache,
        key: &Key,
        deadline: Option<Instant>,
        mut there: impl FnMut() -> bool,
    ) -> Turn {
        let begin = Instant::now();
        // Half of what is left is for the work itself.
        let left = deadline.map(|end| end.saturating_duration_since(begin) / 2);
        let patience = left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let folder = cache.folder("locks");
        if cache.made(&folder).is_err() {
            return Turn::Alone;
        }
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(key.to_string()));
        let Ok(file) = opened else {
            return Turn::Alone;
        };
        loop {
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self {
                        file,
                        working: Mutex::new(0),
                    };
                    // One that was killed at work left its mark.
                    lock.mark(false);
                    return if there() {
                        Turn::There
                    } else {
                        Turn::Ours(Arc::new(lock))
                    };
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(_)) => return Turn::Alone,
            }
            if there() {
                return Turn::There;
            }
            let idle = file.metadata().is_ok_and(|meta| {
                let since = meta.modified().ok().and_then(|last| last.elapsed().ok());
                meta.len() == 0 && since.is_some_and(|since| since > IDLE)
            });
            if idle || begin.elapsed() >= patience {
                return Turn::Alone;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Shows those who wait that work is under way.
    pub fn work(&self) -> Work<'_> {
        self.count(|working| *working += 1, 1);
        Work(self)
    }

    fn count(&self, change: impl FnOnce(&mut usize), turning: usize) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut working);
        if *working == turning {
            self.mark(turning == 1);
        }
    }

    fn mark(&self, working: bool) {
        // One that cannot be marked is waited for less.
        let _ = self.file.set_len(u64::from(working));
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.count(|working| *working -= 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256Digest;

    #[test]
    fn one_has_the_turn_and_the_next_gets_it_when_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 1 << 20);
        let key = Key(Sha256Digest::of(b"it"));
        let soon = || Some(Instant::now() + Duration::from_millis(200));
        let Turn::Ours(lock) = Lock::wait(&cache, &key, None, || false) else {
            panic!("nobody else has it");
        };
        assert!(matches!(
            Lock::wait(&cache, &key, soon(), || false),
            Turn::Alone
        ));
        assert!(matches!(
            Lock::wait(&cache, &key, None, || true),
            Turn::There
        ));
        let other = Key(Sha256Digest::of(b"other"));
        assert!(matches!(
            Lock::wait(&cache, &other, None, || false),
            Turn::Ours(_)
        ));
        drop(lock);
        assert!(matches!(
            Lock::wait(&cache, &key, soon(), || false),
            Turn::Ours(_)
        ));
    }

    #[test]
    fn nobody_waits_long_for_one_that_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 1 << 20);
        let key = Key(Sha256Digest::of(b"it"));
        let Turn::Ours(lock) = Lock::wait(&cache, &key, None, || false) else {
            panic!("nobody else has it");
        };
        let begin = Instant::now();
        drop(lock.work());
        assert!(matches!(
            Lock::wait(&cache, &key, None, || false),
            Turn::Alone
        ));
        assert!(begin.elapsed() < IDLE * 3);
        // One at work is waited for longer.
        let _work = lock.work();
        let soon = Some(Instant::now() + IDLE * 4);
        let begin = Instant::now();
        assert!(matches!(
            Lock::wait(&cache, &key, soon, || false),
            Turn::Alone
        ));
        assert!(begin.elapsed() > IDLE);
    }
}
