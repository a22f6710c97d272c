//! What is given: a file that is open, or a text that is made.

use super::judged::Stamp;
use crate::format::Source;
use crate::image::LocalFile;
use crate::model::Sha256Digest;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

/// What is given.
#[derive(Debug)]
pub struct Opened {
    content: Held,
    /// Bytes.
    pub size: u64,
    /// When its content was changed last, seconds since 1970; nothing of what is made.
    pub modified: Option<i64>,
    /// Another one for each content that the name has had.
    pub tag: String,
}

#[derive(Debug)]
enum Held {
    /// A file, as it was when it was opened.
    File(File, Stamp),
    /// Bytes of a blob, and the blob's file, as it was when it was held to its digest.
    Blob(Source, Arc<LocalFile>, Stamp),
    Text(String),
}

/// What is said where a file is not what it was when it was opened.
const CHANGED: &str = "it was changed while it was sent";

impl Opened {
    /// Makes one of a file and what the system says of it.
    pub fn file(file: File, meta: &Metadata) -> Self {
        Self {
            content: Held::File(file, Stamp::of(meta)),
            size: meta.len(),
            modified: Some(meta.mtime()),
            tag: format!(
                "{:x}-{:x}-{:x}",
                meta.ctime(),
                meta.ctime_nsec(),
                meta.len()
            ),
        }
    }

    /// Makes one of a text.
    pub fn text(text: String) -> Self {
        Self {
            size: text.len() as u64,
            modified: None,
            tag: Sha256Digest::of(text.as_bytes()).to_string(),
            content: Held::Text(text),
        }
    }

    /// Makes one of bytes of a blob; `digest` and `path` tell them from others.
    pub fn blob(source: Source, size: u64, blob: (Arc<LocalFile>, Stamp), tag: &[&str]) -> Self {
        Self {
            content: Held::Blob(source, blob.0, blob.1),
            size,
            modified: None,
            tag: Sha256Digest::of(tag.join("\n").as_bytes()).to_string(),
        }
    }

    /// Reads bytes at a place; fewer come only at the end. All that is given was read before the file
    /// changed.
    ///
    /// # Errors
    /// Passes on what the system reports, and says where the file is not what was opened any more.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = match &self.content {
            Held::File(file, _) => read(file, offset, length),
            Held::Blob(source, ..) => {
                let bytes = source.up_to(offset, length).map_err(io::Error::other);
                bytes.map(|bytes| bytes.to_vec())
            }
            Held::Text(text) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = text.as_bytes().get(from..).unwrap_or_default();
                Ok(rest.get(..length).unwrap_or(rest).to_vec())
            }
        };
        self.is_same()?;
        bytes
    }

    /// Holds a file against what it was when it was opened.
    ///
    /// # Errors
    /// Where it is another.
    pub fn is_same(&self) -> io::Result<()> {
        let (file, then) = match &self.content {
            Held::File(file, then) => (file, then),
            Held::Blob(_, file, then) => (file.file(), then),
            Held::Text(_) => return Ok(()),
        };
        match Stamp::of(&file.metadata()?) == *then {
            true => Ok(()),
            false => Err(io::Error::other(CHANGED)),
        }
    }
}

fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_a_file_is() {
        let text = Opened::text("abcdef".to_owned());
        let read = |offset, length| text.read_at(offset, length).unwrap();
        assert_eq!((text.size, read(0, 100)), (6, b"abcdef".to_vec()));
        assert_eq!((read(2, 3), read(6, 1)), (b"cde".to_vec(), Vec::new()));
        assert!(read(u64::MAX, 1).is_empty());
    }
}
