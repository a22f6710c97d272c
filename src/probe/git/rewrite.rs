//! Writes a patch anew: its header stays, its diff is what it does now, with the context it needs.

use super::GitError;
use super::index::{Entry, Index};
use super::mail::encoded;
use super::replay::touched;
use crate::format::patch::{Change, FilePatch, Patch, with_applies_to};
use std::collections::BTreeMap;

/// How many lines of context are tried, in this order, until every hunk has one place.
const CONTEXT: [&str; 5] = ["-U1", "-U2", "-U3", "-U6", "-U12"];

/// What is wrong with a patch that cannot be written anew.
pub(super) type Refusal = String;

/// Gives the bytes of a patch whose change is now between two trees.
///
/// The same patch and trees give the same bytes. What is given applies to the first tree with
/// `git apply`, each hunk at its line, and makes the second.
pub(super) fn rewrite(
    index: &Index,
    old: &[u8],
    before: &str,
    after: &str,
    applies_to: &str,
) -> Result<Result<Vec<u8>, Refusal>, GitError> {
    if encoded(old) {
        return Ok(Err(
            "it is a mail that is not written out plainly: make it with `git format-patch`".into(),
        ));
    }
    let patch = match Patch::read(old) {
        Ok(patch) => patch,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let renames = patch.files.iter().any(|f| f.change == Change::Renamed);
    let header = header(
        index,
        old.get(..patch.diff_at).unwrap_or_default(),
        before,
        after,
        applies_to,
    )?;
    let blobs: BTreeMap<String, Option<Entry>> = touched(index.git(), before, after)?
        .into_iter()
        .map(|t| (t.path, t.old))
        .collect();
    let mut said = String::new();
    for context in CONTEXT {
        let mut arguments = vec![
            "diff-tree",
            "-r",
            "-p",
            "--full-index",
            "--binary",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "--diff-algorithm=myers",
            "--indent-heuristic",
            context,
        ];
        arguments.push(if renames { "-M" } else { "--no-renames" });
        arguments.extend([before, after]);
        let diff = index.git().all(&arguments)?;
        let bytes = [header.as_slice(), &diff].concat();
        match Patch::read(&bytes) {
            Ok(new) if Some(&context) != CONTEXT.last() && !placed(index, &new, &blobs)? => {
                continue;
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(error.to_string())),
        }
        index.read(before)?;
        let tried = index.apply(&bytes)?;
        if tried.failure.is_none() && tried.offsets.is_empty() && index.write()? == after {
            return Ok(Ok(bytes));
        }
        said = tried.failure.unwrap_or_default();
    }
    Ok(Err(format!(
        "what it does now cannot be written as a patch {said}"
    )))
}

/// Tells whether every hunk has exactly one place in its file.
fn placed(
    index: &Index,
    patch: &Patch<'_>,
    blobs: &BTreeMap<String, Option<Entry>>,
) -> Result<bool, GitError> {
    for file in patch.files.iter().filter(|f| !f.hunks.is_empty()) {
        let entry = file
            .old
            .as_ref()
            .and_then(|p| blobs.get(p))
            .cloned()
            .flatten();
        let Some((_, object)) = entry else { continue };
        let content = index.git().all(&["cat-file", "blob", &object])?;
        if !once(file, &content) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn once(file: &FilePatch<'_>, content: &[u8]) -> bool {
    let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').collect();
    file.hunks.iter().all(|hunk| {
        let expected: Vec<&[u8]> = hunk.expected().collect();
        let places = lines.windows(expected.len().max(1));
        expected.is_empty() || places.filter(|w| *w == expected.as_slice()).take(2).count() == 1
    })
}

/// Gives the text above the diff: `Applies-to` is of now, and a list of files is of now.
fn header(
    index: &Index,
    old: &[u8],
    before: &str,
    after: &str,
    applies_to: &str,
) -> Result<Vec<u8>, GitError> {
    // Whatever its encoding is: each byte is carried as a character and back.
    let text: String = old.iter().map(|b| char::from(*b)).collect();
    let bytes = |text: &str| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
    let text = with_applies_to(&text, applies_to);
    let Some((above, below)) = text.split_once("\n---\n") else {
        return Ok(bytes(&text));
    };
    let mut new = bytes(&format!("{above}\n---\n"));
    if below.contains(" | ") {
        let list = index.git().all(&[
            "diff-tree",
            "-r",
            "--stat=72",
            "--summary",
            "--no-renames",
            before,
            after,
        ])?;
        new.extend(list);
        new.push(b'\n');
    } else {
        new.extend(bytes(below));
    }
    Ok(new)
}
