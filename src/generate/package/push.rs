//! A package in its registry: pushed with what is attached to it, pulled back, and looked at.

use super::build::Built;
use crate::generate::recipe::Package;
use crate::probe::registry::{
    Event, Name, Options, Progress, RegistryError, Verify, Which, pull, push,
};
use crate::probe::store;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Of more retries than this only the number is told.
const TOLD: usize = 10;

/// How pushing went: what is worth a line, and why it failed, if it did.
pub(super) struct Published {
    /// What had to be tried again.
    pub(super) notes: Vec<String>,
    /// Why it is not there; nothing where it is.
    pub(super) why: Option<String>,
}

/// Pushes a layout under the package's tags, and pulls it back into `back`, a folder of its own.
///
/// # Errors
/// Where a file of this machine cannot be read or written.
pub(super) fn publish(
    layout: &Path,
    back: &Path,
    package: &Package,
    built: &Built,
) -> io::Result<Published> {
    let retries: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&retries);
    let progress: Progress = Arc::new(move |event: &Event<'_>| match event {
        Event::Retry { what, why, .. } => {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(format!("tried again: {what}: {why}"));
        }
        Event::Planned { .. }
        | Event::Bytes(_)
        | Event::Back(_)
        | Event::Blob { .. }
        | Event::Manifest { .. }
        | Event::Tag { .. } => {}
    });
    store::remove(back)?;
    let why = match there_and_back(layout, back, package, built, &progress) {
        Ok(why) => why,
        Err(error) => Some(format!("{error}{}", error.advice())),
    };
    let kept = store::remove(back);
    let mut notes = retries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if notes.len() > TOLD {
        let more = notes.len() - TOLD;
        notes.truncate(TOLD);
        notes.push(format!("tried again {more} times more"));
    }
    kept.map(|()| Published { notes, why })
}

/// Says what is wrong with what has come back; nothing where it is what went.
fn there_and_back(
    layout: &Path,
    back: &Path,
    package: &Package,
    built: &Built,
    progress: &Progress,
) -> Result<Option<String>, RegistryError> {
    let options = Options {
        referrers: true,
        verify: Verify::Sizes,
        ..Options::default()
    };
    let repository = package.repository.as_deref().unwrap_or_default();
    let Some(first) = package.tags.first() else {
        return Ok(Some("the recipe names no tag to push it as".into()));
    };
    let to = Name::parse(&format!("oci://{repository}:{first}"))?;
    let which = Which::Named(first.clone());
    push(layout, &which, &to, &package.tags, &options, progress)?;
    for tag in &package.tags {
        // What is here already is not fetched twice; each tag is.
        let from = Name::parse(&format!("oci://{repository}:{tag}"))?;
        let pulled = pull(&from, back, &options, progress)?;
        let wanted = format!("sha256:{}", built.digest);
        let found = pulled.root.digest.to_string();
        if found != wanted {
            return Ok(Some(format!(
                "{repository}:{tag} leads to {found} and not to {wanted}: somebody else pushes it"
            )));
        }
        let attached = format!("sha256:{}", built.attestation);
        if !pulled
            .referrers
            .iter()
            .any(|r| r.digest.to_string() == attached)
        {
            return Ok(Some(format!(
                "{repository}:{tag} is there, and its verdicts ({attached}) are not attached to it"
            )));
        }
    }
    Ok(missing(layout, back).map(|name| format!("{repository} has not given {name} back")))
}

/// Names a blob of one layout that the other one lacks, or has in another size; what the other one
/// has was held to its digest when it came.
fn missing(layout: &Path, back: &Path) -> Option<String> {
    let blobs = |folder: &Path| fs::read_dir(folder.join("blobs/sha256"));
    let Ok(own) = blobs(layout) else {
        return Some("its blobs".into());
    };
    own.into_iter().find_map(|blob| {
        let Ok(blob) = blob else {
            return Some("all its blobs, which cannot be listed here".into());
        };
        let there = back.join("blobs/sha256").join(blob.file_name());
        let same = match (blob.metadata(), there.metadata()) {
            (Ok(own), Ok(there)) => own.len() == there.len(),
            (Ok(_) | Err(_), _) => false,
        };
        (!same).then(|| blob.file_name().to_string_lossy().into_owned())
    })
}
