//! A blob of a layout, held to its digest and size.

use crate::format::oci::{Descriptor, verify};
use crate::format::{Limits, Source};
use crate::image::LocalFile;
use crate::serve::judged::Stamp;
use crate::serve::refusal::Refusal;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A blob that is open.
#[derive(Debug)]
pub struct Blob {
    descriptor: Descriptor,
    digest: String,
    file: Arc<LocalFile>,
    /// Its file when it was held to its digest last, and whether it was what that says.
    seen: Mutex<Option<(Stamp, bool)>>,
}

impl Blob {
    /// Opens a blob, and holds it to its digest and size: it is read to its end, a piece at a time.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(root: &OwnedFd, descriptor: &Descriptor) -> Result<Self, String> {
        let path = descriptor.digest.path();
        let resolve = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        let file = openat2(root, path.as_str(), how).map_err(|error| match error {
            Errno::ELOOP => format!("{path} is a link, or lies behind one, which is not followed"),
            Errno::ENOENT => format!("{path} is not there"),
            other => format!("{path}: {}", other.desc()),
        })?;
        let file = File::from(file);
        let meta = file
            .metadata()
            .map_err(|error| format!("{path}: {error}"))?;
        if !meta.is_file() {
            return Err(format!("{path} is no regular file"));
        }
        let blob = Self {
            descriptor: descriptor.clone(),
            digest: descriptor.digest.to_string(),
            file: Arc::new(LocalFile::of(file, meta.len())),
            seen: Mutex::new(None),
        };
        let good = blob.verify().map_err(|error| format!("{path}: {error}"))?;
        *blob.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((good, true));
        Ok(blob)
    }

    /// Gives its digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Gives its file.
    pub fn file(&self) -> Arc<LocalFile> {
        Arc::clone(&self.file)
    }

    /// Gives its bytes.
    pub fn source(&self) -> Source {
        self.file()
    }

    /// Gives the state of its file in which it is what its digest says; where it was touched since, it
    /// is read again.
    ///
    /// # Errors
    /// Where it is another.
    pub fn good(&self) -> Result<Stamp, Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.stamp().map_err(|_| Refusal::Unreadable)?;
        // What was read once is not read again until its file is touched.
        let good = match *seen {
            Some((then, good)) if then == now => good,
            Some(_) | None => {
                let good = self.verify().is_ok_and(|then| then == now);
                *seen = Some((now, good));
                good
            }
        };
        match good {
            true => Ok(now),
            false => Err(Refusal::Changed),
        }
    }

    fn stamp(&self) -> std::io::Result<Stamp> {
        Ok(Stamp::of(&self.file.file().metadata()?))
    }

    /// Reads it to its end; gives the state of the file in which it is what its digest says.
    fn verify(&self) -> Result<Stamp, String> {
        let told = |error: std::io::Error| error.to_string();
        let before = self.stamp().map_err(told)?;
        let (digest, size) = (&self.descriptor.digest, self.descriptor.size);
        let held = verify(&*self.file, digest, Some(size), &Limits::default());
        held.map_err(|error| error.to_string())?;
        match self.stamp().map_err(told)? == before {
            true => Ok(before),
            false => Err("something writes to it".to_owned()),
        }
    }
}
