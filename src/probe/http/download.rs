//! A body that is taken in as it comes: put away in a file without a name, or kept in memory.

use super::client::{Head, Sink};
use super::range::ContentRange;
use super::{HttpError, shown_url};
use crate::model::Sha256Digest;
use crate::probe::temporary::{Fetched, Temporary};
use reqwest::Url;
use reqwest::header::CONTENT_LENGTH;

/// A file that is being fetched, front to back.
pub struct Download {
    address: String,
    file: Temporary,
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
        let file = Temporary::new().map_err(|error| HttpError::Client {
            what: format!("no temporary file: {error}"),
        })?;
        Ok(Self {
            address: shown_url(url),
            file,
            max,
            limit,
        })
    }

    /// Gives the bytes that have come.
    pub fn length(&self) -> u64 {
        self.file.length()
    }

    /// Ends it: gives the whole file, and the digest of its bytes.
    ///
    /// # Errors
    /// Where the disk is full, or fails.
    pub fn finish(self) -> Result<(Fetched, Sha256Digest), HttpError> {
        let address = self.address;
        self.file.finish().map_err(|error| disk(&address, &error))
    }

    fn too_much(&self) -> HttpError {
        HttpError::Limit {
            address: self.address.clone(),
            limit: self.limit,
            value: self.max,
        }
    }
}

fn disk(address: &str, error: &std::io::Error) -> HttpError {
    HttpError::Client {
        what: format!("{address} cannot be put away: {error}"),
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
                let emptied = self.file.begin_again();
                emptied.map_err(|error| disk(&self.address, &error))?;
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
        let taken = self.file.take(bytes);
        taken.map_err(|error| disk(&self.address, &error))
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
