//! What carrying something has in common, to a registry or from one.

use super::RegistryError;
use crate::format::Limits;
use crate::format::oci::Digest;
use crate::probe::exec::Cancel;
use crate::probe::http::{HttpError, Patience, Pauses, Told};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How something is carried.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bounds; a time-out is among them.
    pub limits: Limits,
    /// How many blobs are under way at a time.
    pub jobs: usize,
    /// How often the same is tried, and how long it is waited in between.
    pub patience: Patience,
    /// Pull: what refers to the image (signatures, attestations) comes along.
    pub referrers: bool,
    /// Push: repositories of the same registry that may have the blobs already.
    pub mount_from: Vec<String>,
    /// Push: how what is there in the end is looked at.
    pub verify: Verify,
    /// Push: blobs go in parts of this many bytes. Otherwise each goes in one, unless the registry
    /// says that it is too large.
    pub chunk: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        // A layer of an image may well be larger than what is decoded of one.
        let limits = Limits {
            max_decoded: 1 << 40,
            ..Limits::default()
        };
        Self {
            limits,
            jobs: 3,
            patience: Patience::LONG,
            referrers: false,
            mount_from: Vec::new(),
            verify: Verify::Sizes,
            chunk: None,
        }
    }
}

/// How it is looked at what was pushed. Manifests and tags are always fetched again, and held to
/// their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The registry says of each blob that it has it, and its size is right.
    Sizes,
    /// Each blob is fetched again and digested.
    Bytes,
}

/// How a blob came to be where it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was carried.
    Carried,
    /// A part of it was there from an earlier time, and the rest was carried.
    Resumed {
        /// How many bytes were there.
        from: u64,
    },
    /// It was there.
    There,
    /// The registry took it from another repository.
    Mounted,
}

impl How {
    /// Says it in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Resumed { .. } => "gone on with",
            Self::There => "was there",
            Self::Mounted => "mounted",
        }
    }
}

/// What happens.
#[derive(Debug)]
pub enum Event<'e> {
    /// It is known what there is to do, or that there is more of it.
    Planned {
        /// How many blobs.
        blobs: usize,
        /// How many bytes they have together.
        bytes: u64,
    },
    /// So many more bytes went over.
    Bytes(u64),
    /// So many bytes that had been counted were for nothing.
    Back(u64),
    /// A blob is where it is to be.
    Blob {
        /// Which.
        digest: &'e Digest,
        /// How long it is.
        size: u64,
        /// How it came there.
        how: How,
    },
    /// A manifest or an index is where it is to be.
    Manifest {
        /// Which.
        digest: &'e Digest,
    },
    /// A tag leads to what it is to lead to.
    Tag {
        /// Which.
        tag: &'e str,
    },
    /// The same is tried again.
    Retry {
        /// What.
        what: String,
        /// Why.
        why: String,
        /// After how long.
        pause: Duration,
    },
}

/// Is told what happens, from several threads.
pub type Progress = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Counts what of one blob has gone over, and tells.
pub(super) struct Meter {
    progress: Progress,
    counted: Arc<AtomicU64>,
}

impl Meter {
    pub fn new(progress: &Progress) -> Self {
        Self {
            progress: Arc::clone(progress),
            counted: Arc::default(),
        }
    }

    /// Gives what is to be called with each further number of bytes.
    pub fn told(&self) -> Told {
        let (counted, progress) = (Arc::clone(&self.counted), Arc::clone(&self.progress));
        Arc::new(move |n| {
            counted.fetch_add(n, Ordering::Relaxed);
            progress(&Event::Bytes(n));
        })
    }

    /// Tells how much is there by now, whatever was counted on the way.
    pub fn settle(&self, has: u64) {
        let counted = self.counted.swap(has, Ordering::Relaxed);
        if counted > has {
            (self.progress)(&Event::Back(counted - has));
        } else if has > counted {
            (self.progress)(&Event::Bytes(has - counted));
        }
    }
}

/// Adds sizes up, which strangers may have written.
pub(super) fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// How often what was mended once is tried again where it does not last.
const MENDED: u32 = 8;

/// Does something until it is done, or fails for good: `again` tells whether another try may help.
///
/// Where its time would be up before the next try, the last error is told at once.
pub(super) fn retried<T>(
    options: &Options,
    progress: &Progress,
    what: impl Fn() -> String,
    again: impl Fn(&RegistryError) -> bool,
    mut work: impl FnMut() -> Result<T, Failed>,
) -> Result<T, RegistryError> {
    let mut pauses = Pauses::new(options.patience);
    let mut mended = 0;
    loop {
        let failed = match work() {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        // What has come so far was not for nothing.
        if failed.moved && mended < MENDED {
            mended += 1;
            pauses.again();
        }
        let pause = match again(&failed.error) {
            true => pauses.next(failed.wanted),
            false => None,
        };
        let end = options.limits.deadline;
        let is_in_time = |pause: &Duration| {
            end.is_none_or(|end| end.saturating_duration_since(Instant::now()) > *pause)
        };
        let Some(pause) = pause.filter(is_in_time) else {
            return Err(failed.error);
        };
        progress(&Event::Retry {
            what: what(),
            why: failed.error.to_string(),
            pause,
        });
        if Cancel::global().wait(pause) {
            return Err(HttpError::Interrupted.into());
        }
    }
}

/// Why a try was for nothing.
pub(super) struct Failed {
    pub error: RegistryError,
    /// How long the server wants to be left alone.
    pub wanted: Option<Duration>,
    /// Whether more is there than before.
    pub moved: bool,
}

impl<E: Into<RegistryError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            wanted: None,
            moved: false,
        }
    }
}

/// Does something with each of a list, a few at a time; the first that fails ends it.
pub(super) fn each<T: Send>(
    list: Vec<T>,
    jobs: usize,
    work: impl Fn(&T) -> Result<(), RegistryError> + Sync,
) -> Result<(), RegistryError> {
    let workers = jobs.clamp(1, 64).min(list.len().max(1));
    let queue = Mutex::new(VecDeque::from(list));
    let failed: Mutex<Option<RegistryError>> = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let worker = || {
        while !stop.load(Ordering::Relaxed) {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(next) = next else { break };
            let done = match Cancel::global().is_set() {
                true => Err(HttpError::Interrupted.into()),
                false => work(&next),
            };
            if let Err(error) = done {
                stop.store(true, Ordering::Relaxed);
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(worker);
        }
        worker();
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no(transient: bool) -> RegistryError {
        RegistryError::Refused {
            name: "x".into(),
            what: "no".into(),
            status: 400,
            transient,
        }
    }

    #[test]
    fn what_may_help_is_tried_again_and_what_cannot_is_not() {
        let patience = Patience {
            tries: 3,
            pause: Duration::from_micros(10),
            longest: Duration::from_millis(1),
        };
        let mut options = Options {
            patience,
            ..Options::default()
        };
        let run = |options: &Options, transient: bool, good_at: u32, moved: bool| {
            let mut tries = 0;
            let progress: Progress = Arc::new(|_| {});
            let what = String::new;
            let done = retried(
                options,
                &progress,
                what,
                RegistryError::is_transient,
                || {
                    tries += 1;
                    match tries >= good_at {
                        true => Ok(()),
                        false => Err(Failed {
                            moved,
                            ..no(transient).into()
                        }),
                    }
                },
            );
            (done.is_ok(), tries)
        };
        assert_eq!(run(&options, true, 3, false), (true, 3));
        assert_eq!(run(&options, true, 4, false), (false, 3));
        assert_eq!(run(&options, false, 2, false), (false, 1));
        assert_eq!(run(&options, true, 9, true), (true, 9));
        assert_eq!(run(&options, true, 99, true), (false, 10));
        // Nothing is waited for that comes too late.
        options.limits.deadline = Some(Instant::now());
        assert_eq!(run(&options, true, 3, false), (false, 1));
    }

    #[test]
    fn the_first_that_fails_ends_it() {
        let done = Mutex::new(Vec::new());
        let work = |n: &u32| match n {
            5 => Err(no(false)),
            n => {
                done.lock().unwrap().push(*n);
                Ok(())
            }
        };
        assert_eq!(each((0..100).collect(), 1, work), Err(no(false)));
        assert_eq!(*done.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert!(each((10..100).collect(), 7, work).is_ok());
        assert_eq!(done.lock().unwrap().len(), 95);
        assert!(each(Vec::new(), 7, work).is_ok());
    }
}
