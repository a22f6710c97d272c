//! What a console said, kept as it said it.

use super::QemuError;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How much of a console is written down.
const MOST: u64 = 64 << 20;

/// What the console said, as it said it.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    left: u64,
    failed: Option<io::Error>,
}

impl Log {
    pub(super) fn new(path: &Path) -> Result<Self, QemuError> {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = made.and_then(|()| File::create(path));
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|source| super::file(path, source))?,
            left: MOST,
            failed: None,
        })
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.left -= room as u64;
        // Unbuffered: it is read while the machine runs, and after a crash.
        if let Err(error) = self.file.write_all(bytes.get(..room).unwrap_or_default()) {
            self.failed.get_or_insert(error);
        }
    }

    pub(super) fn finish(self) -> Result<(), QemuError> {
        match self.failed {
            Some(source) => Err(super::file(&self.path, source)),
            None => Ok(()),
        }
    }
}
