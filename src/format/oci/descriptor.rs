//! Descriptors: what one document says of a blob.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{Digest, NAME};
use crate::format::FormatError;

/// What a document says of a blob: what it is, how long, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type; empty where none is given.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The number of its bytes.
    pub size: u64,
    /// What an artifact is, where the blob is a manifest of one.
    pub artifact_type: Option<String>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// What it runs on, where the blob is a manifest.
    pub platform: Option<Platform>,
}

/// What an image runs on: `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// The operating system, by Go's name.
    pub os: String,
    /// The processor, by Go's name.
    pub architecture: String,
    /// The variant of the processor.
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a platform of its parts, an empty variant left out; `None` where
    /// the others are empty.
    pub(super) fn of(
        os: Option<String>,
        architecture: Option<String>,
        variant: Option<String>,
    ) -> Option<Self> {
        let said = |text: &String| !text.is_empty();
        Some(Self {
            os: os.filter(said)?,
            architecture: architecture.filter(said)?,
            variant: variant.filter(said),
        })
    }

    /// Tells whether this is the platform that is asked for: `linux/arm64` asks
    /// for any variant.
    #[must_use]
    pub fn is(&self, asked: &str) -> bool {
        asked == self.to_string() || asked == format!("{}/{}", self.os, self.architecture)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A descriptor as JSON has it; whatever else it says is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    media_type: Option<String>,
    digest: String,
    size: i64,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Raw {
    /// Checks what it says. Source: OCI image specification, `descriptor.md`,
    /// "Properties".
    pub(super) fn checked(self) -> Result<Descriptor, FormatError> {
        let digest = Digest::parse(&self.digest)?;
        let size = u64::try_from(self.size).map_err(|_| {
            let what = format!("the descriptor of {digest} says a size of {}", self.size);
            FormatError::corrupt(NAME, 0, what)
        })?;
        let platform = self
            .platform
            .and_then(|p| Platform::of(p.os, p.architecture, p.variant));
        Ok(Descriptor {
            media_type: self.media_type.unwrap_or_default(),
            digest,
            size,
            artifact_type: self.artifact_type,
            annotations: self.annotations.unwrap_or_default(),
            platform,
        })
    }
}
