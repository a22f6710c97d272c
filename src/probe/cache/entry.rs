//! What is known of one source: the chunks of all segments of its key.

use super::pending::Pending;
use super::segment::{CHUNK, Row, Table};
use super::{Cache, Key};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// More segments of one key than this are not looked at: the cleaning merges them long before.
const MAX_SEGMENTS: usize = 1000;

/// So many segments become one.
const MANY: usize = 16;
/// Segments of this size stay as they are.
const LARGE: u64 = 32 << 20;

/// Where one chunk is.
#[derive(Clone, Debug)]
pub struct Held {
    /// The file, and where in it the chunk begins.
    pub file: Arc<File>,
    /// The segment that the file is; `None` of what this process wrote itself.
    pub segment: Option<Arc<PathBuf>>,
    pub at: u64,
    pub row: Row,
    /// Whether its digest has been found right.
    pub verified: bool,
}

impl Held {
    /// Reads the whole chunk and holds it to its digest.
    ///
    /// # Errors
    /// Where it cannot be read or is not what it was.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.row.length).unwrap_or(0)];
        if self.row.digest.is_some() {
            self.file.read_exact_at(&mut bytes, self.at)?;
        }
        match Row::of(self.row.chunk, &bytes) == self.row {
            true => Ok(bytes),
            false => Err(io::Error::other("a chunk is not what it was")),
        }
    }

    /// Fills `buffer` from `skip` bytes into the chunk.
    pub fn fill(&self, skip: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.row.digest {
            Some(_) => self.file.read_exact_at(buffer, self.at + skip),
            None => {
                buffer.fill(0);
                Ok(())
            }
        }
    }
}

/// The chunks of one key.
#[derive(Debug, Default)]
pub struct Entry {
    pub chunks: HashMap<u64, Held>,
    /// The bytes of the whole source, where they are known.
    pub size: Option<u64>,
    seen: BTreeSet<OsString>,
}

impl Entry {
    /// Looks for segments that have not been seen yet; those that are broken are removed.
    pub fn refresh(&mut self, cache: &Cache, key: &Key) {
        let folder = cache.segments(key);
        let Ok(files) = fs::read_dir(&folder) else {
            return;
        };
        for file in files.flatten().take(MAX_SEGMENTS) {
            let name = file.file_name();
            if self.seen.insert(name.clone()) {
                let path = Arc::new(folder.join(name));
                // One that is gone meanwhile has been merged into another.
                if let Err(error) = self.take(&path, key)
                    && matches!(
                        error.kind(),
                        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
                    )
                {
                    let _ = fs::remove_file(path.as_path());
                }
            }
        }
    }

    fn take(&mut self, path: &Arc<PathBuf>, key: &Key) -> io::Result<()> {
        let file = File::open(path.as_path())?;
        let table = Table::read(&file, key)?;
        // What is used stays: the cache drops what has not been for longest.
        let _ = file.set_modified(SystemTime::now());
        let file = Arc::new(file);
        let mut at = 0;
        for row in table.rows {
            let stored = row.stored();
            if fits(&row, table.size) {
                self.chunks.entry(row.chunk).or_insert_with(|| Held {
                    file: Arc::clone(&file),
                    segment: Some(Arc::clone(path)),
                    at,
                    verified: row.digest.is_none(),
                    row,
                });
            }
            at += stored;
        }
        self.size = self.size.or(table.size);
        Ok(())
    }

    /// Writes the chunks of many small segments into one; the others go once it is there.
    pub fn merge(&mut self, cache: &Cache, key: &Key) {
        if self.seen.len() < MANY {
            return;
        }
        let mut chunks: Vec<&Held> = self.chunks.values().collect();
        chunks.sort_by_key(|held| held.row.chunk);
        let small = |held: &&&Held| held.file.metadata().is_ok_and(|meta| meta.len() < LARGE);
        let Ok(mut merged) = Pending::new(cache) else {
            return;
        };
        let mut gone: BTreeSet<Arc<PathBuf>> = BTreeSet::new();
        for held in chunks.iter().filter(small) {
            // One that is not what it was is left to those who read it.
            let (Ok(bytes), Some(segment)) = (held.bytes(), &held.segment) else {
                continue;
            };
            if merged.add(&held.row, &bytes).is_err() {
                return;
            }
            gone.insert(Arc::clone(segment));
        }
        if merged.commit(cache, key, self.size).is_ok() {
            for segment in gone {
                let _ = fs::remove_file(segment.as_path());
            }
        }
    }

    /// Forgets all chunks of a segment, and the segment: one of them was wrong.
    pub fn distrust(&mut self, segment: &Arc<PathBuf>) {
        self.chunks
            .retain(|_, held| held.segment.as_ref() != Some(segment));
        let _ = fs::remove_file(segment.as_path());
    }
}

/// Tells whether a chunk is as long as one at its place can be.
fn fits(row: &Row, size: Option<u64>) -> bool {
    let length = u64::from(row.length);
    match (row.chunk.checked_mul(CHUNK), size) {
        (Some(begin), Some(size)) => length == size.saturating_sub(begin).min(CHUNK),
        (Some(_), None) => length == CHUNK,
        (None, _) => false,
    }
}
