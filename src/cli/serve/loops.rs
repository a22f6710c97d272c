//! What loops say of a folder while it is served: looked at again whenever they have written something.

use super::{exit, look};
use crate::generate::{Below, GenerateError, Left, Outputs, RestsOn, outputs};
use crate::model::path::printable;
use crate::serve::judged::{Judge, Judged, Stamp};
use crate::serve::refusal::Red;
use std::collections::BTreeSet;
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
    /// Whether it is read again though nothing was written: it could not be read, or a loop is at work
    /// on it, whose end may leave nothing.
    again: bool,
    /// The variants that were judged at some time. Of one that is not there any more nobody says that
    /// its specs hold: a build takes its record away before it begins.
    known: BTreeSet<String>,
    now: Result<Arc<Judged>, Red>,
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
        let known = names(&left);
        let judged = judged(&left, &known).map_err(|why| {
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
                again: false,
                known,
                now: Ok(Arc::new(judged)),
            }),
        })
    }
}

impl Judge for Loops {
    fn now(&self) -> Result<Arc<Judged>, Red> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = |last: Instant, limit| last.elapsed() >= limit;
        if !stale(held.looked, FRESH) || !stale(held.read, AGAIN) {
            return held.now.clone();
        }
        if held.again || held.rests_on.changed() {
            match outputs(&self.folder, &self.below) {
                Ok(left) => {
                    held.known.extend(names(&left));
                    let judged = judged(&left, &held.known);
                    held.again = judged.is_err() && left.at_work.is_some();
                    held.now = judged.map(Arc::new).map_err(Red::told);
                    held.rests_on = left.rests_on;
                }
                Err(error) => {
                    held.again = true;
                    let told = "what loops say of it cannot be read";
                    held.now = Err(Red::known(told, format!("{told}: {error}")));
                }
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

/// Names the variants of which something is there.
fn names(left: &Left) -> BTreeSet<String> {
    let variants = left.variants.iter();
    variants.map(|outputs| outputs.variant.clone()).collect()
}

/// Gives the files that loops found green, as they were then; why nothing is served where they are not,
/// or where nothing is there of a variant that is known.
fn judged(left: &Left, known: &BTreeSet<String>) -> Result<Judged, String> {
    let mut red = red(left);
    for variant in known.difference(&names(left)) {
        let variant = printable(variant);
        red.push(match &left.at_work {
            Some(pid) => format!("{variant} is not green: a loop (process {pid}) is at work on it"),
            None => format!("{variant} is not green: it was not built to its end"),
        });
    }
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
