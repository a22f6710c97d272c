//! From a layout into a registry.
//!
//! Blobs go first, then manifests, each after what it leads to, by their digests, which the
//! registry holds them to; tags are last: whoever follows one finds everything. Source: OCI
//! distribution specification 1.1, "Push".

mod document;
mod plan;
mod upload;
mod verify;

use super::folder::Folder;
use super::session::Session;
use super::transfer::{Event, How, Options, Progress, each, total};
use super::wire::is_tag;
use super::{Name, RegistryError};
use crate::format::oci::{Descriptor, Digest};
use plan::Plan;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

pub use plan::Which;

/// What a push has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What the tags lead to.
    pub root: Descriptor,
    /// What refers to something else (`subject`), pushed along.
    pub referrers: Vec<Descriptor>,
    /// The tags.
    pub tags: Vec<String>,
    /// The manifests and indexes.
    pub manifests: usize,
    /// All other blobs.
    pub blobs: usize,
    /// Those of the blobs that were there, or that the registry took from another repository.
    pub there: usize,
    /// The bytes of all of them.
    pub bytes: u64,
    /// The bytes of the blobs that went over.
    pub carried: u64,
}

/// What everything that is pushed is pushed with.
struct Push<'p> {
    session: &'p Session,
    folder: &'p Folder,
    options: &'p Options,
    progress: &'p Progress,
}

/// Pushes an image, an index or an artifact out of a layout, and what refers to it, under tags;
/// without any it is there by its digest. Then it is looked at what is there.
///
/// # Errors
/// See [`RegistryError`]; with [`RegistryError::Wrong`] where what is there afterwards is another.
pub fn push(
    layout: &Path,
    which: &Which,
    to: &Name,
    tags: &[String],
    options: &Options,
    progress: &Progress,
) -> Result<Pushed, RegistryError> {
    if let Some(tag) = tags.iter().find(|tag| !is_tag(tag)) {
        return Err(RegistryError::Name {
            address: to.shown(),
            what: format!("`{}` is no tag", crate::model::value::clip(tag, 60)),
        });
    }
    let folder = Folder::open(layout)?;
    let plan = Plan::make(&folder, which, &options.limits)?;
    let session = Session::writing(
        to.clone(),
        &options.limits,
        options.patience,
        &options.mount_from,
    )?;
    session.tell(progress);
    let push = Push {
        session: &session,
        folder: &folder,
        options,
        progress,
    };
    let there = Mutex::new(0);
    let carried = AtomicU64::new(0);
    let bytes = total(plan.blobs.iter().map(|blob| blob.size));
    progress(&Event::Planned {
        blobs: plan.blobs.len(),
        bytes,
    });
    each(plan.blobs.iter().collect(), options.jobs, |blob| {
        let how = push.blob(blob)?;
        match how {
            How::There | How::Mounted => {
                *there.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
            How::Carried | How::Resumed { .. } => {
                carried.fetch_add(blob.size, Ordering::Relaxed);
            }
        }
        progress(&Event::Blob {
            digest: &blob.digest,
            size: blob.size,
            how,
        });
        Ok(())
    })?;
    for document in &plan.documents {
        push.document(document)?;
    }
    push.verify(&plan)?;
    for tag in tags {
        push.tag(&plan.root, tag)?;
    }
    let documents = plan
        .documents
        .iter()
        .map(|document| document.descriptor.size);
    Ok(Pushed {
        bytes: bytes.saturating_add(total(documents)),
        manifests: plan.documents.len(),
        blobs: plan.blobs.len(),
        there: there.into_inner().unwrap_or_else(PoisonError::into_inner),
        carried: carried.into_inner(),
        tags: tags.to_vec(),
        root: plan.root,
        referrers: plan.referrers,
    })
}

/// Compares what a registry says of a digest with what it is; `true` where it says nothing.
fn says(headers: &reqwest::header::HeaderMap, digest: &Digest) -> bool {
    let told = headers.get("docker-content-digest");
    told.is_none_or(|told| told.as_bytes() == digest.to_string().as_bytes())
}
