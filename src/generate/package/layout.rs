//! An OCI image layout as it is written to a folder.
//!
//! Source: OCI image specification 1.1, `image-layout.md`.

use crate::model::Sha256Digest;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The media type of an index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layout that is being written.
pub(super) struct Layout {
    folder: PathBuf,
}

/// A blob that has been written: what a descriptor says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) media_type: String,
    pub(super) digest: Sha256Digest,
    pub(super) size: u64,
    /// What is said about it, such as its name.
    pub(super) annotations: BTreeMap<String, String>,
}

impl Blob {
    /// Gives its descriptor.
    pub(super) fn descriptor(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("mediaType".into(), json!(self.media_type));
        fields.insert("digest".into(), json!(format!("sha256:{}", self.digest)));
        fields.insert("size".into(), json!(self.size));
        if !self.annotations.is_empty() {
            fields.insert("annotations".into(), json!(self.annotations));
        }
        fields
    }

    /// Says something about it.
    pub(super) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }
}

impl Layout {
    /// Begins a layout in a folder that is made.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        fs::write(
            folder.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes a blob as it comes, in constant memory; gives what `write` gives as well.
    pub(super) fn stream<T>(
        &self,
        media_type: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<(Blob, T)> {
        let blobs = self.folder.join("blobs/sha256");
        let partial = blobs.join(".partial");
        let mut file = Hashing::new(BufWriter::with_capacity(1 << 18, File::create(&partial)?));
        let given = write(&mut file)?;
        let (writer, digest, size) = file.finish();
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&partial, blobs.join(digest.to_string()))?;
        let blob = Blob {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
        };
        Ok((blob, given))
    }

    /// Writes a blob.
    pub(super) fn bytes(&self, media_type: &str, bytes: &[u8]) -> io::Result<Blob> {
        let written = self.stream(media_type, |to| to.write_all(bytes));
        written.map(|(blob, ())| blob)
    }

    /// Writes a document.
    pub(super) fn document(&self, media_type: &str, document: &Value) -> io::Result<Blob> {
        self.bytes(media_type, document.to_string().as_bytes())
    }

    /// Ends it: the index names everything that is no part of something else.
    pub(super) fn finish(self, manifests: &[Map<String, Value>]) -> io::Result<()> {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let path = self.folder.join("index.json");
        let mut file = File::create(path)?;
        file.write_all(index.to_string().as_bytes())?;
        file.sync_all()?;
        File::open(self.folder.join("blobs/sha256"))?.sync_all()
    }
}

/// Digests what goes through it.
pub(super) struct Hashing<W> {
    to: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    /// Tells whether these bytes have gone through, and no others.
    pub(super) fn saw(&self, size: u64, sha256: &str) -> bool {
        let bytes: [u8; 32] = self.hasher.clone().finalize().into();
        self.size == size && Sha256Digest::from(bytes).to_string() == sha256
    }

    /// Gives what was written to, the digest, and the number of bytes.
    pub(super) fn finish(self) -> (W, Sha256Digest, u64) {
        let bytes: [u8; 32] = self.hasher.finalize().into();
        (self.to, bytes.into(), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(bytes)?;
        self.hasher.update(bytes.get(..taken).unwrap_or_default());
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
