//! One opened subject.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::archive::{Archive, Segments};
use super::containers;
use super::folder::Folder;
use super::layer::Layer;
use super::local::LocalFile;
use super::oci::{self, Oci};
use super::{ImageError, Merged, Talos};
use crate::format::initramfs::Initramfs;
use crate::format::kernel::Kernel;
use crate::format::{
    Bytes, Compression, Content, FormatError, Keep, Limits, Metadata, Source, Tree, source_error,
    whole,
};
use crate::model::Sha256Digest;

type Once<T> = OnceLock<Result<T, ImageError>>;
/// An image inside of another, made once.
type Inner = Arc<Once<Arc<Image>>>;

/// What a subject is made of.
#[derive(Debug)]
enum Body {
    /// Bytes, and what they are.
    File {
        source: Source,
        head: Bytes,
        content: Content,
    },
    /// A folder, on disk or in another image.
    Folder(Arc<dyn Tree>),
}

/// One subject: opened once, decoded where a check asks, shared by all
/// threads. What failed once fails the same way for every check.
///
/// It is a file or a folder, on disk or at any depth inside of another image;
/// see [`Image::enter`].
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    body: Body,
    /// What the container says about it, where it is inside of one.
    meta: Option<Metadata>,
    /// Whether nothing can be cut off its bytes: where they end, a container or a
    /// compressed stream says.
    whole: bool,
    limits: Limits,
    /// The place of what is costly to make from it.
    pub(super) keep: OnceLock<Arc<dyn Keep>>,
    /// Held while the file is read and decoded: two decodings of one bomb at a
    /// time would take twice the memory that one may.
    decoding: Mutex<()>,
    digest: Once<Sha256Digest>,
    kernel: Once<Kernel>,
    segments: OnceLock<Arc<Segments>>,
    talos: Once<Option<Talos>>,
    oci: Once<Option<Oci>>,
    merged: Once<Arc<Merged>>,
    decoded: Once<Option<Arc<Image>>>,
    tree: Once<Arc<dyn Tree>>,
    inner: Mutex<HashMap<String, Inner>>,
}

impl Image {
    /// Opens a file or a folder and looks at its first bytes; the rest is read
    /// when it is asked for.
    ///
    /// Errors tell a missing file, a pipe or device (which is never waited
    /// for) and an empty file.
    pub fn open(path: impl AsRef<Path>, limits: Limits) -> Result<Arc<Self>, ImageError> {
        let path = path.as_ref();
        if path.is_dir() {
            let folder = Arc::new(Folder::new(path, &limits));
            return Ok(Self::of_folder(path, folder, None, limits));
        }
        let file = LocalFile::open(path)?;
        Self::of_source(path, Arc::new(file), None, limits)
    }

    /// Takes bytes, wherever they come from, as an image. `path` is the address
    /// by which messages name it.
    ///
    /// Errors where there are none, or the first of them cannot be read.
    pub fn of_source(
        path: &Path,
        source: Source,
        meta: Option<Metadata>,
        limits: Limits,
    ) -> Result<Arc<Self>, ImageError> {
        Self::of_part(path, source, meta, false, limits)
    }

    /// Takes bytes as an image, as [`Image::of_source`] does; `whole` says that
    /// nothing can be cut off them.
    pub(super) fn of_part(
        path: &Path,
        source: Source,
        meta: Option<Metadata>,
        whole: bool,
        limits: Limits,
    ) -> Result<Arc<Self>, ImageError> {
        let head = source
            .up_to(0, Content::HEAD)
            .map_err(|error| ImageError::format(path, error))?;
        if head.is_empty() {
            return Err(ImageError::Empty {
                path: path.to_owned(),
            });
        }
        let body = Body::File {
            content: Content::detect(&head),
            source,
            head,
        };
        Ok(Self::new(path, body, meta, whole, limits))
    }

    /// Takes a tree as a folder.
    pub fn of_folder(
        path: &Path,
        folder: Arc<dyn Tree>,
        meta: Option<Metadata>,
        limits: Limits,
    ) -> Arc<Self> {
        Self::new(path, Body::Folder(folder), meta, true, limits)
    }

    fn new(
        path: &Path,
        body: Body,
        meta: Option<Metadata>,
        whole: bool,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            body,
            meta,
            whole,
            limits,
            keep: OnceLock::new(),
            decoding: Mutex::new(()),
            digest: OnceLock::new(),
            kernel: OnceLock::new(),
            segments: OnceLock::new(),
            talos: OnceLock::new(),
            oci: OnceLock::new(),
            merged: OnceLock::new(),
            decoded: OnceLock::new(),
            tree: OnceLock::new(),
            inner: Mutex::default(),
        })
    }

    /// Gives the path or address by which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives what the container that it is in says about it; `None` of what
    /// lies on disk.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.meta.as_ref()
    }

    /// Gives the number of bytes; those of a folder are 0.
    ///
    /// Errors where a compressed stream has to be decoded to know, and cannot.
    pub fn size(&self) -> Result<u64, ImageError> {
        match &self.body {
            Body::File { source, .. } => source.size().map_err(|error| self.failed(error)),
            Body::Folder(_) => Ok(0),
        }
    }

    /// Tells what the file is, from its first bytes; `None` of a folder.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        match &self.body {
            Body::File { content, .. } => Some(*content),
            Body::Folder(_) => None,
        }
    }

    /// Gives the bounds that were set when it was opened.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Gives the bytes.
    ///
    /// Errors where it is a folder.
    pub fn source(&self) -> Result<&Source, ImageError> {
        match &self.body {
            Body::File { source, .. } => Ok(source),
            Body::Folder(_) => Err(ImageError::Directory {
                path: self.path.clone(),
            }),
        }
    }

    /// Gives the SHA-256 digest of the bytes.
    pub fn digest(&self) -> Result<Sha256Digest, ImageError> {
        let digest = self.digest.get_or_init(|| {
            let digest = Sha256Digest::of_reader(whole(self.source()?));
            digest.map_err(|error| match source_error(&error) {
                Some(own) => self.failed(own.clone()),
                None => ImageError::io(&self.path, &error),
            })
        });
        digest.clone()
    }

    /// Gives the facts of a kernel; see [`Kernel::read`].
    pub fn kernel(&self) -> Result<&Kernel, ImageError> {
        self.kernel
            .get_or_init(|| {
                let _alone = self.alone();
                let bytes = self.read()?;
                Kernel::read(&bytes, &self.limits).map_err(|error| self.failed(error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Gives the segments and entries of an initramfs; see
    /// [`Initramfs::read`].
    pub fn initramfs(&self) -> Result<&Arc<Initramfs>, ImageError> {
        let decoded = self.segments()?.decoded();
        decoded.map_err(|error| self.failed(error))
    }

    /// Gives how each segment of an initramfs is compressed.
    pub fn packing(&self) -> Result<Vec<Compression>, ImageError> {
        let compressions = self.segments()?.compressions();
        compressions.map_err(|error| self.failed(error))
    }

    fn segments(&self) -> Result<&Arc<Segments>, ImageError> {
        let source = self.source()?;
        let new = || Arc::new(Segments::new(source, &self.limits));
        Ok(self.segments.get_or_init(new))
    }

    /// Gives Talos's root file system and extensions, or `None` where the
    /// initramfs holds neither `rootfs.sqsh` nor `extensions.yaml`.
    pub fn talos(&self) -> Result<Option<&Talos>, ImageError> {
        self.talos
            .get_or_init(|| Talos::read(self.segments()?, &self.path, &self.limits))
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// Gives the OCI image layout or docker-archive that this is, in a folder or
    /// in a tar archive; `None` where it is none.
    ///
    /// Errors where it is one and its manifests cannot be read.
    pub fn oci(&self) -> Result<Option<&Oci>, ImageError> {
        self.oci
            .get_or_init(|| {
                let decoded = match self.content() {
                    Some(Content::Compressed(_)) => self.decoded()?,
                    Some(_) | None => None,
                };
                let in_tar = match decoded.map_or(self.content(), |inner| inner.content()) {
                    Some(Content::Tar) => true,
                    Some(_) => return Ok(None),
                    None => false,
                };
                let found = Oci::find(self.tree()?, in_tar, &self.limits);
                found.map_err(|error| self.failed(error))
            })
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// Gives the merged view: of a Talos initramfs, the root file system under
    /// its extensions; of another initramfs, its own tree; of an OCI image, its
    /// layers; of anything else, its tree.
    ///
    /// Errors where a layer cannot be read: a view with a part missing would
    /// let checks pass that saw nothing. So would one of the sections of a
    /// program, which are no files.
    pub fn merged(&self) -> Result<&Arc<Merged>, ImageError> {
        self.merged
            .get_or_init(|| self.merge().map(Arc::new))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn merge(&self) -> Result<Merged, ImageError> {
        if self.is_initramfs()? {
            return match self.talos()? {
                Some(talos) => Merged::of_layers(&self.path, &talos.layers()?, &self.limits),
                None => Merged::of_initramfs(&self.path, self.segments()?, &self.limits),
            };
        }
        if let Some(oci) = self.oci()? {
            let view = oci::merged(oci, &self.path, &self.limits);
            let merged = view.map(|view| Merged::of(view, &self.limits));
            return merged.map_err(|error| self.failed(error));
        }
        if self.is_program()? {
            return Err(ImageError::NoRoot {
                path: self.path.clone(),
                content: Content::Elf.name(),
            });
        }
        let tree = self.tree()?;
        let layer = Layer::new(tree.format(), "", Arc::clone(tree));
        Merged::of_layers(&self.path, &[&layer], &self.limits)
    }

    /// Tells whether the merged view is another than the tree itself: whether
    /// layers, or an initramfs's links, make the root file system.
    pub fn is_layered(&self) -> Result<bool, ImageError> {
        Ok(self.is_initramfs()? || self.oci()?.is_some())
    }

    /// Tells whether the bytes, decompressed where they are compressed, are an
    /// ELF file: an address leads to its sections, and nothing else does.
    pub fn is_program(&self) -> Result<bool, ImageError> {
        Ok(match self.decoded()? {
            Some(decoded) => decoded.is_program()?,
            None => self.content() == Some(Content::Elf),
        })
    }

    /// Tells whether the bytes are those of an initramfs: archives, compressed
    /// or not. Of a compressed file, the start is decoded to know.
    pub fn is_initramfs(&self) -> Result<bool, ImageError> {
        let Body::File { content, head, .. } = &self.body else {
            return Ok(false);
        };
        Ok(match content {
            Content::Compressed(_) => self.decoded()?.is_none(),
            Content::Unknown => containers::begins_with_padding(head),
            other => containers::is_archive(*other),
        })
    }

    /// Gives a compressed file decompressed; `None` of what is not compressed,
    /// and of an initramfs, whose segments are compressed one by one.
    ///
    /// Nothing is decoded here but the first bytes.
    pub fn decoded(&self) -> Result<Option<&Arc<Self>>, ImageError> {
        self.decoded
            .get_or_init(|| {
                let Body::File {
                    source,
                    content: Content::Compressed(compression),
                    ..
                } = &self.body
                else {
                    return Ok(None);
                };
                let image = self.decode(source, *compression)?;
                let archive = image.content().is_some_and(containers::is_archive);
                Ok((!archive).then_some(image))
            })
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// Gives what is inside: the tree that the next part of an address leads
    /// through. A compressed file shows what it decompresses to.
    ///
    /// Errors where nothing can be inside.
    pub fn tree(&self) -> Result<&Arc<dyn Tree>, ImageError> {
        self.tree
            .get_or_init(|| {
                if self.is_initramfs()? {
                    return Ok(Arc::new(Archive::new(Arc::clone(self.segments()?))) as _);
                }
                if let Some(decoded) = self.decoded()? {
                    return decoded.tree().cloned();
                }
                match &self.body {
                    Body::Folder(folder) => Ok(Arc::clone(folder)),
                    Body::File {
                        source, content, ..
                    } => match containers::open(source, *content, self.whole, &self.limits) {
                        Ok(Some(tree)) => Ok(tree),
                        Ok(None) => Err(ImageError::NoTree {
                            path: self.path.clone(),
                            content: content.name(),
                        }),
                        Err(error) => Err(self.failed(error)),
                    },
                }
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Gives an image inside of this one, made by `make` when it is first asked
    /// for.
    pub(super) fn inner(
        &self,
        path: &str,
        make: impl FnOnce() -> Result<Arc<Self>, ImageError>,
    ) -> Result<Arc<Self>, ImageError> {
        let cell = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.entry(path.to_owned()).or_default().clone()
        };
        cell.get_or_init(make).clone()
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.decoding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the first bytes, up to 33 KiB; none of a folder.
    #[must_use]
    pub fn head(&self) -> Bytes {
        match &self.body {
            Body::File { head, .. } => head.clone(),
            Body::Folder(_) => Bytes::default(),
        }
    }

    /// Gives a reader's error the name of this image.
    #[must_use]
    pub fn failed(&self, error: FormatError) -> ImageError {
        ImageError::format(&self.path, error)
    }
}
