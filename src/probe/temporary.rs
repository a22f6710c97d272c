//! What comes from elsewhere, put away as it comes: in a file without a name.

use crate::format::{FormatError, ReadAt};
use crate::model::Sha256Digest;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is written at a time.
const PIECE: usize = 1 << 20;
/// A block of zeros of this size takes no space.
const BLOCK: usize = 64 << 10;

/// A file that is being fetched, front to back.
pub struct Temporary {
    file: File,
    /// What has come and is not written yet.
    held: Vec<u8>,
    written: u64,
    hasher: Sha256,
}

impl Temporary {
    /// Begins with nothing.
    ///
    /// # Errors
    /// Where no temporary file can be made.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile()?,
            held: Vec::new(),
            written: 0,
            hasher: Sha256::new(),
        })
    }

    /// Gives the bytes that have come.
    pub fn length(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Where the disk is full, or fails.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        match self.held.len() >= PIECE {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Forgets what has come.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn begin_again(&mut self) -> io::Result<()> {
        self.held.clear();
        self.written = 0;
        self.hasher = Sha256::new();
        self.file.set_len(0)
    }

    /// Ends it: gives the whole file, and the digest of its bytes.
    ///
    /// # Errors
    /// Where the disk is full, or fails.
    pub fn finish(mut self) -> io::Result<(Fetched, Sha256Digest)> {
        self.write()?;
        // Zeros at the end belong to the file as well.
        self.file.set_len(self.written)?;
        let digest: [u8; 32] = self.hasher.finalize().into();
        let fetched = Fetched {
            file: self.file,
            size: self.written,
        };
        Ok((fetched, digest.into()))
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.held);
        self.hasher.update(&bytes);
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                let at = self.written + (index * BLOCK) as u64;
                self.file.write_all_at(block, at)?;
            }
        }
        self.written += bytes.len() as u64;
        self.held = bytes;
        self.held.clear();
        Ok(())
    }
}

/// A file that was fetched whole.
#[derive(Debug)]
pub struct Fetched {
    file: File,
    size: u64,
}

impl ReadAt for Fetched {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let left = self.size.saturating_sub(offset).min(buffer.len() as u64);
        let space = usize::try_from(left).ok().and_then(|n| buffer.get_mut(..n));
        let space = space.unwrap_or_default();
        let read = self.file.read_exact_at(space, offset);
        read.map_err(|error| FormatError::io("file", offset, error.to_string()))?;
        Ok(space.len())
    }
}
