//! A body that is put away as it comes, in a file without a name.

use super::client::{Head, Sink};
use super::range::ContentRange;
use super::{HttpError, shown_url};
use crate::format::{FormatError, ReadAt};
use crate::model::Sha256Digest;
use reqwest::Url;
use reqwest::header::CONTENT_LENGTH;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// How much is written at a time.
const PIECE: usize = 1 << 20;
/// A block of zeros of this size takes no space.
const BLOCK: usize = 64 << 10;

/// A file that is being fetched, front to back.
pub struct Download {
    address: String,
    file: File,
    /// What has come and is not written yet.
    held: Vec<u8>,
    written: u64,
    hasher: Sha256,
    /// What may come at most, and the name of the bound.
    max: u64,
    limit: &'static str,
}

impl Download {
    /// Begins with nothing. `limit` is the name of the bound `max`.
    ///
    /// # Errors
    /// Where no temporary file can be made.
    pub fn new(url: &Url, max: u64, limit: &'static str) -> Result<Self, HttpError> {
        let file = tempfile::tempfile().map_err(|error| HttpError::Client {
            what: format!("no temporary file: {error}"),
        })?;
        Ok(Self {
            address: shown_url(url),
            file,
            held: Vec::new(),
            written: 0,
            hasher: Sha256::new(),
            max,
            limit,
        })
    }

    /// Gives the bytes that have come.
    pub fn length(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    /// Ends it: gives the whole file, and the digest of its bytes.
    ///
    /// # Errors
    /// Where the disk is full, or fails.
    pub fn finish(mut self) -> Result<(Fetched, Sha256Digest), HttpError> {
        self.write()?;
        // Zeros at the end belong to the file as well.
        let sized = self.file.set_len(self.written);
        sized.map_err(|error| self.disk(&error))?;
        let digest: [u8; 32] = self.hasher.finalize().into();
        let fetched = Fetched {
            file: self.file,
            size: self.written,
        };
        Ok((fetched, digest.into()))
    }

    fn write(&mut self) -> Result<(), HttpError> {
        let bytes = std::mem::take(&mut self.held);
        self.hasher.update(&bytes);
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                let at = self.written + (index * BLOCK) as u64;
                let written = self.file.write_all_at(block, at);
                written.map_err(|error| self.disk(&error))?;
            }
        }
        self.written += bytes.len() as u64;
        self.held = bytes;
        self.held.clear();
        Ok(())
    }

    fn disk(&self, error: &std::io::Error) -> HttpError {
        HttpError::Client {
            what: format!("{} cannot be put away: {error}", self.address),
        }
    }

    fn too_much(&self) -> HttpError {
        HttpError::Limit {
            address: self.address.clone(),
            limit: self.limit,
            value: self.max,
        }
    }
}

impl Sink for Download {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        let length = self.length();
        match (head.status, length) {
            (200, 0) => {}
            // The server has forgotten what it sent before: from the front again.
            (200, _) => {
                self.held.clear();
                self.written = 0;
                self.hasher = Sha256::new();
                let emptied = self.file.set_len(0);
                emptied.map_err(|error| self.disk(&error))?;
            }
            (206, length) if length > 0 => {
                let goes_on = ContentRange::of(&head.headers).is_some_and(|r| r.first == length);
                if !goes_on {
                    return Err(head.wrong("the server sends another part than was asked for"));
                }
            }
            _ => return Err(head.refused()),
        }
        let announced = head.headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|n| n.saturating_add(self.length()) > self.max) {
            return Err(self.too_much());
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.length() + bytes.len() as u64 > self.max {
            return Err(self.too_much());
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.write()?;
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.length() > 0
    }
}

/// A body that is kept in memory.
pub struct Memory {
    /// What has come.
    pub bytes: Vec<u8>,
    max: usize,
    limit: &'static str,
    address: String,
}

impl Memory {
    /// Begins with nothing. `limit` is the name of the bound `max`.
    pub fn new(url: &Url, max: usize, limit: &'static str) -> Self {
        Self {
            bytes: Vec::new(),
            max,
            limit,
            address: shown_url(url),
        }
    }
}

impl Sink for Memory {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.bytes.len() + bytes.len() > self.max {
            return Err(HttpError::Limit {
                address: self.address.clone(),
                limit: self.limit,
                value: self.max as u64,
            });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
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
        read.map_err(|error| FormatError::io("http", offset, error.to_string()))?;
        Ok(space.len())
    }
}
