//! One loop at a time in a project, and nothing left running of one that was killed.

use super::error::GenerateError;
use crate::probe::exec::{self, MarkAll};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long ending what a killed loop left running may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a lock that is held is tried for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Holds the project for this loop; what the loop starts carries its mark.
#[derive(Debug)]
pub(super) struct Guard {
    file: File,
    /// The mark of this loop.
    pub(super) mark: String,
    /// How many processes of a killed loop were ended.
    pub(super) ended: usize,
    _all: MarkAll,
}

impl Guard {
    /// Takes the lock, ends what a killed loop left running, and writes this loop's mark.
    pub(super) fn take(path: &Path, project: &Path) -> Result<Self, GenerateError> {
        let io = |e| GenerateError::io(path)(e);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let mut text = String::new();
        // What a torn write left is no mark; reading it must not fail the loop.
        let _ = (&file).take(4096).read_to_string(&mut text);
        let mut words = text.split_whitespace();
        let (pid, earlier) = (words.next(), words.next());
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(GenerateError::Locked {
                    project: project.to_owned(),
                    pid: pid.unwrap_or("unknown").to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut ended = 0;
        if let Some(earlier) = earlier {
            let (found, left) = exec::end_marked(earlier, LIMIT);
            if !left.is_empty() {
                let pids: Vec<String> = left.iter().map(u32::to_string).collect();
                return Err(GenerateError::Leftovers {
                    pids: pids.join(", "),
                });
            }
            ended = found;
        }
        let mark = exec::own_mark();
        let all = exec::mark_all(&mark);
        // The mark is on the disk before anything carries it.
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{} {mark}", std::process::id()))
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        Ok(Self {
            file,
            mark,
            ended,
            _all: all,
        })
    }
}

/// Gives the process of the loop that holds a lock; nothing where none does.
pub(super) fn holder(path: &Path) -> Result<Option<String>, GenerateError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(GenerateError::io(path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // What a torn write left names no process.
            let _ = (&file).take(4096).read_to_string(&mut text);
            let pid = text.split_whitespace().next().unwrap_or("unknown");
            Ok(Some(pid.to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(GenerateError::io(path)(error)),
    }
}

/// Tries for a moment: a process that was just started holds our files until it is under way.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nothing runs any more: there is nothing for the next loop to look for.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}
