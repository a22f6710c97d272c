//! A blob that comes into a file, gone on with where an earlier time ended.

use super::RegistryError;
use crate::format::oci::{Algorithm, Descriptor};
use crate::probe::exec::Cancel;
use crate::probe::http::ContentRange;
use crate::probe::http::client::{Head, Sink};
use crate::probe::http::{HttpError, Told};
use reqwest::header::CONTENT_LENGTH;
use sha2::{Digest as _, Sha256, Sha512};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How much is read at a time of what is there.
const PIECE: usize = 256 << 10;

/// Either of the hash functions.
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// A blob on its way.
pub(super) struct Landing {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    wanted: Descriptor,
    length: u64,
    told: Told,
    /// Why it cannot be written.
    fault: Option<RegistryError>,
}

impl Landing {
    /// Takes up what has come of the blob, which is nothing in the beginning.
    ///
    /// # Errors
    /// Where the file cannot be made or read.
    pub fn open(path: &Path, wanted: &Descriptor, told: Told) -> Result<Self, RegistryError> {
        let failed = |error: io::Error| wrong(path, &error);
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.custom_flags(flags).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("is no regular file")));
        }
        let mut hasher = Hasher::new(wanted.digest.algorithm());
        let mut buffer = vec![0; PIECE];
        let mut length = 0;
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                n => {
                    hasher.update(buffer.get(..n).unwrap_or_default());
                    length += n as u64;
                }
            }
            if length > wanted.size {
                break;
            }
            if Cancel::global().is_set() {
                return Err(HttpError::Interrupted.into());
            }
        }
        let mut landing = Self {
            path: path.to_owned(),
            file,
            hasher,
            wanted: wanted.clone(),
            length,
            told,
            fault: None,
        };
        // The end of a file that was written when the machine went down may be anything; a whole
        // one is digested, and begun again if it is another.
        if length > wanted.size {
            landing.reset().map_err(failed)?;
        }
        Ok(landing)
    }

    /// Gives the number of bytes that have come.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what has come.
    fn reset(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::new(self.wanted.digest.algorithm());
        self.length = 0;
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), HttpError> {
        self.reset().map_err(|error| self.disk(&error))
    }

    /// Ends it, where all has come: holds it to its digest. What is another is taken away.
    ///
    /// # Errors
    /// Where it is another, or shorter.
    pub fn finish(self, name: &str) -> Result<(), RegistryError> {
        let (digest, size) = (&self.wanted.digest, self.wanted.size);
        if self.length != size {
            let what = format!(
                "{} of {size} bytes of the blob {digest} have come",
                self.length
            );
            return Err(wrong_blob(name, what));
        }
        let seen = format!("{}:{}", digest.algorithm().name(), self.hasher.finish());
        if seen != digest.to_string() {
            let _ = std::fs::remove_file(&self.path);
            let what = format!("the blob {digest} came with the digest {seen}");
            return Err(wrong_blob(name, what));
        }
        Ok(())
    }

    /// Takes why it could not be written, where it could not.
    pub fn fault(&mut self) -> Option<RegistryError> {
        self.fault.take()
    }

    /// Ends what is under way, and notes that the file is why.
    fn disk(&mut self, error: &io::Error) -> HttpError {
        let fault = wrong(&self.path, error);
        let what = fault.to_string();
        self.fault = Some(fault);
        HttpError::Client { what }
    }
}

fn wrong_blob(name: &str, what: String) -> RegistryError {
    RegistryError::Wrong {
        name: name.to_owned(),
        what,
    }
}

fn wrong(path: &Path, error: &io::Error) -> RegistryError {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => "; free space, and do the same again: it is gone on with",
        _ => "",
    };
    RegistryError::Layout {
        path: path.to_owned(),
        what: format!("{error}{hint}"),
    }
}

/// A blob that is digested and not kept.
pub(super) struct Passing {
    hasher: Hasher,
    wanted: Descriptor,
    length: u64,
}

impl Passing {
    /// Begins with nothing.
    pub fn new(wanted: &Descriptor) -> Self {
        Self {
            hasher: Hasher::new(wanted.digest.algorithm()),
            wanted: wanted.clone(),
            length: 0,
        }
    }

    /// Holds what has come to its digest and size.
    ///
    /// # Errors
    /// Where it is another.
    pub fn finish(self, name: &str) -> Result<(), RegistryError> {
        let (digest, size) = (&self.wanted.digest, self.wanted.size);
        let seen = format!("{}:{}", digest.algorithm().name(), self.hasher.finish());
        if (self.length, &*seen) == (size, &*digest.to_string()) {
            return Ok(());
        }
        let what = format!(
            "the blob {digest} of {size} bytes is there with {} bytes and the digest {seen}",
            self.length
        );
        Err(wrong_blob(name, what))
    }
}

impl Sink for Passing {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        match head.status {
            200 => Ok(true),
            _ => Err(head.refused()),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.length += bytes.len() as u64;
        if self.length > self.wanted.size {
            return Err(HttpError::Answer {
                address: self.wanted.digest.to_string(),
                what: "the server sends more than the descriptor of the blob says".into(),
            });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.length > 0
    }
}

impl Sink for Landing {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        match (head.status, self.length) {
            (200, 0) => {}
            // The server gives no part: from the front again.
            (200, _) => self.begin_anew()?,
            (206, length) if length > 0 => {
                let range = ContentRange::of(&head.headers);
                let goes_on =
                    range.is_some_and(|r| r.first == length && r.size == self.wanted.size);
                if !goes_on {
                    return Err(head.wrong("the server sends another part than was asked for"));
                }
            }
            (416, length) if length > 0 => {
                self.begin_anew()?;
                return Err(head.wrong("the server does not have the part that is missing"));
            }
            _ => return Err(head.refused()),
        }
        let announced = head.headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
        let left = self.wanted.size - self.length;
        match announced {
            Some(announced) if announced != left => Err(head.wrong(format!(
                "the server announces {announced} bytes of a blob where its descriptor says {left}"
            ))),
            Some(_) | None => Ok(true),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.length + bytes.len() as u64 > self.wanted.size {
            return Err(HttpError::Answer {
                address: self.wanted.digest.to_string(),
                what: "the server sends more than the descriptor of the blob says".into(),
            });
        }
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.disk(&error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        (self.told)(bytes.len() as u64);
        Ok(())
    }

    fn has_begun(&self) -> bool {
        // What is asked for next depends on what has come.
        self.length > 0
    }
}
