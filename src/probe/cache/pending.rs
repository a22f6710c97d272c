//! Chunks on their way into the cache.

use super::segment::{Row, Table};
use super::{Cache, Key};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A segment that is being written: a file without a lasting name until it is whole.
#[derive(Debug)]
pub struct Pending {
    scratch: tempfile::NamedTempFile,
    /// The same file, for those who read what was just written.
    pub file: Arc<File>,
    rows: Vec<Row>,
    /// The bytes written so far.
    pub stored: u64,
}

impl Pending {
    /// Begins a segment.
    ///
    /// # Errors
    /// Where the cache's folder cannot be written.
    pub fn new(cache: &Cache) -> io::Result<Self> {
        let scratch = cache.scratch()?;
        let file = Arc::new(scratch.reopen()?);
        Ok(Self {
            scratch,
            file,
            rows: Vec::new(),
            stored: 0,
        })
    }

    /// Appends a chunk; gives where it is.
    ///
    /// # Errors
    /// Where the disk is full, or fails.
    pub fn add(&mut self, row: &Row, bytes: &[u8]) -> io::Result<u64> {
        let at = self.stored;
        if row.digest.is_some() {
            self.file.write_all_at(bytes, at)?;
            self.stored += bytes.len() as u64;
        }
        self.rows.push(row.clone());
        Ok(at)
    }

    /// Gives the segment its name, so that others see it.
    ///
    /// # Errors
    /// Where the disk is full, or fails; nothing is left then.
    pub fn commit(self, cache: &Cache, key: &Key, size: Option<u64>) -> io::Result<()> {
        if self.rows.is_empty() && size.is_none() {
            return Ok(());
        }
        let table = Table {
            rows: self.rows,
            size,
        };
        self.file.write_all_at(&table.encode(key), self.stored)?;
        // The scratch file's own name is used once.
        let name = self
            .scratch
            .path()
            .file_name()
            .unwrap_or_default()
            .to_owned();
        cache.name(self.scratch, &cache.segments(key).join(name))
    }
}
