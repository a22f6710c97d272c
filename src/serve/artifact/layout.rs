//! Which artifact of a layout is meant, and what its verdict is.

use crate::format::in_toto::{Statement, TEST_RESULT};
use crate::format::oci::Digest;
use crate::image::oci::{Oci, Picture};
use crate::model::path::printable;
use crate::model::value::clip;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names and tests that are listed where there are many.
const SHOWN: usize = 10;
/// Of more attachments than this none is looked at.
const MAX_ATTACHED: usize = 256;
/// Statements that are read of all of them, and their bytes together.
const MAX_STATEMENTS: usize = 256;
const MAX_BYTES: u64 = 256 << 20;

/// Finds the one artifact that is meant.
///
/// # Errors
/// Says what there is to choose from.
pub fn choose(oci: &Oci, reference: Option<&str>) -> Result<Arc<Picture>, String> {
    let all = oci.pictures();
    let all: Vec<_> = all
        .into_iter()
        .filter(|(_, p)| p.subject.is_none())
        .collect();
    let shown = || {
        let names = all.iter().map(|(names, picture)| match names.first() {
            Some(name) => printable(name),
            None => digest(picture).map_or_else(String::new, |digest| digest.to_string()),
        });
        listed(names)
    };
    let is = |names: &[String], picture: &Picture| match reference {
        Some(asked) => {
            names.iter().any(|name| name == asked)
                || digest(picture).is_some_and(|digest| digest.to_string() == asked)
        }
        None => true,
    };
    let found: Vec<_> = all.iter().filter(|(names, p)| is(names, p)).collect();
    match (found.as_slice(), reference) {
        ([(_, one)], _) => Ok(Arc::clone(one)),
        ([], _) if all.is_empty() => Err("leads to no artifact".to_owned()),
        ([], Some(asked)) => Err(format!(
            "has no `{}`; it has {} (--ref NAME)",
            clip(asked, 100),
            shown()
        )),
        ([], None) | (_, None) => Err(format!(
            "leads to {}: say which (--ref NAME), or for --boot name a layout that leads to one",
            shown()
        )),
        (_, Some(asked)) => Err(format!(
            "has several under the name `{}`: name one by its digest (--ref sha256:…)",
            clip(asked, 100)
        )),
    }
}

/// Gives the digest of an artifact's manifest.
pub fn digest(picture: &Picture) -> Option<&Digest> {
    picture.descriptor.as_ref().map(|own| &own.digest)
}

/// Finds what is attached to an artifact that tells how tests of it went; gives what it says.
///
/// # Errors
/// Says why it is not green.
pub fn verdict(oci: &Oci, digest: &Digest) -> Result<String, String> {
    let about = oci.about(digest);
    if about.len() > MAX_ATTACHED {
        let count = about.len();
        return Err(format!(
            "{count} manifests are attached to it, too many to look at"
        ));
    }
    let mut said = Vec::new();
    let mut read = BTreeSet::new();
    let mut bytes = 0_u64;
    for picture in about {
        for layer in picture.layers.iter().filter(|layer| layer.is_statement()) {
            if !read.insert(layer.descriptor.digest.to_string()) {
                continue;
            }
            bytes = bytes.saturating_add(layer.descriptor.size);
            if read.len() > MAX_STATEMENTS || bytes > MAX_BYTES {
                return Err(format!(
                    "more statements are attached to it than are looked at ({MAX_STATEMENTS}, of {} \
                     MiB together)",
                    MAX_BYTES >> 20
                ));
            }
            let statement = layer.statement(picture.limits());
            let statement = statement
                .map_err(|error| format!("what is attached to it cannot be read: {error}"))?;
            if statement.predicate_type == TEST_RESULT {
                // Only what it says is kept: a statement may be long.
                said.push(holds(&statement, digest)?);
            }
        }
    }
    if said.is_empty() {
        return Err("no verdict is attached to it".to_owned());
    }
    Ok(said.join("; "))
}

/// Tells what one statement says of an artifact that holds.
fn holds(statement: &Statement, digest: &Digest) -> Result<String, String> {
    if !statement.is_about(&digest.to_string()) {
        return Err("the verdict attached to it is about another".to_owned());
    }
    let Some(result) = &statement.test_result else {
        return Err("the verdict attached to it says nothing".to_owned());
    };
    let signed = match statement.signatures {
        0 => "unsigned",
        _ => "whose signature nobody looked at",
    };
    let (passed, failed) = (result.passed_tests.len(), &result.failed_tests);
    match result.result.as_str() {
        "PASSED" | "WARNED" if failed.is_empty() && passed > 0 => Ok(match passed {
            1 => format!(
                "1 check holds, says a statement, {signed}{}",
                warned(&result.warned_tests)
            ),
            _ => format!(
                "{passed} checks hold, says a statement, {signed}{}",
                warned(&result.warned_tests)
            ),
        }),
        "PASSED" | "WARNED" if failed.is_empty() => {
            Err("the verdict attached to it names no check that holds".to_owned())
        }
        other => {
            let names = listed(failed.iter().map(|name| printable(name)));
            Err(format!("the verdict attached to it is {other} ({names})"))
        }
    }
}

fn warned(tests: &[String]) -> String {
    match tests.is_empty() {
        true => String::new(),
        false => {
            let names = listed(tests.iter().map(|name| printable(name)));
            format!("; these did not run, or passed with a warning: {names}")
        }
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let shown = names.iter().take(SHOWN).map(|name| clip(name, 100));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
