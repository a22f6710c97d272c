//! From files and facts to a layout in a folder: nothing else goes in.

use super::attestation;
use super::contents::{Artifact, Contents};
use super::facts::Facts;
use super::layout::{Blob, Layout};
use super::manifest;
use crate::generate::recipe::Package;
use crate::model::Sha256Digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The name of what is in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";

/// What has been built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Built {
    /// The digest of the package's manifest.
    pub(super) digest: Sha256Digest,
    /// The digest of the manifest that attaches the verdicts.
    pub(super) attestation: Sha256Digest,
}

/// Builds a package in a folder that is made.
pub(super) fn build(
    folder: &Path,
    package: &Package,
    artifacts: &BTreeMap<String, Artifact>,
    facts: &Facts,
) -> io::Result<Built> {
    let contents = Contents::new(package, artifacts, facts);
    let layout = Layout::new(folder)?;
    let made = manifest::write(&layout, package, &contents, facts)?;
    let name = package.repository.as_deref().unwrap_or(&facts.recipe);
    let attached = attestation::attach(&layout, &made, name, &contents, facts)?;
    let built = Built {
        digest: made.digest,
        attestation: attached.digest,
    };
    let mut names = package.tags.clone();
    if names.is_empty() {
        // By a name it can be asked for beside what is attached to it.
        names.push(facts.variant.clone());
    }
    let named = |name: &String| made.clone().with(NAME, name).descriptor();
    let mut manifests: Vec<_> = names.iter().map(named).collect();
    let mut last: Blob = attached;
    last.annotations.clear();
    let mut last = last.descriptor();
    last.insert("artifactType".into(), json!(attestation::IN_TOTO));
    manifests.push(last);
    layout.finish(&manifests)?;
    Ok(built)
}

#[cfg(test)]
mod tests;
