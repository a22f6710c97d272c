//! What is attached to an image: signatures, bills of materials, and how it was judged.

use super::evidence::Evidence;
use crate::check::ProbeError;
use crate::format::in_toto::Statement;
use crate::format::oci::Digest;
use crate::image::oci::{Oci, Picture};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Of more attachments than this none is looked at.
const MAX_REFERRERS: usize = 256;

/// A manifest that is about the image.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "digest"))]
pub struct Referrer {
    /// Its digest.
    pub digest: String,
    /// What it is, such as `application/vnd.in-toto+json`; where it does not say it, the media type
    /// of its config.
    pub artifact_type: Option<String>,
    /// What it says about itself.
    pub annotations: BTreeMap<String, String>,
    /// The in-toto statements in it, plain or in an envelope of signatures.
    pub statements: Vec<Stated>,
}

/// What somebody says of the image.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "predicate"))]
pub struct Stated {
    /// What kind of thing is said: the URI of its predicate.
    pub predicate: String,
    /// Whether the digest of the image is among those it is said of.
    pub about_image: bool,
    /// How many things it is said of.
    pub subjects: u64,
    /// Of a test result: `PASSED`, `WARNED` or `FAILED`.
    #[schemars(extend("enum" = ["PASSED", "WARNED", "FAILED"]))]
    pub result: Option<String>,
    /// Of a test result, the tests that passed.
    pub passed: Vec<String>,
    /// Of a test result, the tests that did not run, or passed with a warning.
    pub warned: Vec<String>,
    /// Of a test result, the tests that failed.
    pub failed: Vec<String>,
    /// How many signatures are on it; whether they are good is not looked at.
    pub signatures: u64,
}

/// Finds what a layout itself holds that is about an image.
pub(super) fn held(oci: &Oci, digest: &Digest) -> Vec<Arc<Picture>> {
    let mut seen = BTreeSet::new();
    let about = oci.about(digest).into_iter();
    let new = about.filter(|picture| {
        let own = picture.descriptor.as_ref();
        own.is_none_or(|own| seen.insert(own.digest.to_string()))
    });
    new.cloned().collect()
}

impl Evidence {
    /// Looks into what is attached.
    pub(super) fn look_at_referrers(
        &mut self,
        digest: &Digest,
        attached: &[Arc<Picture>],
    ) -> Result<(), ProbeError> {
        bound(attached.len(), digest)?;
        for picture in attached {
            let mut referrer = Referrer {
                digest: picture
                    .descriptor
                    .as_ref()
                    .map_or_else(String::new, |d| d.digest.to_string()),
                artifact_type: picture.artifact_type.clone(),
                annotations: picture.annotations.clone(),
                statements: Vec::new(),
            };
            for layer in picture.layers.iter().filter(|layer| layer.is_statement()) {
                match layer.statement(picture.limits()) {
                    Ok(statement) => referrer.statements.push(Stated::of(statement, digest)),
                    // It says nothing then, and that is seen here.
                    Err(error) => {
                        let what = format!("what is attached as {}: {error}", referrer.digest);
                        self.problems.push(what);
                    }
                }
            }
            self.referrers.push(referrer);
        }
        Ok(())
    }
}

/// Refuses to look at more attachments than there can be a reason for.
pub(super) fn bound(number: usize, digest: &Digest) -> Result<(), ProbeError> {
    if number <= MAX_REFERRERS {
        return Ok(());
    }
    let what = format!("{number} manifests are about {digest}");
    let remedy = format!("at most {MAX_REFERRERS} are looked at; remove old ones");
    Err(ProbeError::new(what).remedy(&remedy))
}

impl Stated {
    fn of(statement: Statement, digest: &Digest) -> Self {
        let about_image = statement.is_about(&digest.to_string());
        let subjects = statement.subjects.len() as u64;
        let result = statement.test_result;
        let (result, passed, warned, failed) = match result {
            Some(r) => (
                Some(r.result),
                r.passed_tests,
                r.warned_tests,
                r.failed_tests,
            ),
            None => Default::default(),
        };
        Self {
            predicate: statement.predicate_type,
            about_image,
            subjects,
            result,
            passed,
            warned,
            failed,
            signatures: statement.signatures,
        }
    }
}
