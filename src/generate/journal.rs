//! The journal: what the loop did, one JSON object a line, each synced before the work goes on.
//!
//! A program that is killed leaves at most one torn line, at the end; it is dropped.

use super::event::{Stage, VariantEnd};
use super::inputs::Inputs;
use super::law::Law;
use super::remedied::RemedyRecord;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The version of this format.
    pub(super) version: u32,
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

/// The journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    mark: String,
}

/// Reads every whole line; what is damaged is left out.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, JournalError> {
    let failed = |source| JournalError {
        path: path.to_owned(),
        source,
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let lines = bytes[..whole].split(|b| *b == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    Ok(lines.filter(|line| line.version == VERSION).collect())
}

impl Journal {
    /// Opens the journal to append to; a torn last line is cut off.
    pub(super) fn open(path: &Path, mark: &str) -> Result<Self, JournalError> {
        let open = || {
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
            Ok(file)
        };
        let file = open().map_err(|source| JournalError {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            mark: mark.to_owned(),
        })
    }

    /// Appends a record; returns when it is on the disk.
    pub(super) fn append(&mut self, record: Record) -> Result<Line, JournalError> {
        let line = Line {
            version: VERSION,
            at: jiff::Timestamp::now().to_string(),
            mark: self.mark.clone(),
            record,
        };
        let mut write = || {
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            self.file.write_all(&bytes)?;
            self.file.sync_data()
        };
        write().map_err(|source| JournalError {
            path: self.path.clone(),
            source,
        })?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        assert!(read(&path).unwrap().is_empty());
        let mut journal = Journal::open(&path, "m").unwrap();
        journal.append(Record::LoopResumed).unwrap();
        journal.append(Record::LoopFinished).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let before = read(&path).unwrap().len();
            let mut journal = Journal::open(&path, "n").unwrap();
            journal.append(Record::LoopFinished).unwrap();
            assert_eq!(read(&path).unwrap().len(), before + 1, "cut at {cut}");
        }
        std::fs::write(&path, [&whole[..], b"\0\0garbage\n", &whole].concat()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 4);
    }
}
