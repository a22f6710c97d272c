//! What refers to a manifest, and the tags of a repository.
//!
//! Source: OCI distribution specification 1.1, "Listing Referrers", "Referrers Tag Schema",
//! "Listing Tags".

use super::session::Session;
use super::transfer::Options;
use super::wire::{is_tag, next_page};
use super::{Name, RegistryError};
use crate::format::FormatError;
use crate::format::oci::{self, Descriptor, Digest, Document, MAX_DOCUMENT};
use crate::probe::http::{follow, same_origin};
use reqwest::header::{ACCEPT, LINK};
use reqwest::{Method, Url};
use serde::Deserialize;

/// The most pages that are asked for; each may have 4 MiB.
const PAGES: usize = 1000;
/// The most tags, and the most that refer to one manifest.
const MOST: usize = 100_000;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Lists what refers to a manifest: signatures, attestations. Only those of an artifact type are
/// given where one is asked for. Where the registry has no list, the index under the tag
/// `sha256-…` is taken for one.
///
/// # Errors
/// See [`RegistryError`].
pub fn referrers(
    name: &Name,
    digest: &Digest,
    artifact_type: Option<&str>,
    options: &Options,
) -> Result<Vec<Descriptor>, RegistryError> {
    let session = Session::new(name.clone(), &options.limits, None, options.patience)?;
    of(&session, digest, artifact_type)
}

/// Lists the tags of a repository, sorted.
///
/// # Errors
/// See [`RegistryError`].
pub fn tags(name: &Name, options: &Options) -> Result<Vec<String>, RegistryError> {
    #[derive(Deserialize)]
    struct Page {
        tags: Option<Vec<String>>,
    }
    let session = Session::new(name.clone(), &options.limits, None, options.patience)?;
    let mut url = name.url("tags", "list");
    url.set_query(Some("n=1000"));
    let mut tags = Vec::new();
    pages(&session, url, "", |status, bytes| {
        if status != 200 {
            return Ok(false);
        }
        let page: Page = oci::read(bytes, "a list of tags").map_err(|e| session.wrong(e))?;
        tags.extend(page.tags.unwrap_or_default());
        bound(&session, tags.len())?;
        match tags.iter().find(|tag| !is_tag(tag)) {
            None => Ok(true),
            Some(tag) => {
                let shown = crate::model::value::clip(tag, 60);
                let what = format!("the registry lists `{shown}`, which is no tag");
                Err(session.wrong(FormatError::corrupt("oci", 0, what)))
            }
        }
    })?;
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}

/// As [`referrers`], in a session.
pub(super) fn of(
    session: &Session,
    digest: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>, RegistryError> {
    let mut found = match listed(session, digest, artifact_type)? {
        Some(found) => found,
        None => match fallback(session, digest)? {
            Some(bytes) => manifests(session, &bytes)?,
            None => Vec::new(),
        },
    };
    // Not every registry sorts out what was not asked for.
    found.retain(|d| artifact_type.is_none_or(|kind| d.artifact_type.as_deref() == Some(kind)));
    Ok(found)
}

/// Asks for the list that the registry keeps; `None` where it keeps none.
pub(super) fn listed(
    session: &Session,
    digest: &Digest,
    artifact_type: Option<&str>,
) -> Result<Option<Vec<Descriptor>>, RegistryError> {
    let mut found = Vec::new();
    let mut url = session.name.url("referrers", &digest.to_string());
    if let Some(kind) = artifact_type {
        url.query_pairs_mut().append_pair("artifactType", kind);
    }
    let mut kept = true;
    pages(session, url, INDEX, |status, bytes| {
        if matches!(status, 404 | 405 | 501) {
            kept = false;
            return Ok(true);
        }
        if status != 200 {
            return Ok(false);
        }
        found.extend(manifests(session, bytes)?);
        bound(session, found.len())?;
        Ok(true)
    })?;
    Ok(kept.then_some(found))
}

fn bound(session: &Session, number: usize) -> Result<(), RegistryError> {
    match number > MOST {
        false => Ok(()),
        true => Err(session.wrong(FormatError::Limit {
            format: "oci",
            offset: 0,
            limit: "entries of a list",
            value: MOST as u64,
            remedy: "name what is looked for by its digest",
        })),
    }
}

fn manifests(session: &Session, bytes: &[u8]) -> Result<Vec<Descriptor>, RegistryError> {
    match Document::read(bytes, "").map_err(|error| session.wrong(error))? {
        Document::Index(index) => Ok(index.manifests),
        Document::Manifest(_) => {
            let what = "a manifest where the list of referrers should be";
            Err(session.wrong(FormatError::corrupt("oci", 0, what)))
        }
    }
}

/// The tag under which registries without a list of referrers have one.
pub(super) fn fallback_tag(digest: &Digest) -> String {
    digest
        .to_string()
        .replace(':', "-")
        .chars()
        .take(128)
        .collect()
}

/// Fetches the index under the fallback tag; `None` where there is none.
pub(super) fn fallback(
    session: &Session,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, RegistryError> {
    match session.manifest(&fallback_tag(digest)) {
        Ok(fetched) => Ok(Some(fetched.bytes.to_vec())),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for a list page by page. `take` looks at each answer; `false` says that it is a refusal.
fn pages(
    session: &Session,
    first: Url,
    accept: &str,
    mut take: impl FnMut(u16, &[u8]) -> Result<bool, RegistryError>,
) -> Result<(), RegistryError> {
    let max = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
    let mut url = first;
    for _ in 0..PAGES {
        let mut request = session.request(Method::GET, url.clone());
        if !accept.is_empty() {
            request = request.header(ACCEPT, accept);
        }
        let (head, bytes) = session.say(&request, max, "a page of a list")?;
        if !take(head.status, &bytes)? {
            return Err(session.refused(head.refused(), &bytes));
        }
        let mut links = head.headers.get_all(LINK).iter();
        let next = links.find_map(|link| next_page(link.to_str().ok()?));
        let Some(next) = next else { return Ok(()) };
        let next = follow(&url, next)?;
        if !same_origin(&next, session.name.base()) || next == url {
            return Err(head
                .wrong("the next page of the list is at another place")
                .into());
        }
        url = next;
    }
    bound(session, usize::MAX)
}
