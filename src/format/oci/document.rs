//! Manifests and indexes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::descriptor::Raw;
use super::{Descriptor, NAME};
use crate::format::FormatError;

/// No manifest, index or configuration is longer; registries take no more.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// What a manifest's blob turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list of manifests.
    Index(Index),
    /// An image or an artifact.
    Manifest(Manifest),
}

/// A list of manifests, such as one for each platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The media type that it says itself.
    pub media_type: Option<String>,
    /// What an artifact is.
    pub artifact_type: Option<String>,
    /// The manifests in their order.
    pub manifests: Vec<Descriptor>,
    /// What it is about, such as what it signs.
    pub subject: Option<Descriptor>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
}

/// An image or an artifact: a configuration and layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The media type that it says itself.
    pub media_type: Option<String>,
    /// What an artifact is.
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What it is about, such as what it signs.
    pub subject: Option<Descriptor>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
}

/// All that a manifest or an index may hold; which of them it is, its keys tell.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Option<Vec<Raw>>,
    config: Option<Raw>,
    layers: Option<Vec<Raw>>,
    subject: Option<Raw>,
    annotations: Option<BTreeMap<String, String>>,
    // What other generations of manifests have.
    fs_layers: Option<IgnoredAny>,
    blobs: Option<IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index that a descriptor of `media_type` (empty
    /// where it says none) leads to.
    ///
    /// Errors with [`FormatError::Corrupt`] for what is neither or both, or is
    /// another than the descriptor says, and with [`FormatError::Unsupported`]
    /// for the manifests of earlier generations.
    pub fn read(bytes: &[u8], media_type: &str) -> Result<Self, FormatError> {
        let keys: Keys = read(bytes, "a manifest")?;
        let corrupt = |what: String| Err(FormatError::corrupt(NAME, 0, what));
        if keys.fs_layers.is_some() || keys.schema_version == Some(1) {
            let what = "a manifest of the first generation; push the image again";
            return Err(FormatError::unsupported(NAME, 0, what));
        }
        if keys.schema_version != Some(2) {
            return corrupt("a manifest without `schemaVersion` 2".into());
        }
        if let Some(own) = keys
            .media_type
            .as_ref()
            .filter(|own| !media_type.is_empty() && *own != media_type)
        {
            return corrupt(format!(
                "a manifest says `{own}` of itself, and its descriptor says `{media_type}`"
            ));
        }
        let subject = keys.subject.map(Raw::checked).transpose()?;
        let annotations = keys.annotations.unwrap_or_default();
        match (keys.manifests, keys.config, keys.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(Index {
                media_type: keys.media_type,
                artifact_type: keys.artifact_type,
                manifests: all(manifests)?,
                subject,
                annotations,
            })),
            (None, Some(config), layers) => Ok(Self::Manifest(Manifest {
                media_type: keys.media_type,
                artifact_type: keys.artifact_type,
                config: config.checked()?,
                layers: all(layers.unwrap_or_default())?,
                subject,
                annotations,
            })),
            (Some(_), _, _) => {
                corrupt("a manifest that is an index as well: readers choose differently".into())
            }
            (None, None, _) if keys.blobs.is_some() => {
                let what = "an artifact manifest of OCI 1.1's drafts; push it again";
                Err(FormatError::unsupported(NAME, 0, what))
            }
            (None, None, _) => {
                corrupt("a manifest without `config` and without `manifests`".into())
            }
        }
    }

    /// Tells whether a media type is that of a manifest or an index.
    #[must_use]
    pub fn is_one(media_type: &str) -> bool {
        matches!(
            media_type,
            "application/vnd.oci.image.manifest.v1+json"
                | "application/vnd.oci.image.index.v1+json"
                | "application/vnd.docker.distribution.manifest.v2+json"
                | "application/vnd.docker.distribution.manifest.list.v2+json"
                | "application/vnd.docker.distribution.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v1+prettyjws"
                | "application/vnd.oci.artifact.manifest.v1+json"
                // Some writers of layouts leave it out.
                | ""
        )
    }
}

fn all(raw: Vec<Raw>) -> Result<Vec<Descriptor>, FormatError> {
    raw.into_iter().map(Raw::checked).collect()
}

/// Reads the file `oci-layout`; gives the version of the layout. Source: OCI
/// image specification, `image-layout.md`, "oci-layout file".
///
/// Errors with [`FormatError::Unsupported`] for a version other than 1.
pub fn layout_version(bytes: &[u8]) -> Result<String, FormatError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout = read(bytes, "the file `oci-layout`")?;
    let version = layout.image_layout_version;
    if version.split('.').next() != Some("1") {
        let shown = crate::model::value::clip(&version, 40);
        let what = format!("a layout of the version `{shown}`");
        return Err(FormatError::unsupported(NAME, 0, what));
    }
    Ok(version)
}

/// Reads JSON. Keys that stand twice in a record are an error; readers choose
/// differently.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = bytes.split_inclusive(|byte| *byte == b'\n');
        let before: usize = line
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        let offset = (before + error.column().saturating_sub(1)) as u64;
        FormatError::corrupt(NAME, offset, format!("{what}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn said(json: &str, media_type: &str) -> String {
        let json = json.replace("DIGEST", DIGEST);
        Document::read(json.as_bytes(), media_type)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_manifest_is_known_by_its_keys() {
        let json = format!(
            r#"{{"schemaVersion": 2, "config": {{"digest": "{DIGEST}", "size": 0}}, "layers": null}}"#
        );
        let read = Document::read(json.as_bytes(), "").unwrap();
        assert!(matches!(&read, Document::Manifest(m) if m.layers.is_empty()));
        let json = r#"{"schemaVersion": 2, "manifests": []}"#;
        assert!(matches!(
            Document::read(json.as_bytes(), ""),
            Ok(Document::Index(_))
        ));
    }

    #[test]
    fn what_readers_would_understand_differently_is_refused() {
        let config = r#""config": {"digest": "DIGEST", "size": 0}"#;
        let both = format!(r#"{{"schemaVersion": 2, "manifests": [], {config}}}"#);
        assert!(said(&both, "").contains("an index as well"));
        let twice = format!(r#"{{"schemaVersion": 2, {config}, {config}}}"#);
        assert!(said(&twice, "").contains("duplicate field `config`"));
        let other = format!(r#"{{"schemaVersion": 2, "mediaType": "a/b", {config}}}"#);
        assert!(said(&other, "c/d").contains("its descriptor says `c/d`"));
    }

    #[test]
    fn impossible_descriptors_are_refused() {
        let with = |config: &str| format!(r#"{{"schemaVersion": 2, "config": {config}}}"#);
        assert!(said(&with(r#"{"digest": "DIGEST", "size": -1}"#), "").contains("a size of -1"));
        assert!(said(&with(r#"{"digest": "DIGEST", "size": 1e300}"#), "").contains("invalid type"));
        assert!(
            said(&with(r#"{"digest": "sha256:../x", "size": 1}"#), "").contains("is no digest")
        );
        assert!(said(r#"{"schemaVersion": 1, "fsLayers": []}"#, "").contains("first generation"));
        assert!(said(r#"{"schemaVersion": 2, "blobs": []}"#, "").contains("drafts"));
        assert!(said("{}", "").contains("schemaVersion"));
        assert!(said("[", "").contains("EOF"));
        assert!(layout_version(br#"{"imageLayoutVersion": "2.0.0"}"#).is_err());
    }
}
