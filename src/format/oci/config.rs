//! The configuration of an image.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Digest, NAME, Platform, read};
use crate::format::FormatError;

/// What an image says about itself.
///
/// Source: OCI image specification, `config.md`, "Properties".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The platform; `None` where a part of it is missing.
    pub platform: Option<Platform>,
    /// The processor.
    pub architecture: Option<String>,
    /// The variant of the processor.
    pub variant: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The user that it runs as.
    pub user: Option<String>,
    /// The directory that it runs in.
    pub working_dir: Option<String>,
    /// What it runs, arguments left out.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments, or what it runs where there is no entry point.
    pub cmd: Option<Vec<String>>,
    /// The environment, `NAME=value`.
    pub env: Vec<String>,
    /// What is said about it.
    pub labels: BTreeMap<String, String>,
    /// The ports that it listens at, `8080/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// The directories that hold what changes, sorted.
    pub volumes: Vec<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// The digests of its layers, uncompressed, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// How it was made.
    pub history: Vec<History>,
}

/// One step of how an image was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The command.
    pub created_by: Option<String>,
    /// Whether it made no layer.
    pub empty_layer: bool,
}

#[derive(Deserialize)]
struct Raw {
    architecture: Option<String>,
    variant: Option<String>,
    os: Option<String>,
    created: Option<String>,
    author: Option<String>,
    config: Option<RawRun>,
    rootfs: Option<RawRoot>,
    history: Option<Vec<RawHistory>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRun {
    user: Option<String>,
    working_dir: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
    volumes: Option<BTreeMap<String, IgnoredAny>>,
    stop_signal: Option<String>,
}

#[derive(Deserialize)]
struct RawRoot {
    #[serde(rename = "type")]
    kind: Option<String>,
    diff_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawHistory {
    created_by: Option<String>,
    empty_layer: Option<bool>,
}

impl Config {
    /// Reads the configuration of an image.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let raw: Raw = read(bytes, "the configuration of an image")?;
        let run = raw.config.unwrap_or_default();
        let root = raw.rootfs;
        if let Some(kind) = root.as_ref().and_then(|root| root.kind.as_ref())
            && kind != "layers"
        {
            let shown = crate::model::value::clip(kind, 40);
            let what = format!("a root file system of the type `{shown}`");
            return Err(FormatError::unsupported(NAME, 0, what));
        }
        let diff_ids = root.and_then(|root| root.diff_ids).unwrap_or_default();
        let history = raw.history.unwrap_or_default();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            platform: Platform::of(
                raw.os.clone(),
                raw.architecture.clone(),
                raw.variant.clone(),
            ),
            architecture: said(raw.architecture),
            variant: said(raw.variant),
            os: said(raw.os),
            created: said(raw.created),
            author: said(raw.author),
            user: said(run.user),
            working_dir: said(run.working_dir),
            entrypoint: run.entrypoint,
            cmd: run.cmd,
            env: run.env.unwrap_or_default(),
            labels: run.labels.unwrap_or_default(),
            exposed_ports: run.exposed_ports.unwrap_or_default().into_keys().collect(),
            volumes: run.volumes.unwrap_or_default().into_keys().collect(),
            stop_signal: said(run.stop_signal),
            diff_ids: diff_ids
                .iter()
                .map(|id| Digest::parse(id))
                .collect::<Result<_, _>>()?,
            history: history
                .into_iter()
                .map(|step| History {
                    created_by: said(step.created_by),
                    empty_layer: step.empty_layer.unwrap_or(false),
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_absent_and_not_empty() {
        let config = Config::read(br#"{"os": "linux", "architecture": "arm64", "variant": "", "config": {"User": "", "Env": null, "ExposedPorts": {"80/tcp": {}, "53/udp": {}}}}"#);
        let config = config.unwrap();
        assert_eq!(config.platform.unwrap().to_string(), "linux/arm64");
        assert_eq!((config.user, config.entrypoint), (None, None));
        assert_eq!(config.exposed_ports, ["53/udp", "80/tcp"]);
        assert!(Config::read(br#"{"rootfs": {"type": "layers", "diff_ids": ["x"]}}"#).is_err());
    }
}
