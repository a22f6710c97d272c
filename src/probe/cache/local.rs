//! The digest of a file of this machine, computed once.

use super::Cache;
use crate::model::Sha256Digest;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file changed less than this before it was looked at may change again without its times
/// telling: clocks of file systems are coarse.
const QUIET: Duration = Duration::from_millis(50);
/// The same, where the file system counts whole seconds, or two of them.
const QUIET_COARSE: Duration = Duration::from_secs(2);

/// A file, told by where it lies and when it last changed. No change of content leaves all of
/// them as they were: `ctime` cannot be set.
#[derive(Debug)]
pub struct FileIdentity {
    cache: Arc<Cache>,
    file: File,
    stamp: Stamp,
    digest: OnceLock<Option<Sha256Digest>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Tells whether the file has been left alone long enough for a later change to show.
    fn is_quiet(&self) -> bool {
        let coarse = self.changed.1 == 0 && self.modified.1 == 0;
        let wanted = if coarse { QUIET_COARSE } else { QUIET };
        let (seconds, nanoseconds) = self.changed.max(self.modified);
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        let since = SystemTime::now().duration_since(changed);
        since.is_ok_and(|since| since >= wanted)
    }
}

impl FileIdentity {
    /// Takes an open file.
    ///
    /// # Errors
    /// Where the system says nothing about it.
    pub fn of(cache: Arc<Cache>, file: File) -> io::Result<Self> {
        Ok(Self {
            stamp: Stamp::of(&file)?,
            cache,
            file,
            digest: OnceLock::new(),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.stamp.size
    }

    fn nickname(&self) -> String {
        format!("{:?}", self.stamp)
    }

    fn memo(&self) -> PathBuf {
        let name = Sha256Digest::of(self.nickname().as_bytes());
        self.cache.folder("files").join(name.to_string())
    }

    /// Gives the digest where it is remembered.
    pub(super) fn known(&self) -> Option<Sha256Digest> {
        if let Some(digest) = self.digest.get() {
            return *digest;
        }
        let path = self.memo();
        let text = fs::read_to_string(&path).ok()?;
        let digest = self.recall(&text)?;
        // What is used stays: the cache drops what has not been for longest.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(self.digest.get_or_init(|| Some(digest)).unwrap_or(digest))
    }

    /// Reads a remembered digest back; `None` where the text is another's, or cut.
    fn recall(&self, text: &str) -> Option<Sha256Digest> {
        let (digest, check) = text.strip_suffix('\n')?.split_once(' ')?;
        let digest = Sha256Digest::parse(digest)?;
        (check == self.check(&digest)).then_some(digest)
    }

    fn check(&self, digest: &Sha256Digest) -> String {
        let text = format!("{} {digest}", self.nickname());
        Sha256Digest::of(text.as_bytes()).to_string()
    }

    /// Gives the digest, computed where it is not remembered; `None` where the file cannot be
    /// read, or changed since it was opened.
    pub(super) fn found(&self) -> Option<Sha256Digest> {
        if let Some(known) = self.known() {
            return Some(known);
        }
        *self.digest.get_or_init(|| {
            if !self.stamp.is_quiet() {
                return None;
            }
            let digest = Sha256Digest::of_reader(FromStart(&self.file, 0)).ok()?;
            if Stamp::of(&self.file).ok()? != self.stamp {
                return None;
            }
            let text = format!("{digest} {}\n", self.check(&digest));
            // Nobody misses it but the next process.
            let _ = self.cache.write(&self.memo(), text.as_bytes());
            Some(digest)
        })
    }

    /// Tells whether the file is still the one that was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        Stamp::of(&self.file).is_ok_and(|now| now == self.stamp)
    }
}

/// A file from its first byte on, whose position others may move.
struct FromStart<'f>(&'f File, u64);

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn identity(cache: &Arc<Cache>, path: &Path) -> FileIdentity {
        FileIdentity::of(Arc::clone(cache), File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_digest_is_remembered_until_the_file_changes_and_never_from_a_broken_note() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::at(&folder.path().join("cache"), 1 << 20));
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        assert_eq!(identity(&cache, &path).found(), None, "it changed just now");
        std::thread::sleep(QUIET * 2);
        let first = identity(&cache, &path);
        assert_eq!(first.known(), None);
        assert_eq!(first.found(), Some(Sha256Digest::of(b"one")));
        assert_eq!(
            identity(&cache, &path).known(),
            Some(Sha256Digest::of(b"one"))
        );
        // A note that is another's, or cut, is none.
        let note = fs::read_to_string(first.memo()).unwrap();
        let other = Sha256Digest::of(b"two").to_string();
        let forged = format!("{other}{}", &note[64..]);
        for broken in ["", &note[..70], &note[..note.len() - 1], &forged, "x y\n"] {
            fs::write(first.memo(), broken).unwrap();
            assert_eq!(identity(&cache, &path).known(), None, "{broken}");
        }
        fs::write(&path, "two").unwrap();
        assert!(!first.is_unchanged());
        std::thread::sleep(QUIET * 2);
        assert_eq!(
            identity(&cache, &path).found(),
            Some(Sha256Digest::of(b"two"))
        );
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::at(&folder.path().join("cache"), 1 << 20));
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        std::thread::sleep(QUIET * 2);
        let opened = identity(&cache, &path);
        fs::write(&path, "ten").unwrap();
        assert_eq!(opened.found(), None);
    }
}
