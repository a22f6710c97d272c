//! What only a registry can tell: its tags, what is attached, and who may pull.

use super::evidence::Evidence;
use crate::check::{Context, ProbeError};
use crate::format::Limits;
use crate::format::oci::Digest;
use crate::image::oci::Picture;
use crate::model::{Address, Origin, Sha256Digest};
use crate::probe::http::Patience;
use crate::probe::registry::{self, Name, Options, RegistryError};
use std::sync::Arc;

/// A repository, where the subject is an image in a registry and nothing inside of one.
pub(super) struct Repository {
    name: Name,
    options: Options,
}

impl Repository {
    /// Finds the repository of a subject; `None` where that is elsewhere.
    pub(super) fn of(subject: &Address, context: &Context<'_>) -> Result<Option<Self>, ProbeError> {
        if subject.origin() != Origin::Registry || !subject.inner().is_empty() {
            return Ok(None);
        }
        let name = Name::parse(subject.source()).map_err(said)?;
        let limits = Limits {
            deadline: Some(context.deadline),
            ..Limits::default()
        };
        let options = Options {
            limits,
            patience: Patience::SHORT,
            ..Options::default()
        };
        Ok(Some(Self { name, options }))
    }

    /// Tells whether the registry says that there is nothing under the name.
    pub(super) fn lacks_it(&self) -> bool {
        registry::present(&self.name, &self.options).is_ok_and(|present| !present)
    }

    /// Lists what the registry has that is about a manifest.
    pub(super) fn attached(
        &self,
        digest: &Digest,
        context: &Context<'_>,
    ) -> Result<Vec<Arc<Picture>>, ProbeError> {
        let listed = registry::referrers(&self.name, digest, None, &self.options).map_err(said)?;
        super::referrers::bound(listed.len(), digest)?;
        let mut attached = Vec::new();
        for descriptor in listed {
            let (host, path) = (self.name.host(), self.name.repository());
            let address = format!("oci://{host}/{path}@{}", descriptor.digest);
            let address = Address::parse(&address).map_err(|e| ProbeError::new(e.to_string()))?;
            let image = context.image(&address)?;
            let pictures = image.oci()?.map(|oci| oci.pictures()).unwrap_or_default();
            // What the registry lists and is about something else was not attached to this one.
            let about = pictures.into_iter().map(|(_, picture)| picture);
            attached.extend(about.filter(|picture| picture.is_about(digest)).cloned());
        }
        Ok(attached)
    }
}

impl Evidence {
    /// Asks the registry what is asked for.
    pub(super) fn ask(
        &mut self,
        repository: &Repository,
        context: &Context<'_>,
    ) -> Result<(), ProbeError> {
        if context.wants("tags") {
            let tags = registry::tags(&repository.name, &repository.options);
            self.tags = Some(match tags {
                // A repository that nobody has pushed to has none.
                Err(error) if error.is_absent() => Vec::new(),
                tags => tags
                    .map_err(said)?
                    .into_iter()
                    .filter(|tag| !is_list(tag))
                    .collect(),
            });
        }
        if context.wants("anonymous") && self.present {
            let anonymous = registry::anonymous(&repository.name, &repository.options);
            self.anonymous = Some(anonymous.map_err(said)?);
        }
        Ok(())
    }
}

/// Tells the tag under which a list of attachments is kept, where a registry has none of its own,
/// from those that somebody gave.
fn is_list(tag: &str) -> bool {
    tag.strip_prefix("sha256-")
        .is_some_and(|hex| Sha256Digest::parse(hex).is_some())
}

fn said(error: RegistryError) -> ProbeError {
    let transient = error.is_transient();
    let error = ProbeError::new(error.to_string());
    match transient {
        true => error.transient(),
        false => error,
    }
}
