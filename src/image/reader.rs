//! Reading a source from front to back.

use std::io;

use crate::format::{FormatError, ReadAt, Source};

/// A source as a [`io::Read`]. The reader's error, which `io::Error` would
/// flatten, is kept aside.
pub struct Reader<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
    failed: &'a mut Option<FormatError>,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte; an error of the source is left in `failed`.
    pub fn new(source: &'a Source, failed: &'a mut Option<FormatError>) -> Self {
        Self {
            source: &**source,
            offset: 0,
            failed,
        }
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read_at(self.offset, buffer) {
            Ok(read) => {
                self.offset = self.offset.saturating_add(read as u64);
                Ok(read)
            }
            Err(error) => {
                let said = io::Error::other(error.to_string());
                *self.failed = Some(error);
                Err(said)
            }
        }
    }
}
