//! Manifests and tags, from the layout into the registry.
//!
//! Source: OCI distribution specification 1.1, "Pushing Manifests", "Pushing Manifests with
//! Subject", "Referrers Tag Schema".

use super::plan::Planned;
use super::{Push, says};
use crate::format::FormatError;
use crate::format::oci::{self, Descriptor, Document};
use crate::probe::http::request::Body;
use crate::probe::registry::RegistryError;
use crate::probe::registry::folder::index_of;
use crate::probe::registry::pull::{entry, may_mend};
use crate::probe::registry::referrers::{fallback, fallback_tag, listed};
use crate::probe::registry::transfer::{Event, Failed, retried};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// No answer to a manifest says more.
const SAID: usize = 64 << 10;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// How often an index that others write as well is written again.
const ROUNDS: u32 = 5;

impl Push<'_> {
    /// Brings a manifest there, under its digest, and into the list of what refers to its subject.
    pub(super) fn document(&self, planned: &Planned) -> Result<(), RegistryError> {
        let descriptor = &planned.descriptor;
        let bytes = self.folder.document(descriptor, &self.options.limits)?;
        let which = descriptor.digest.to_string();
        let headers = self.put(&which, descriptor, &bytes)?;
        (self.progress)(&Event::Manifest {
            digest: &descriptor.digest,
        });
        let Some(subject) = &planned.subject else {
            return Ok(());
        };
        // A registry that keeps the list itself says so, or shows it.
        if headers.contains_key("oci-subject") {
            return Ok(());
        }
        let what = || "what refers to it".to_owned();
        let kept = retried(self.options, self.progress, what, may_mend, || {
            Ok(listed(self.session, &subject.digest, None)?)
        })?;
        match kept.is_some_and(|list| list.iter().any(|d| d.digest == descriptor.digest)) {
            true => Ok(()),
            false => self.list(descriptor, &bytes, subject),
        }
    }

    /// Makes a tag lead to what it is to lead to, and looks whether it does.
    pub(super) fn tag(&self, root: &Descriptor, tag: &str) -> Result<(), RegistryError> {
        let bytes = self.folder.document(root, &self.options.limits)?;
        let kind = self.kind(root, &bytes)?;
        let root = Descriptor {
            media_type: kind,
            ..root.clone()
        };
        let what = || format!("the tag {tag}");
        retried(self.options, self.progress, what, may_mend, || {
            self.put(tag, &root, &bytes)?;
            let there = self.session.manifest(tag)?;
            match there.descriptor.digest == root.digest {
                true => Ok(()),
                false => {
                    let what = format!(
                        "the tag {tag} leads to {}, not to {}",
                        there.descriptor.digest, root.digest
                    );
                    Err(Failed::from(self.wrong(what)))
                }
            }
        })?;
        (self.progress)(&Event::Tag { tag });
        Ok(())
    }

    pub(super) fn wrong(&self, what: String) -> RegistryError {
        RegistryError::Wrong {
            name: self.session.name.shown(),
            what,
        }
    }

    fn kind(&self, root: &Descriptor, bytes: &[u8]) -> Result<String, RegistryError> {
        if !root.media_type.is_empty() {
            return Ok(root.media_type.clone());
        }
        let document = Document::read(bytes, "");
        let document = document.map_err(|e| self.folder.corrupt(&root.digest.path(), e))?;
        Ok(match document {
            Document::Index(index) => index.media_type.unwrap_or_else(|| INDEX.to_owned()),
            Document::Manifest(manifest) => {
                let usual = "application/vnd.oci.image.manifest.v1+json";
                manifest.media_type.unwrap_or_else(|| usual.to_owned())
            }
        })
    }

    /// Puts a manifest under a digest or a tag; gives the headers of the answer.
    fn put(
        &self,
        which: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<HeaderMap, RegistryError> {
        let url = self.session.name.url("manifests", which);
        let request = self
            .session
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, &descriptor.media_type)
            .body(Body::Bytes(bytes.to_vec()));
        let what = || format!("the manifest {which}");
        let again = |error: &RegistryError| may_mend(error) || is_garbled(error);
        retried(self.options, self.progress, what, again, || {
            let (head, body) = self
                .session
                .say(&request, SAID, "an answer to a manifest")?;
            match head.status {
                200..=202 | 204 if says(&head.headers, &descriptor.digest) => Ok(head.headers),
                200..=202 | 204 => {
                    let what = format!("the registry stores {which} under another digest");
                    Err(Failed::from(self.wrong(what)))
                }
                _ => Err(Failed::from(self.session.refused(head.refused(), &body))),
            }
        })
    }

    /// Writes a manifest into the index that lists what refers to its subject, where the registry
    /// does not.
    fn list(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        subject: &Descriptor,
    ) -> Result<(), RegistryError> {
        let listed = entry(&described(descriptor, bytes)?, None);
        let digest = &listed["digest"];
        let has = |list: &[Value]| list.iter().any(|other| other["digest"] == *digest);
        let read = || {
            let what = || "what refers to it".to_owned();
            retried(self.options, self.progress, what, may_mend, || {
                Ok(fallback(self.session, &subject.digest)?)
            })
        };
        let tag = fallback_tag(&subject.digest);
        for _ in 0..ROUNDS {
            let before = read()?.unwrap_or_default();
            let mut index: Value = match before.is_empty() {
                true => serde_json::from_str(&index_of(&[])).unwrap_or_default(),
                false => oci::read(&before, "an index").map_err(|e| self.session.wrong(e))?,
            };
            let Some(list) = index["manifests"].as_array_mut() else {
                let what = format!("what stands under the tag {tag} is no index");
                return Err(self.session.wrong(FormatError::corrupt("oci", 0, what)));
            };
            // That it stands there also shows that no other has written over it.
            if has(list) {
                return Ok(());
            }
            list.push(listed.clone());
            let bytes = index.to_string().into_bytes();
            let limits = &self.options.limits;
            let source = crate::format::Bytes::new(bytes.clone());
            let digest = oci::Digest::of(&source, oci::Algorithm::Sha256, None, limits);
            let (digest, size) = digest.map_err(|e| self.session.wrong(e))?;
            let written = Descriptor {
                media_type: INDEX.to_owned(),
                digest,
                size,
                artifact_type: None,
                annotations: Default::default(),
                platform: None,
            };
            self.put(&tag, &written, &bytes)?;
        }
        match read()?.is_some_and(|bytes| {
            let index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            index["manifests"].as_array().is_some_and(|list| has(list))
        }) {
            true => Ok(()),
            false => {
                let what = format!("others keep writing over the index under the tag {tag}");
                Err(self.wrong(what))
            }
        }
    }
}

/// Tells whether a registry found a manifest broken: what was sent was not, so it broke on the way.
fn is_garbled(error: &RegistryError) -> bool {
    match error {
        RegistryError::Refused { status, .. } => matches!(status, 400 | 404),
        RegistryError::Http(error) => matches!(
            error,
            crate::probe::http::HttpError::Status {
                status: 400 | 404,
                ..
            }
        ),
        RegistryError::Name { .. }
        | RegistryError::Credentials { .. }
        | RegistryError::Document { .. }
        | RegistryError::Wrong { .. }
        | RegistryError::Layout { .. }
        | RegistryError::Platform { .. } => false,
    }
}

/// Describes a manifest as a list of referrers does: with what it is, and what is said about it.
fn described(descriptor: &Descriptor, bytes: &[u8]) -> Result<Descriptor, RegistryError> {
    let document = Document::read(bytes, "").map_err(|source| RegistryError::Document {
        name: descriptor.digest.to_string(),
        source,
    })?;
    let (artifact_type, annotations) = match document {
        Document::Index(index) => (index.artifact_type, index.annotations),
        Document::Manifest(manifest) => {
            let config = Some(manifest.config.media_type);
            (manifest.artifact_type.or(config), manifest.annotations)
        }
    };
    Ok(Descriptor {
        artifact_type: artifact_type.filter(|kind| !kind.is_empty()),
        annotations,
        platform: None,
        ..descriptor.clone()
    })
}
