//! The journal: what the loop did, one JSON object a line, each synced before the work goes on.
//!
//! A program that is killed leaves at most one torn line, at the end; it is dropped. Each line
//! carries a number that is one more than the last line's, so that a missing one is noticed.

use super::event::{CandidateOutcome, Stage, VariantEnd};
use super::inputs::Inputs;
use super::law::Law;
use super::remedied::RemedyRecord;
use super::standing::{RolledBack, Standing};
use super::verify::TrialVerdict;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const VERSION: u32 = 1;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The version of this format.
    pub(super) version: u32,
    /// Its number, counted from 1; 0 in a line that was written before lines had one.
    #[serde(default)]
    pub(super) seq: u64,
    /// When it was written, RFC 3339.
    pub(super) at: String,
    /// The mark of the loop that wrote it.
    #[serde(rename = "loop")]
    pub(super) mark: String,
    /// What happened.
    pub(super) record: Record,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum Record {
    LoopStarted {
        number: u32,
        recipe: String,
        law: Law,
    },
    LoopResumed,
    LoopFinished,
    /// A file that is law was changed while the loop ran; `now` is what it became.
    LawBroken {
        changes: Vec<String>,
        before: Law,
        now: Law,
    },
    RedFirstStarted {
        variant: String,
    },
    RedFirstFinished {
        variant: String,
        inputs: String,
    },
    AttemptStarted {
        variant: String,
        attempt: u32,
    },
    AttemptFinished {
        variant: String,
        attempt: u32,
        inputs: String,
        failures: String,
        spent_ms: u64,
        /// How long the loop has taken so far, in milliseconds; 0 where nobody looked.
        #[serde(default)]
        loop_ms: u64,
    },
    /// The patches of the best attempt so far are kept.
    BestKept {
        variant: String,
        attempt: u32,
        standing: Standing,
        /// The digest of the series and its patches.
        patches: String,
    },
    /// An attempt was worse than the best one: its patches are about to be put back.
    RolledBack {
        variant: String,
        rolled: RolledBack,
    },
    StageStarted {
        variant: String,
        stage: Stage,
    },
    StageFinished {
        variant: String,
        stage: Stage,
        inputs: Inputs,
        success: Success,
    },
    RemedyStarted {
        variant: String,
        attempt: u32,
        #[serde(default)]
        remedy: String,
    },
    RemedyFinished {
        variant: String,
        attempt: u32,
        changed: Vec<String>,
        /// What it did; journals of before do not have it.
        #[serde(default)]
        record: Option<RemedyRecord>,
    },
    /// What a remedy that broke off had done is undone.
    RemedyUndone {
        variant: String,
    },
    /// A command that failed for a passing reason runs again.
    Retried {
        variant: String,
        record: RemedyRecord,
    },
    /// A candidate is worked on, from its first attempt.
    CandidateStarted {
        variant: String,
        candidate: String,
    },
    /// A candidate is not green.
    CandidateFinished {
        variant: String,
        outcome: CandidateOutcome,
    },
    VariantFinished {
        variant: String,
        attempts: u32,
        end: VariantEnd,
    },
}

/// What a stage that succeeded left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Success {
    /// The commit the stage ended on: the upstream's, or that after all patches.
    pub(super) head: String,
    /// The files it wrote.
    pub(super) files: Vec<Written>,
    /// How many trials passed, and how many did not run.
    pub(super) passed: usize,
    pub(super) skipped: usize,
    /// How each trial ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) judged: Vec<Judged>,
    /// What was packaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) package: Option<Packaged>,
}

/// How one trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Judged {
    pub(super) trial: String,
    pub(super) verdict: TrialVerdict,
}

/// What a variant was packaged as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Packaged {
    /// The folder of the layout, relative to the project.
    pub(super) layout: String,
    /// The digest of the package.
    pub(super) digest: String,
    /// The digest of the attached verdicts.
    pub(super) attestation: String,
    /// What it is pushed as.
    pub(super) references: Vec<String>,
    /// Whether it has been pushed, and pulled back.
    pub(super) pushed: bool,
    /// Digests its artifacts and nothing that is said about them.
    pub(super) same: String,
}

/// A file that a stage wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written {
    /// Where, relative to the project.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// When it was changed last, seconds and nanoseconds: while these hold, so does the digest.
    pub(super) changed: (i64, i64),
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the journal {} cannot be read or written ({source}): free space, or check its permissions", path.display())]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

/// The journal, open for writing; one thread at a time appends.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    open: Mutex<Open>,
    mark: String,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The number of the last line.
    seq: u64,
    /// How many bytes there are, and their digest so far: what else is there, somebody else wrote.
    length: u64,
    sum: Sha256,
}

/// What a journal says.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Every whole line, in order.
    pub(super) lines: Vec<Line>,
    /// Where something is missing or damaged.
    pub(super) faults: Vec<Fault>,
}

/// A place where the journal does not say all that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// How many whole lines stand before it.
    pub(super) after: usize,
    /// What is wrong, with the line of the file.
    pub(super) what: String,
}

/// Reads every whole line; what is damaged is left out, and told.
pub(super) fn read(path: &Path) -> Result<Told, JournalError> {
    let failed = |source| JournalError {
        path: path.to_owned(),
        source,
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Told::default()),
        Err(error) => return Err(failed(error)),
    };
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Told {
    let mut told = Told::default();
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let mut last = 0;
    for (number, text) in (1..).zip(bytes[..whole].split(|b| *b == b'\n')) {
        if text.is_empty() {
            continue;
        }
        let line = serde_json::from_slice::<Line>(text).ok();
        let Some(line) = line.filter(|line| line.version == VERSION) else {
            told.faults.push(Fault {
                after: told.lines.len(),
                what: format!("line {number} is damaged"),
            });
            continue;
        };
        let damaged = told
            .faults
            .last()
            .is_some_and(|f| f.after == told.lines.len());
        if line.seq != last + 1 && !(line.seq == 0 && last == 0) && !damaged {
            told.faults.push(Fault {
                after: told.lines.len(),
                what: format!(
                    "line {number} has the number {}, after {last}: what was between is missing",
                    line.seq
                ),
            });
        }
        last = line.seq;
        told.lines.push(line);
    }
    told
}

impl Journal {
    /// Opens the journal to append to; a torn last line is cut off.
    pub(super) fn open(path: &Path, mark: &str) -> Result<Self, JournalError> {
        let open = || {
            let fresh = !path.exists();
            let mut file = File::options()
                .create(true)
                .read(true)
                .append(true)
                .open(path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            if whole < bytes.len() {
                file.set_len(whole as u64)?;
                file.seek(SeekFrom::End(0))?;
            }
            if fresh && let Some(folder) = path.parent() {
                // The name is on the disk before a line that is relied on.
                File::open(folder)?.sync_all()?;
            }
            let seq = parse(&bytes).lines.last().map_or(0, |line| line.seq);
            let sum = Sha256::new().chain_update(&bytes[..whole]);
            Ok(Open {
                file,
                seq,
                length: whole as u64,
                sum,
            })
        };
        let open = open().map_err(|source| JournalError {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            open: Mutex::new(open),
            mark: mark.to_owned(),
        })
    }

    /// Says how the file is not what this journal wrote, if it is not; lines that somebody else
    /// added are cut off again.
    pub(super) fn forged(&self) -> Result<Option<&'static str>, JournalError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let look = || {
            let own = open.file.metadata()?;
            match std::fs::symlink_metadata(&self.path) {
                Ok(meta)
                    if meta.is_file() && (meta.dev(), meta.ino()) == (own.dev(), own.ino()) => {}
                Ok(_) | Err(_) => return Ok(Some("is another file now (could not be undone)")),
            }
            let mut sum = Sha256::new();
            let mut start = File::open(&self.path)?.take(open.length);
            let mut buffer = vec![0; 64 << 10];
            loop {
                match start.read(&mut buffer)? {
                    0 => break,
                    n => sum.update(&buffer[..n]),
                }
            }
            if sum.finalize() != open.sum.clone().finalize() {
                return Ok(Some("was changed (could not be undone)"));
            }
            if own.len() != open.length {
                open.file.set_len(open.length)?;
                return Ok(Some("had lines added (undone)"));
            }
            Ok(None)
        };
        look().map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })
    }

    /// Appends a record; returns when it is on the disk.
    pub(super) fn append(&self, record: Record) -> Result<Line, JournalError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line {
            version: VERSION,
            seq: open.seq + 1,
            at: jiff::Timestamp::now().to_string(),
            mark: self.mark.clone(),
            record,
        };
        let length = open.length;
        let mut write = || {
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            if let Err(error) = open.file.write_all(&bytes) {
                // The next line must not follow half of this one. That it cannot be cut off is
                // noticed when it is read: the first fault is the one to tell.
                let _ = open.file.set_len(length);
                return Err(error);
            }
            open.length += bytes.len() as u64;
            open.sum.update(&bytes);
            open.seq = line.seq;
            open.file.sync_data()
        };
        write().map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests;
