//! Whether something is there, and whether everybody may have it.

use super::session::Session;
use super::transfer::Options;
use super::{Name, RegistryError};
use crate::format::FormatError;
use crate::format::oci::{Descriptor, Digest, Document};
use crate::probe::http::HttpError;
use reqwest::Method;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Of one image, no more is asked for.
const MOST: usize = 2000;

/// Tells whether there is something under a name.
///
/// # Errors
/// Where the registry does not say so: it cannot be reached, or wants to know who asks.
pub fn present(name: &Name, options: &Options) -> Result<bool, RegistryError> {
    let session = Session::new(name.clone(), &options.limits, None, options.patience)?;
    match session.manifest(&which(name)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells whether everybody may pull what is there under a name: its manifest, all that it leads
/// to, and every blob are asked for without credentials, whatever is written down. That it is
/// there has to be known: registries deny that what they do not give exists.
///
/// # Errors
/// Where the registry cannot be reached, or what it gives is another than it should be.
pub fn anonymous(name: &Name, options: &Options) -> Result<bool, RegistryError> {
    let session = Session::nobody(name.clone(), &options.limits, options.patience);
    match everything(&session) {
        Ok(()) => Ok(true),
        Err(error) if refuses(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn which(name: &Name) -> String {
    name.digest().or(name.tag()).unwrap_or("latest").to_owned()
}

/// Asks for everything that a pull asks for, blobs without their bytes.
fn everything(session: &Arc<Session>) -> Result<(), RegistryError> {
    let mut manifests = VecDeque::from([which(&session.name)]);
    let mut seen: HashSet<Digest> = HashSet::new();
    while let Some(next) = manifests.pop_front() {
        let fetched = session.manifest(&next)?;
        let read = Document::read(&fetched.bytes, &fetched.descriptor.media_type);
        match read.map_err(|error| session.wrong(error))? {
            Document::Index(index) => {
                let new = index
                    .manifests
                    .into_iter()
                    .filter(|d| seen.insert(d.digest.clone()));
                manifests.extend(new.map(|d| d.digest.to_string()));
            }
            Document::Manifest(manifest) => {
                for blob in [manifest.config].iter().chain(&manifest.layers) {
                    if seen.insert(blob.digest.clone()) {
                        ask_for(session, blob)?;
                    }
                }
            }
        }
        if seen.len() > MOST {
            return Err(session.wrong(FormatError::Limit {
                format: "oci",
                offset: 0,
                limit: "manifests and blobs of one image",
                value: MOST as u64,
                remedy: "name one of its images by its digest",
            }));
        }
    }
    Ok(())
}

fn ask_for(session: &Session, blob: &Descriptor) -> Result<(), RegistryError> {
    let url = session.name.url("blobs", &blob.digest.to_string());
    let (head, bytes) = session.say(&session.request(Method::HEAD, url), 0, "an answer")?;
    match head.status {
        200 => Ok(()),
        _ => Err(session.refused(head.refused(), &bytes)),
    }
}

/// Tells whether an error is the registry's no to somebody it does not know.
fn refuses(error: &RegistryError) -> bool {
    let no = |status: u16| matches!(status, 401 | 403 | 404);
    match error {
        RegistryError::Credentials { .. } => true,
        RegistryError::Refused { status, .. } => no(*status),
        RegistryError::Http(HttpError::Status { status, .. }) => no(*status),
        RegistryError::Http(_)
        | RegistryError::Name { .. }
        | RegistryError::Document { .. }
        | RegistryError::Wrong { .. }
        | RegistryError::Layout { .. }
        | RegistryError::Platform { .. } => false,
    }
}
