//! The `manifest.json` of a docker-archive.

use serde::Deserialize;

use super::{Algorithm, Digest, read};
use crate::format::FormatError;

/// One image of a docker-archive: the paths of its parts.
///
/// Source: Docker image specification 1.2, "Combined Image JSON + Filesystem
/// Changeset Format".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    /// The configuration; its name holds its digest.
    pub config: String,
    /// The names of the image.
    #[serde(default, deserialize_with = "or_none")]
    pub repo_tags: Vec<String>,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "or_none")]
    pub layers: Vec<String>,
}

/// Reads a list that may be `null`.
fn or_none<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(from).map(Option::unwrap_or_default)
}

impl Listed {
    /// Gives the digest that the name of the configuration holds:
    /// `<64 digits>.json`, `sha256:<64 digits>` or `blobs/sha256/<64 digits>`.
    #[must_use]
    pub fn config_digest(&self) -> Option<Digest> {
        let name = self.config.rsplit('/').next()?;
        let name = name.strip_suffix(".json").unwrap_or(name);
        let name = name.strip_prefix("sha256:").unwrap_or(name);
        Digest::of_hex(Algorithm::Sha256, name)
    }
}

/// Reads a `manifest.json`; `None` says that it is another document of that
/// name.
pub fn listed(bytes: &[u8]) -> Result<Option<Vec<Listed>>, FormatError> {
    let value: serde_json::Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) => return Ok(None),
    };
    let Some(first) = value.as_array().and_then(|list| list.first()) else {
        return Ok(None);
    };
    if first.get("Config").is_none() || first.get("Layers").is_none() {
        return Ok(None);
    }
    // From the text, so that a key that stands twice is seen.
    read(bytes, "`manifest.json`").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_the_configuration_is_in_its_name() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for name in [
            format!("{hex}.json"),
            format!("sha256:{hex}"),
            format!("blobs/sha256/{hex}"),
        ] {
            let json =
                format!(r#"[{{"Config": "{name}", "RepoTags": null, "Layers": ["a/layer.tar"]}}]"#);
            let list = listed(json.as_bytes()).unwrap().unwrap();
            assert_eq!(
                list[0].config_digest().unwrap().to_string(),
                format!("sha256:{hex}")
            );
            assert!(list[0].repo_tags.is_empty());
        }
    }

    #[test]
    fn another_manifest_json_is_none() {
        for other in [
            r#"{"name": "an app"}"#,
            "[]",
            "[1]",
            r#"[{"Config": "x"}]"#,
            "{",
        ] {
            assert_eq!(listed(other.as_bytes()), Ok(None), "{other}");
        }
        let twice = r#"[{"Config": "a", "Config": "b", "Layers": []}]"#;
        assert!(listed(twice.as_bytes()).is_err());
    }
}
