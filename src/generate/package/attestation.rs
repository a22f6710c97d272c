//! How a package was judged, as an in-toto statement that is attached to it.
//!
//! Sources: in-toto attestation framework, Statement v1 and the predicate
//! `https://in-toto.io/attestation/test-result/v0.1`; OCI distribution specification 1.1,
//! "Listing Referrers".

use super::contents::Contents;
use super::facts::Facts;
use super::layout::{Blob, Layout};
use super::manifest::{EMPTY, manifest};
use crate::generate::verify::TrialVerdict;
use crate::model::Sha256Digest;
use crate::model::value::Value;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::io;

/// The media type of a statement that is not signed, and what the attached artifact is.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What is stated.
pub(super) const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// By this annotation others find what is stated without reading it.
const PREDICATE: &str = "in-toto.io/predicate-type";

/// Writes the statement and the manifest that attaches it to `subject`.
pub(super) fn attach(
    layout: &Layout,
    subject: &Blob,
    name: &str,
    contents: &Contents,
    facts: &Facts,
) -> io::Result<Blob> {
    let statement = statement(subject.digest, name, contents, facts);
    let layer = layout
        .document(IN_TOTO, &statement)?
        .with(PREDICATE, TEST_RESULT);
    let config = layout.bytes(EMPTY, b"{}")?;
    let said = BTreeMap::from([
        (PREDICATE.to_owned(), TEST_RESULT.to_owned()),
        (
            "org.opencontainers.image.created".to_owned(),
            facts.created(),
        ),
    ]);
    let written = manifest(
        layout,
        Some(IN_TOTO),
        &config,
        &[layer],
        Some(subject),
        &said,
    )?;
    Ok(written)
}

/// Says what was judged, by what, and how it ended.
fn statement(digest: Sha256Digest, name: &str, contents: &Contents, facts: &Facts) -> Value {
    let mut subjects = vec![resource(name, "sha256", &digest.to_string())];
    let files = contents.files.iter();
    subjects.extend(files.map(|(path, item)| resource(path, "sha256", &item.sha256)));
    let with = |verdict: TrialVerdict| {
        let with = facts.judged.iter().filter(|j| j.verdict == verdict);
        let mut names: Vec<&str> = with.map(|j| j.trial.as_str()).collect();
        names.sort_unstable();
        names
    };
    let (passed, skipped) = (with(TrialVerdict::Pass), with(TrialVerdict::Skip));
    let failed = [with(TrialVerdict::Fail), with(TrialVerdict::Error)].concat();
    // A check that did not run is no pass.
    let result = match (failed.is_empty(), skipped.is_empty()) {
        (true, true) => "PASSED",
        (true, false) => "WARNED",
        (false, _) => "FAILED",
    };
    json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": result,
            "configuration": configuration(facts),
            "passedTests": passed,
            "warnedTests": skipped,
            "failedTests": failed,
        },
    })
}

fn resource(name: &str, algorithm: &str, digest: &str) -> Value {
    json!({ "name": name, "digest": { algorithm: digest } })
}

/// Names what the verdicts rest on beside what was judged.
fn configuration(facts: &Facts) -> Vec<Value> {
    let version = env!("CARGO_PKG_VERSION");
    let program = json!({ "name": "tdg", "uri": format!("pkg:cargo/tdg@{version}") });
    let mut source = Map::new();
    source.insert("name".into(), json!("source"));
    if let Some(address) = &facts.source {
        let at = format!("git+{address}@{}", facts.reference);
        source.insert("uri".into(), json!(at));
    }
    source.insert("digest".into(), json!({ "gitCommit": facts.commit }));
    let row: Map<String, Value> = facts.row.iter().cloned().collect();
    let mut said =
        json!({ "ref": facts.reference, "recipe": facts.recipe, "variant": facts.variant });
    if let (Some(said), false) = (said.as_object_mut(), row.is_empty()) {
        said.insert("matrix".into(), row.into());
    }
    source.insert("annotations".into(), said);
    let patches = facts.patches.iter();
    let patches = patches.map(|p| resource(&p.name, "sha256", &p.sha256));
    let law = facts.law.iter();
    let law = law.map(|(path, digest)| resource(path, "sha256", digest));
    let first = [program, source.into()];
    first.into_iter().chain(patches).chain(law).collect()
}
