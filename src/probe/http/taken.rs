//! A body that is looked at as it comes, and kept only as far as it is asked for.

use super::HttpError;
use super::client::{Head, Sink};
use crate::model::Sha256Digest;
use reqwest::header::CONTENT_LENGTH;
use sha2::{Digest, Sha256};

/// A body nobody asks for is read up to this size, so that its connection can be used again.
const SMALL: u64 = 64 << 10;

/// What of a body is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Whether it is read to its end.
    pub all: bool,
    /// Whether its digest is made.
    pub digest: bool,
    /// How many bytes are kept; more is an error.
    pub keep: usize,
    /// How many bytes may come.
    pub max: u64,
}

/// A body that is being looked at.
#[derive(Debug)]
pub struct Taken {
    wanted: Wanted,
    address: String,
    hasher: Sha256,
    /// What has been kept; nothing where nothing was to be kept.
    pub bytes: Vec<u8>,
    /// How much has come; `None` where it was not read.
    pub length: Option<u64>,
}

impl Taken {
    /// Begins with nothing.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            address: String::new(),
            hasher: Sha256::new(),
            bytes: Vec::new(),
            length: None,
        }
    }

    /// Gives the digest of what has come, where it was asked for.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        let made = self.wanted.digest && self.length.is_some();
        made.then(|| <[u8; 32]>::from(self.hasher.clone().finalize()).into())
    }

    fn too_much(&self, limit: &'static str, value: u64) -> HttpError {
        HttpError::Limit {
            address: self.address.clone(),
            limit,
            value,
        }
    }
}

impl Sink for Taken {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        self.address = head.shown();
        let declared = head.headers.get(CONTENT_LENGTH);
        let declared = declared.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
        if !self.wanted.all && declared.is_none_or(|n| n > SMALL) {
            return Ok(false);
        }
        self.length = Some(0);
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let length = self.length.unwrap_or(0).saturating_add(bytes.len() as u64);
        self.length = Some(length);
        if length > self.wanted.max {
            return Err(self.too_much("max-body", self.wanted.max));
        }
        if self.wanted.keep > 0 {
            if length > self.wanted.keep as u64 {
                return Err(self.too_much("the body as text", self.wanted.keep as u64));
            }
            self.bytes.extend_from_slice(bytes);
        }
        if self.wanted.digest {
            self.hasher.update(bytes);
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.length.is_some_and(|length| length > 0)
    }
}
