//! A regular file of this machine as a source of bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::ImageError;
use crate::format::node::escape;
use crate::format::{Bytes, FormatError, ReadAt, Xattrs};

/// Above this many bytes a read goes into memory that is not zeroed before,
/// which for a large file takes as long as reading it.
const LARGE: usize = 1 << 20;

/// An open regular file.
#[derive(Debug)]
pub struct LocalFile {
    /// Large reads move its position, one at a time; small ones do not.
    file: File,
    position: Mutex<()>,
    size: u64,
}

impl LocalFile {
    /// Opens a file.
    ///
    /// Errors tell a missing file, a directory, a pipe or device (which is
    /// never waited for) and an empty file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        // Before it is opened: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(|error| ImageError::io(path, &error))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Err(ImageError::Directory {
                path: path.to_owned(),
            });
        }
        if !kind.is_file() {
            let what = if kind.is_fifo() {
                "named pipe"
            } else if kind.is_socket() {
                "socket"
            } else {
                "device"
            };
            return Err(ImageError::Special {
                path: path.to_owned(),
                what,
            });
        }
        let file = File::open(path).map_err(|error| ImageError::io(path, &error))?;
        let metadata = file
            .metadata()
            .map_err(|error| ImageError::io(path, &error))?;
        if metadata.len() == 0 {
            return Err(ImageError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self::of(file, metadata.len()))
    }

    /// Takes a regular file that is open, of so many bytes.
    #[must_use]
    pub fn of(file: File, size: u64) -> Self {
        Self {
            file,
            position: Mutex::new(()),
            size,
        }
    }

    /// Gives the open file. Its position is not to be moved.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    fn read_large(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let _alone = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(length)?;
        file.take(length as u64).read_to_end(&mut buffer)?;
        Ok(buffer)
    }
}

impl ReadAt for LocalFile {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FormatError::io("file", offset, error.to_string())),
            }
        }
        // The file was that long when it was opened.
        if done < buffer.len() && offset.saturating_add(done as u64) < self.size {
            let what = "the file became shorter while it was read";
            return Err(FormatError::io("file", offset, what));
        }
        Ok(done)
    }

    fn up_to(&self, offset: u64, length: usize) -> Result<Bytes, FormatError> {
        let left = self.size.saturating_sub(offset);
        let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        if length >= LARGE {
            let read = self.read_large(offset, length);
            let buffer =
                read.map_err(|error| FormatError::io("file", offset, error.to_string()))?;
            if buffer.len() < length {
                let what = "the file became shorter while it was read";
                return Err(FormatError::io("file", offset, what));
            }
            return Ok(Bytes::new(buffer));
        }
        let mut buffer = vec![0; length];
        let read = self.read_at(offset, &mut buffer)?;
        buffer.truncate(read);
        Ok(Bytes::new(buffer))
    }
}

/// Reads the extended attributes of a file on disk, of a link its own. A file
/// system that has none of them gives none.
///
/// Errors where there are some that cannot be read.
pub fn xattrs(path: &Path) -> std::io::Result<Xattrs> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            return Ok(Xattrs::default());
        }
        Err(error) => return Err(error),
    };
    let mut set = Vec::new();
    for name in names {
        // One that went between the two calls is none.
        if let Some(value) = xattr::get(path, &name)? {
            set.push((escape(name.as_bytes()), value));
        }
    }
    set.sort();
    Ok(set.into())
}
