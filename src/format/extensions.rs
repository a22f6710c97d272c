//! Talos's `extensions.yaml`: the list of system extensions in an initramfs.
//!
//! Source: `pkg/machinery/extensions/metadata.go` and
//! `internal/pkg/extensions/` of Talos: `layers: [{image, metadata}]`, the
//! later layers over the earlier ones. Keys that are not known here are
//! passed over, because Talos adds some with its versions.

use serde::Deserialize;

use super::{FormatError, Limits};

const NAME: &str = "extensions.yaml";
/// Hundreds of extensions with long descriptions fit well into this.
const MAX_BYTES: usize = 1 << 20;

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

/// Reads the list, in its order.
///
/// Errors: [`FormatError::Corrupt`] for text that is not YAML of this shape,
/// at the byte where that shows; [`FormatError::Limit`] above 1 MiB.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Vec<Listed>, FormatError> {
    limits.check_deadline(NAME, 0)?;
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::Limit {
            format: NAME,
            offset: MAX_BYTES as u64,
            limit: "extensions.yaml bytes",
            value: MAX_BYTES as u64,
            remedy: "look at what wrote it; a list of extensions is a few kilobytes",
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        FormatError::corrupt(NAME, error.valid_up_to() as u64, "not UTF-8 text")
    })?;
    if text.trim().is_empty() {
        return Err(FormatError::truncated(NAME, 0, "the file is empty"));
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let offset = offset_of_line(text, usize::try_from(line).unwrap_or(1));
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default();
        FormatError::corrupt(NAME, offset as u64, format!("line {line}: {message}"))
    })?;
    let listed = |layer: Layer| Listed {
        image: layer.image,
        name: layer.metadata.name,
        version: layer.metadata.version,
        author: layer.metadata.author,
        description: layer.metadata.description,
        talos: layer
            .metadata
            .compatibility
            .and_then(|c| c.talos)
            .and_then(|talos| talos.version),
        extra_info: layer.metadata.extra_info,
    };
    Ok(document.layers.into_iter().map(listed).collect())
}

fn offset_of_line(text: &str, line: usize) -> usize {
    text.split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum()
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
}
