//! One opened subject.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::layer::Layer;
use super::{ImageError, Merged, Talos};
use crate::format::initramfs::Initramfs;
use crate::format::kernel::Kernel;
use crate::format::squashfs::Squashfs;
use crate::format::{Bytes, Content, FormatError, Limits};

/// Enough of a file to tell what it is: an ISO shows itself last.
const HEAD: u64 = 33 << 10;

type Once<T> = OnceLock<Result<T, ImageError>>;

/// One subject file: opened once, decoded where a check asks, shared by all
/// threads. What failed once fails the same way for every check.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    size: u64,
    content: Content,
    head: Vec<u8>,
    limits: Limits,
    /// Held while the file is read and decoded: its position is shared, and two decodings of one
    /// bomb at a time would take twice the memory that one may.
    decoding: Mutex<()>,
    digest: Once<String>,
    kernel: Once<Kernel>,
    initramfs: Once<Initramfs>,
    squashfs: Once<Squashfs>,
    talos: Once<Option<Talos>>,
    merged: Once<Merged>,
}

impl Image {
    /// Opens a file and looks at its first bytes; the rest is read when it is
    /// asked for.
    ///
    /// Errors tell a missing file, a directory, a pipe or device (which is
    /// never waited for), an empty file and one above `max_input`.
    pub fn open(path: impl AsRef<Path>, limits: Limits) -> Result<Arc<Self>, ImageError> {
        let path = path.as_ref();
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
        let size = file
            .metadata()
            .map_err(|error| ImageError::io(path, &error))?
            .len();
        if size == 0 {
            return Err(ImageError::Empty {
                path: path.to_owned(),
            });
        }
        let head = head(&file, size.min(HEAD)).map_err(|error| ImageError::io(path, &error))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            file,
            size,
            content: Content::detect(&head),
            head,
            limits,
            decoding: Mutex::new(()),
            digest: OnceLock::new(),
            kernel: OnceLock::new(),
            initramfs: OnceLock::new(),
            squashfs: OnceLock::new(),
            talos: OnceLock::new(),
            merged: OnceLock::new(),
        }))
    }

    /// Gives the path by which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Tells what the file is, from its first bytes.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// Gives the bounds that were set when it was opened.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Gives the SHA-256 digest of the file as 64 hexadecimal digits.
    pub fn digest(&self) -> Result<&str, ImageError> {
        let digest = self.digest.get_or_init(|| {
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 18];
            let mut offset = 0;
            loop {
                let read = self
                    .file
                    .read_at(&mut buffer, offset)
                    .map_err(|error| ImageError::io(&self.path, &error))?;
                if read == 0 {
                    break;
                }
                hash.update(buffer.get(..read).unwrap_or_default());
                offset += read as u64;
            }
            Ok(hash
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect())
        });
        digest.as_deref().map_err(Clone::clone)
    }

    /// Gives the facts of a kernel; see [`Kernel::read`].
    pub fn kernel(&self) -> Result<&Kernel, ImageError> {
        self.kernel
            .get_or_init(|| {
                let _alone = self.alone();
                let bytes = self.read()?;
                Kernel::read(&bytes, &self.limits).map_err(|error| self.broken(error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Gives the segments and entries of an initramfs; see
    /// [`Initramfs::read`].
    pub fn initramfs(&self) -> Result<&Initramfs, ImageError> {
        self.initramfs
            .get_or_init(|| {
                let _alone = self.alone();
                Initramfs::check_start(&self.head).map_err(|error| self.broken(error))?;
                Initramfs::read(self.read()?, &self.limits).map_err(|error| self.broken(error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Gives the file itself as a squashfs image; see [`Squashfs::open`].
    pub fn squashfs(&self) -> Result<&Squashfs, ImageError> {
        self.squashfs
            .get_or_init(|| {
                let _alone = self.alone();
                Squashfs::open(Arc::new(self.read()?), &self.limits)
                    .map_err(|error| self.broken(error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Gives Talos's root file system and extensions, or `None` where the
    /// initramfs holds neither `rootfs.sqsh` nor `extensions.yaml`.
    pub fn talos(&self) -> Result<Option<&Talos>, ImageError> {
        self.talos
            .get_or_init(|| Talos::read(self.initramfs()?, &self.path, &self.limits))
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// Gives the merged view: of a Talos initramfs, the root file system under
    /// its extensions; of another initramfs, its own tree; of a squashfs
    /// image, its tree.
    ///
    /// Errors where a layer cannot be read: a view with a part missing would
    /// let checks pass that saw nothing.
    pub fn merged(&self) -> Result<&Merged, ImageError> {
        self.merged
            .get_or_init(|| {
                if self.content == Content::Squashfs {
                    let layer = Layer::new("squashfs", "", Arc::new(self.squashfs()?.clone()));
                    return Merged::of_layers(&self.path, &[&layer], &self.limits);
                }
                match self.talos()? {
                    Some(talos) => Merged::of_layers(&self.path, &talos.layers()?, &self.limits),
                    None => Merged::of_initramfs(&self.path, self.initramfs()?, &self.limits),
                }
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.decoding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<Bytes, ImageError> {
        if self.size > self.limits.max_input {
            return Err(ImageError::TooLarge {
                path: self.path.clone(),
                size: self.size,
                limit: self.limits.max_input,
            });
        }
        self.read_whole()
            .map(Bytes::new)
            .map_err(|error| ImageError::io(&self.path, &error))
    }

    /// Reads into memory that is not zeroed before, which for a large file
    /// takes as long as reading it.
    fn read_whole(&self) -> std::io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.rewind()?;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(usize::try_from(self.size).unwrap_or(usize::MAX))?;
        file.take(self.size).read_to_end(&mut buffer)?;
        if (buffer.len() as u64) < self.size {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        Ok(buffer)
    }

    fn broken(&self, error: FormatError) -> ImageError {
        ImageError::format(&self.path, error)
    }
}

/// Reads the first `length` bytes.
fn head(file: &File, length: u64) -> std::io::Result<Vec<u8>> {
    let too_long = |_| std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    let mut buffer = vec![0; usize::try_from(length).map_err(too_long)?];
    file.read_exact_at(&mut buffer, 0)?;
    Ok(buffer)
}
