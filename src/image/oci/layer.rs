//! One layer: its blob, held against its descriptor, and what is packed in it.

use std::sync::{Arc, OnceLock};

use super::NAME;
use crate::format::in_toto::{self, MAX_STATEMENT, Statement};
use crate::format::oci::{Descriptor, Digest, verify};
use crate::format::tar::Tar;
use crate::format::{Bytes, Compression, FormatError, Limits, Source, parallel};
use crate::image::spool::{self, Memory};

/// What tells the name of a file that an artifact carries.
pub const TITLE: &str = "org.opencontainers.image.title";
/// Set where that file is a folder, packed.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// What becomes of a layer where an image or an artifact is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpacking {
    /// It is laid over the layers below it, and may take away from them.
    Stack,
    /// It is an archive of plain files.
    Archive,
    /// It is a file, at this path.
    File(String),
    /// Nobody here can: its media type.
    Unsupported(String),
}

impl Unpacking {
    fn of(descriptor: &Descriptor, image: bool) -> Self {
        let media_type = descriptor.media_type.as_str();
        let plain = media_type.split(';').next().unwrap_or_default().trim();
        if plain.ends_with("+encrypted") {
            return Self::Unsupported(plain.to_owned());
        }
        let layer = [
            "application/vnd.oci.image.layer.",
            "application/vnd.docker.image.rootfs.",
        ];
        if image && layer.iter().any(|start| plain.starts_with(start)) {
            return Self::Stack;
        }
        let title = descriptor.annotations.get(TITLE);
        let unpack = descriptor.annotations.get(UNPACK);
        if let Some(title) = title.filter(|_| unpack.is_none_or(|unpack| unpack != "true")) {
            let path = crate::format::node::normalise(title.as_bytes());
            if !path.escapes && !path.path.is_empty() {
                return Self::File(path.path);
            }
        }
        let packed = ["tar", "tar+gzip", "tar+zstd", "tar.gzip", "tgz", "tar.gz"];
        if packed.iter().any(|end| plain.ends_with(end)) {
            return Self::Archive;
        }
        Self::File(descriptor.digest.path())
    }
}

/// One layer of an image or artifact.
#[derive(Debug)]
pub struct OciLayer {
    /// Its place, the lowest 0.
    pub index: usize,
    /// What the manifest says of it. In a docker-archive, whose layers have no
    /// descriptors, the digest is that of the layer uncompressed.
    pub descriptor: Descriptor,
    /// What becomes of it where the image is unpacked.
    pub unpacking: Unpacking,
    blob: Result<Source, FormatError>,
    /// Whether the digest is that of the layer uncompressed.
    uncompressed: bool,
    memory: Arc<Memory>,
    opened: OnceLock<Result<Opened, FormatError>>,
}

/// A layer whose blob is what its descriptor says.
#[derive(Debug)]
pub struct Opened {
    /// How the blob is compressed, by its content.
    pub compression: Compression,
    /// What it decompresses to.
    pub content: Source,
    /// What is packed in it; `None` of a file.
    pub tar: Option<Arc<Tar>>,
}

/// Gives a source without a byte.
pub(super) fn nothing() -> Source {
    Arc::new(Bytes::default())
}

impl OciLayer {
    pub(super) fn stored(
        index: usize,
        descriptor: &Descriptor,
        image: bool,
        blob: Result<Source, FormatError>,
        memory: &Arc<Memory>,
    ) -> Self {
        Self {
            index,
            unpacking: Unpacking::of(descriptor, image),
            descriptor: descriptor.clone(),
            blob,
            uncompressed: false,
            memory: Arc::clone(memory),
            opened: OnceLock::new(),
        }
    }

    pub(super) fn of_archive(
        index: usize,
        diff_id: &Digest,
        size: u64,
        blob: Source,
        memory: &Arc<Memory>,
    ) -> Self {
        Self {
            index,
            unpacking: Unpacking::Stack,
            descriptor: Descriptor {
                media_type: "application/vnd.docker.image.rootfs.diff.tar".to_owned(),
                digest: diff_id.clone(),
                size,
                artifact_type: None,
                annotations: Default::default(),
                platform: None,
            },
            blob: Ok(blob),
            uncompressed: true,
            memory: Arc::clone(memory),
            opened: OnceLock::new(),
        }
    }

    /// Gives the name by which a file says where it comes from: `layer 2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("layer {}", self.index)
    }

    /// Errors where the blob is not there, or has another size than the manifest
    /// says; nothing of it is read for that.
    pub fn check_size(&self) -> Result<(), FormatError> {
        let blob = self.blob.as_ref().map_err(Clone::clone)?;
        let (size, said) = (blob.size()?, self.descriptor.size);
        if size != said {
            let digest = &self.descriptor.digest;
            let what = format!("the blob {digest} has {size} bytes; its descriptor says {said}");
            return Err(FormatError::corrupt(NAME, 0, what));
        }
        Ok(())
    }

    /// Opens the layer, once: its blob is read to the end and held against its
    /// descriptor, and what is packed in it is listed, both at the same time.
    ///
    /// Errors where either fails.
    pub fn open(&self, limits: &Limits) -> Result<&Opened, FormatError> {
        let opened = self.opened.get_or_init(|| {
            let opened = self.look(limits);
            opened.map_err(|error| error.inside(self.name()))
        });
        opened.as_ref().map_err(Clone::clone)
    }

    fn look(&self, limits: &Limits) -> Result<Opened, FormatError> {
        if let Unpacking::Unsupported(media_type) = &self.unpacking {
            let what = format!("a layer of the media type {media_type}");
            return Err(FormatError::unsupported(NAME, 0, what));
        }
        self.check_size()?;
        let blob = self.blob.as_ref().map_err(Clone::clone)?;
        let digest = &self.descriptor.digest;
        let packed = !matches!(self.unpacking, Unpacking::File(_));
        let head = blob.up_to(0, 512)?;
        let compression = match packed && !Tar::begins(&head) {
            true => Compression::detect(&head),
            false => Compression::None,
        };
        let open = || -> Result<(Source, Option<Arc<Tar>>), FormatError> {
            let content = match compression {
                Compression::None => Arc::clone(blob),
                _ => spool::decoded_beside(blob, compression, limits, &self.memory)?,
            };
            if !packed {
                return Ok((content, None));
            }
            let tar = Tar::open(Arc::clone(&content), limits)?;
            tar.whole()?;
            Ok((content, Some(Arc::new(tar))))
        };
        let stored = || match self.uncompressed {
            true => Ok(()),
            false => verify(&**blob, digest, Some(self.descriptor.size), limits),
        };
        let alone = self.uncompressed && compression == Compression::None;
        let (verified, opened) = match alone {
            // Stored as it is: both read the blob itself.
            true => parallel::join(|| verify(&**blob, digest, None, limits), open),
            false => parallel::join(stored, open),
        };
        // That the blob is another explains what else is wrong with it.
        verified?;
        let (content, tar) = opened?;
        if self.uncompressed && !alone {
            verify(&*content, digest, None, limits)?;
        }
        Ok(Opened {
            compression,
            content,
            tar,
        })
    }

    /// Tells whether it is a folder in an archive, whatever its media type is.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        let unpack = self.descriptor.annotations.get(UNPACK);
        unpack.is_some_and(|unpack| unpack == "true")
    }

    /// Tells whether it is an in-toto statement, plain or in an envelope of signatures.
    #[must_use]
    pub fn is_statement(&self) -> bool {
        let media_type = self.descriptor.media_type.as_str();
        [in_toto::STATEMENT, in_toto::ENVELOPE].contains(&media_type)
    }

    /// Reads the statement that it is.
    ///
    /// Errors where the blob is not there or another, or is none.
    pub fn statement(&self, limits: &Limits) -> Result<Statement, FormatError> {
        if self.descriptor.size > MAX_STATEMENT {
            // Said before anything is fetched.
            return Err(FormatError::Limit {
                format: "in-toto",
                offset: 0,
                limit: "bytes of a statement",
                value: MAX_STATEMENT,
                remedy: "no statement in use is that long; look at how this one was made",
            });
        }
        let length = usize::try_from(self.descriptor.size).unwrap_or(usize::MAX);
        Statement::read(&self.open(limits)?.content.up_to(0, length)?)
    }

    /// Tells whether the layer, uncompressed, has this digest.
    ///
    /// Errors where it cannot be read.
    pub fn has_diff_id(&self, diff_id: &Digest, limits: &Limits) -> Result<bool, FormatError> {
        let opened = self.open(limits)?;
        let digest = &self.descriptor.digest;
        let known = self.uncompressed || opened.compression == Compression::None;
        if known && digest.algorithm() == diff_id.algorithm() {
            return Ok(digest == diff_id);
        }
        let (seen, _) = Digest::of(&*opened.content, diff_id.algorithm(), None, limits)?;
        Ok(seen == *diff_id)
    }
}
