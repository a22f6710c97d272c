//! What is there after a push.

use super::Push;
use super::plan::Plan;
use crate::format::oci::Descriptor;
use crate::probe::registry::RegistryError;
use crate::probe::registry::landing::Passing;
use crate::probe::registry::pull::may_mend;
use crate::probe::registry::session::lost;
use crate::probe::registry::transfer::{Failed, Verify, each, retried};
use reqwest::Method;

impl Push<'_> {
    /// Looks at everything that was pushed: manifests are fetched and held to their digests and
    /// sizes, blobs as far as is asked for.
    pub(super) fn verify(&self, plan: &Plan) -> Result<(), RegistryError> {
        let again = |what: String, look: &dyn Fn() -> Result<(), RegistryError>| {
            let what = || format!("looking at {what}");
            retried(self.options, self.progress, what, may_mend, || {
                look().map_err(Failed::from)
            })
        };
        each(plan.blobs.iter().collect(), self.options.jobs, |blob| {
            again(format!("the blob {}", blob.digest), &|| self.look(blob))
        })?;
        for document in &plan.documents {
            let wanted = &document.descriptor;
            let which = wanted.digest.to_string();
            again(format!("the manifest {which}"), &|| {
                // It is held to its digest on the way.
                let there = self.session.manifest(&which)?.descriptor;
                match (there.size, &there.media_type) == (wanted.size, &wanted.media_type) {
                    true => Ok(()),
                    false => Err(self.wrong(format!(
                        "the manifest {which} is there as {} bytes of {}, not {} of {}",
                        there.size, there.media_type, wanted.size, wanted.media_type
                    ))),
                }
            })?;
        }
        Ok(())
    }

    fn look(&self, blob: &Descriptor) -> Result<(), RegistryError> {
        match self.options.verify {
            Verify::Sizes => match self.has(blob)? {
                true => Ok(()),
                false => Err(self.wrong(format!(
                    "the registry does not have the blob {} with {} bytes, although it took it",
                    blob.digest, blob.size
                ))),
            },
            Verify::Bytes => {
                let url = self.session.name.url("blobs", &blob.digest.to_string());
                let request = self.session.request(Method::GET, url);
                let passing = || Ok(Passing::new(blob));
                let (head, passed) = self.session.ask(&request, passing()?, |_| passing())?;
                head.map_err(|error| self.session.refused(error, &[]))?;
                passed.ok_or_else(lost)?.finish(&self.session.name.shown())
            }
        }
    }
}
