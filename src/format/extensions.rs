//! What Talos's system extensions say of themselves: `extensions.yaml`, the
//! list of those in an initramfs, and `manifest.yaml` of each one's own image.
//!
//! Source: `pkg/machinery/extensions/` of Talos: of the list, `config.go`
//! (`layers: [{image, metadata}]`, the later layers over the earlier ones), of
//! the manifest, `metadata.go` and `load.go` (`version: v1alpha1`,
//! `metadata`).

use serde::Deserialize;

use super::{FormatError, Limits, yaml};

const LIST: &str = "extensions.yaml";
const MANIFEST: &str = "manifest.yaml";
/// The one version of a manifest that Talos loads.
const VERSION: &str = "v1alpha1";

/// One listed extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The squashfs file in the initramfs, such as `0.sqsh`. It is named after
    /// a place in a list and says nothing about what is in it.
    pub image: String,
    /// `metadata.name`, by which an extension is found.
    pub name: String,
    /// `metadata.version`, with or without a `v`.
    pub version: Option<String>,
    /// `metadata.author`.
    pub author: Option<String>,
    /// `metadata.description`.
    pub description: Option<String>,
    /// `metadata.compatibility.talos.version`, a constraint.
    pub talos: Option<String>,
    /// `metadata.extraInfo`.
    pub extra_info: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    image: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    version: Option<String>,
    author: Option<String>,
    description: Option<String>,
    compatibility: Option<Compatibility>,
    extra_info: Option<String>,
}

#[derive(Deserialize)]
struct Compatibility {
    talos: Option<Constraint>,
}

#[derive(Deserialize)]
struct Constraint {
    version: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    version: Option<String>,
    metadata: Metadata,
}

impl Metadata {
    fn listed(self, image: String) -> Listed {
        Listed {
            image,
            name: self.name,
            version: self.version,
            author: self.author,
            description: self.description,
            talos: self
                .compatibility
                .and_then(|c| c.talos)
                .and_then(|talos| talos.version),
            extra_info: self.extra_info,
        }
    }
}

/// Reads the list, in its order.
///
/// Errors: [`FormatError::Corrupt`] for text that is not YAML of this shape,
/// at the byte where that shows; [`FormatError::Limit`] above 1 MiB.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Vec<Listed>, FormatError> {
    let document: Document = yaml::read(LIST, bytes, limits)?;
    let listed = |layer: Layer| layer.metadata.listed(layer.image);
    Ok(document.layers.into_iter().map(listed).collect())
}

/// Reads a manifest; it names no image, so `image` is empty.
///
/// Errors: as [`read`]; [`FormatError::Unsupported`] for a version that Talos
/// does not load.
pub fn read_manifest(bytes: &[u8], limits: &Limits) -> Result<Listed, FormatError> {
    let manifest: Manifest = yaml::read(MANIFEST, bytes, limits)?;
    match manifest.version.as_deref() {
        Some(VERSION) => Ok(manifest.metadata.listed(String::new())),
        other => {
            let other = other.unwrap_or_default();
            let what = format!("its version is `{other}`; Talos loads `{VERSION}` alone");
            Err(FormatError::unsupported(MANIFEST, 0, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(text: &str) -> Result<Vec<Listed>, FormatError> {
        read(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn the_list_keeps_its_order_and_unknown_keys_do_not_matter() {
        let listed = layers(
            "layers:\n    - image: 1.sqsh\n      metadata:\n        name: tailscale\n        version: 1.98.5\n        author: Andrei\n        description: |\n            Tailscale\n        compatibility:\n            talos:\n                version: '>= v1.8.0'\n        later: [x]\n    - image: 0.sqsh\n      metadata: {name: spin, version: v0.25.1}\n",
        )
        .unwrap();
        let names: Vec<_> = listed.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["tailscale", "spin"]);
        assert_eq!(listed[0].version.as_deref(), Some("1.98.5"));
        assert_eq!(listed[0].talos.as_deref(), Some(">= v1.8.0"));
        assert_eq!(listed[1].image, "0.sqsh");
    }

    #[test]
    fn a_version_that_looks_like_a_number_stays_as_written() {
        let listed =
            layers("layers: [{image: 0.sqsh, metadata: {name: x, version: 1.10}}]").unwrap();
        assert_eq!(listed[0].version.as_deref(), Some("1.10"));
    }

    #[test]
    fn a_broken_list_is_an_error_with_its_line() {
        let error = layers("layers:\n  - image: 0.sqsh\n    metadata: 3\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("extensions.yaml: broken at byte"),
            "{error}"
        );
        assert!(layers("").is_err());
        assert!(layers("layers: []").unwrap().is_empty());
    }

    #[test]
    fn a_manifest_says_the_same_of_one() {
        let manifest = |text: &str| read_manifest(text.as_bytes(), &Limits::default());
        let spin = "version: v1alpha1\nmetadata:\n  name: spin\n  version: v0.25.1\n  compatibility: {talos: {version: '>= v1.0.0'}}\n";
        let read = manifest(spin).unwrap();
        assert_eq!((read.name.as_str(), read.image.as_str()), ("spin", ""));
        assert_eq!(read.talos.as_deref(), Some(">= v1.0.0"));
        let error = manifest(&spin.replace("v1alpha1", "v1")).unwrap_err();
        assert!(error.to_string().contains("its version is `v1`"), "{error}");
        assert!(manifest("version: v1alpha1\n").is_err());
        assert!(manifest("metadata: {name: x}\n").is_err());
    }
}
