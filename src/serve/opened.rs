//! What is given: a file that is open, or a text that is made.

use crate::model::Sha256Digest;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

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
    File(File),
    Text(String),
}

impl Opened {
    /// Makes one of a file and what the system says of it.
    pub fn file(file: File, meta: &Metadata) -> Self {
        Self {
            content: Held::File(file),
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

    /// Reads bytes at a place; fewer come only at the end.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = match &self.content {
            Held::File(file) => file,
            Held::Text(text) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = text.as_bytes().get(from..).unwrap_or_default();
                return Ok(rest.get(..length).unwrap_or(rest).to_vec());
            }
        };
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
