//! What loops say of a folder while it is served: looked at again whenever they have written something.

use super::{exit, look};
use crate::generate::{Below, GenerateError, Left, Outputs, RestsOn, outputs};
use crate::model::path::printable;
use crate::serve::judged::{Judge, Judged, Stamp};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long nobody looks whether something was written.
const FRESH: Duration = Duration::from_millis(100);
/// For how long what was read is not read again, whatever was written.
const AGAIN: Duration = Duration::from_secs(1);

/// What loops say of a folder.
#[derive(Debug)]
pub struct Loops {
    folder: PathBuf,
    /// Found at the beginning: looking through the folder takes its time.
    below: Below,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    looked: Instant,
    read: Instant,
    rests_on: RestsOn,
    /// Whether it could not be read.
    failed: bool,
    now: Result<Arc<Judged>, Arc<str>>,
}

impl Loops {
    /// Begins with a folder that is green, and where no loop is at work; otherwise gives the exit code.
    pub fn begin(folder: &Path) -> Result<Self, u8> {
        let (below, left) = left(folder)?;
        if !below.whole {
            look::complain_line(&format!(
                "note: {} was not looked through to its end: what loops of projects far down in it \
                 built is not judged",
                folder.display()
            ));
        }
        if let Some(pid) = &left.at_work {
            look::complain(&format!(
                "a loop (process {pid}) builds what is in {}: start again once it has ended, or \
                 serve what is there (--force)",
                folder.display()
            ));
            return Err(exit::FAILED);
        }
        let judged = judged(&left).map_err(|why| {
            look::complain(&format!(
                "{why}: build it until its specs hold (tdg generate), or serve it all the same \
                 (--force)"
            ));
            exit::FAILED
        })?;
        let now = Instant::now();
        Ok(Self {
            folder: folder.to_owned(),
            below,
            held: Mutex::new(Held {
                looked: now,
                read: now,
                rests_on: left.rests_on,
                failed: false,
                now: Ok(Arc::new(judged)),
            }),
        })
    }
}

impl Judge for Loops {
    fn now(&self) -> Result<Arc<Judged>, Arc<str>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = |last: Instant, limit| last.elapsed() >= limit;
        if !stale(held.looked, FRESH) || !stale(held.read, AGAIN) {
            return held.now.clone();
        }
        if held.failed || held.rests_on.changed() {
            let read = outputs(&self.folder, &self.below);
            held.failed = read.is_err();
            match read {
                Ok(left) => {
                    held.now = judged(&left).map(Arc::new).map_err(Arc::from);
                    held.rests_on = left.rests_on;
                }
                Err(error) => held.now = Err(error.to_string().into()),
            }
            held.read = Instant::now();
        }
        held.looked = Instant::now();
        held.now.clone()
    }
}

/// Says what is not green of what is served all the same.
pub fn warn(folder: &Path) -> Result<(), u8> {
    for why in red(&left(folder)?.1) {
        look::complain_line(&format!("warning: {why}"));
    }
    Ok(())
}

fn left(folder: &Path) -> Result<(Below, Left), u8> {
    let left = Below::find(folder).and_then(|below| {
        let left = outputs(folder, &below)?;
        Ok((below, left))
    });
    left.map_err(|error: GenerateError| {
        look::complain(&error.to_string());
        exit::ERROR
    })
}

fn red(left: &Left) -> Vec<String> {
    let red = |outputs: &Outputs| {
        let why = outputs.not_green.as_ref()?;
        let variant = &outputs.variant;
        Some(printable(&format!("{variant} is not green: {why}")))
    };
    left.variants.iter().filter_map(red).collect()
}

/// Gives the files that loops found green, as they were then; why nothing is served where they are not.
fn judged(left: &Left) -> Result<Judged, String> {
    let red = red(left);
    if !red.is_empty() {
        return Err(red.join("; "));
    }
    if let (Some(pid), true) = (&left.at_work, left.variants.is_empty()) {
        return Err(format!("a loop (process {pid}) is at work on it"));
    }
    let files = left.variants.iter().flat_map(|outputs| &outputs.files);
    let files = files.map(|file| {
        let stamp = Stamp {
            changed: file.changed,
            size: file.bytes,
        };
        (file.path.to_string_lossy().into_owned(), stamp)
    });
    let alone = left.of_loops.iter();
    Ok(Judged {
        files: files.collect(),
        alone: alone
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
    })
}
