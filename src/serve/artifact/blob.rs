//! A blob of a layout, held to its digest and size.

use crate::format::oci::{Descriptor, verify};
use crate::format::{Limits, Source};
use crate::image::LocalFile;
use crate::serve::judged::Stamp;
use crate::serve::refusal::Refusal;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
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
    /// Opens a blob, and holds it to its digest and size: it is read to its end, a piece at a time. One
    /// that was had before is not read again where its file is the same, and nobody touched it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(
        root: &OwnedFd,
        descriptor: &Descriptor,
        had: &[Arc<Self>],
    ) -> Result<Arc<Self>, String> {
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
        let same = |blob: &&Arc<Self>| {
            let own = &blob.descriptor;
            (&own.digest, own.size) == (&descriptor.digest, descriptor.size) && blob.is_still(&meta)
        };
        if let Some(blob) = had.iter().find(same) {
            return Ok(Arc::clone(blob));
        }
        let blob = Self {
            descriptor: descriptor.clone(),
            digest: descriptor.digest.to_string(),
            file: Arc::new(LocalFile::of(file, meta.len())),
            seen: Mutex::new(None),
        };
        let good = blob.verify().map_err(|error| format!("{path}: {error}"))?;
        *blob.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((good, true));
        Ok(Arc::new(blob))
    }

    /// Tells whether a file is this one, in the state in which it was what its digest says.
    fn is_still(&self, meta: &Metadata) -> bool {
        let Ok(own) = self.file.file().metadata() else {
            return false;
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (own.dev(), own.ino()) == (meta.dev(), meta.ino()) && *seen == Some((Stamp::of(meta), true))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::Digest;
    use crate::model::Sha256Digest;
    use nix::fcntl::open;
    use nix::sys::stat::Mode;
    use std::collections::BTreeMap;
    use std::fs;

    #[test]
    fn what_nobody_touched_is_not_read_again() {
        let world = tempfile::tempdir().unwrap();
        let digest = Sha256Digest::of(b"abc").to_string();
        let path = world.path().join("blobs/sha256").join(&digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "abc").unwrap();
        let root = open(world.path(), OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        let descriptor = Descriptor {
            digest: Digest::parse(&format!("sha256:{digest}")).unwrap(),
            size: 3,
            media_type: String::new(),
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
        };
        let first = Blob::open(&root, &descriptor, &[]).unwrap();
        let again = |had: &Arc<Blob>| Blob::open(&root, &descriptor, std::slice::from_ref(had));
        assert!(Arc::ptr_eq(&again(&first).unwrap(), &first));
        // Another file, and one that was touched, are.
        fs::write(world.path().join("new"), "abc").unwrap();
        fs::rename(world.path().join("new"), &path).unwrap();
        let second = again(&first).unwrap();
        assert!(!Arc::ptr_eq(&second, &first));
        fs::write(&path, "abd").unwrap();
        assert!(again(&second).is_err());
        assert!(second.good().is_err() && again(&second).is_err());
    }
}
