//! The bound of the cache, and what the command `tdg cache` does.

use super::{Cache, LAYOUT, TAG};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What is being written is not older than this; what is was left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A lock that nobody has asked for so long is removed; so is the note of a file's digest.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the cache takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The bytes of all its files.
    pub bytes: u64,
    /// The sources of which something is kept.
    pub sources: u64,
}

/// One key's folder.
struct Folder {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
}

impl Cache {
    /// Tells what the cache takes.
    pub fn usage(&self) -> Usage {
        let sources = self.folders().len() as u64;
        let bytes = files(&self.root.join(LAYOUT))
            .map(|(_, meta)| meta.len())
            .sum();
        Usage { bytes, sources }
    }

    /// Removes what the cache holds, and nothing else that may be in its folder.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        for name in ["objects", "files", "locks", "tmp"] {
            crate::probe::store::remove(&self.folder(name))?;
        }
        let _ = fs::remove_file(self.folder("clean"));
        let tag = self.root.join("CACHEDIR.TAG");
        if fs::read(&tag).is_ok_and(|text| text == TAG.as_bytes()) {
            fs::remove_file(tag)?;
        }
        // Others may have put something there.
        let _ = fs::remove_dir(self.root.join(LAYOUT));
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }

    /// Removes what was used longest ago until the rest is within the bound, and what was left by
    /// processes that were killed. One process does it at a time; the others need not.
    pub(super) fn clean(&self) {
        let Ok(lock) = File::create(self.folder("clean")) else {
            return;
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return,
        }
        for (name, age) in [
            ("tmp", ABANDONED),
            ("locks", FORGOTTEN),
            ("files", FORGOTTEN),
        ] {
            for (path, meta) in files(&self.folder(name)) {
                let since = meta.modified().ok().and_then(|last| last.elapsed().ok());
                if since.is_some_and(|since| since > age) {
                    let _ = fs::remove_file(path);
                }
            }
        }
        let mut folders = self.folders();
        folders.sort_by_key(|folder| folder.used);
        let mut bytes: u64 = folders.iter().map(|folder| folder.bytes).sum();
        for folder in folders {
            if bytes <= self.bound {
                break;
            }
            let _ = fs::remove_dir_all(&folder.path);
            bytes -= folder.bytes;
        }
    }

    fn folders(&self) -> Vec<Folder> {
        let Ok(folders) = fs::read_dir(self.folder("objects")) else {
            return Vec::new();
        };
        let folder = |path: PathBuf| {
            let mut folder = Folder {
                used: SystemTime::UNIX_EPOCH,
                bytes: 0,
                path,
            };
            for (_, meta) in files(&folder.path) {
                folder.bytes += meta.len();
                folder.used = folder
                    .used
                    .max(meta.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            }
            folder
        };
        folders
            .flatten()
            .map(|entry| folder(entry.path()))
            .collect()
    }
}

/// Gives the files below a folder; what goes while they are looked at is left out.
fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
    let walk = walkdir::WalkDir::new(folder).into_iter().flatten();
    walk.filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some((entry.path().to_owned(), entry.metadata().ok()?)))
}
