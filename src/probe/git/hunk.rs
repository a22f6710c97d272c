//! Where a patch does not fit: which hunk, what it expects, what stands there now, and who changed
//! it.

use super::cause::{Cause, cause};
use super::series::read_bounded;
use super::{Git, GitError};
use crate::format::patch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A place that is not as a patch expects it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hunk {
    /// The file.
    pub path: String,
    /// Which hunk of that file, counted from 1; nothing where the whole file is wrong.
    pub number: Option<usize>,
    /// How many hunks the patch has for the file.
    pub of: usize,
    /// The line the patch points at, counted from 1; nothing where the whole file is wrong.
    pub line: Option<usize>,
    /// The line from which on most of what is expected stands now; `line` where nothing of it does.
    pub now_line: Option<usize>,
    /// What stands there now: the file's lines from that one on.
    pub now: Vec<String>,
    /// What the patch expects there: its context and the lines it removes.
    pub expected: Vec<String>,
    /// The commit that moved the file or changed these lines, where it can be told.
    pub changed_by: Option<Cause>,
    /// Why it cannot be told.
    pub untold: Option<String>,
}

/// How many lines of a file are shown.
const SHOWN: usize = 8;
/// How many of the lines that a hunk expects are looked for: a patch of megabytes is one hunk.
const LOOKED_FOR: usize = 200;

/// Reads out of git's words where a patch does not fit a work tree, and asks the history why.
pub(super) fn hunks(tree: &Git, words: &str, patch: &[u8]) -> Result<Vec<Hunk>, GitError> {
    let read = patch::Patch::read(patch).ok();
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in words.lines() {
        let said = line.strip_prefix("error: ").unwrap_or(line);
        let place = if let Some(at) = said.strip_prefix("patch failed: ") {
            at.rsplit_once(':')
                .and_then(|(path, line)| Some((path, Some(line.parse::<usize>().ok()?))))
        } else {
            [
                ": does not exist in index",
                ": already exists in index",
                ": already exists in working directory",
                ": No such file or directory",
                ": patch does not apply",
            ]
            .iter()
            .find_map(|end| Some((said.strip_suffix(end)?, None)))
        };
        let Some((path, line)) = place else { continue };
        if line.is_none() && hunks.iter().any(|h| h.path == path) {
            continue;
        }
        let files = read.iter().flat_map(|p| &p.files);
        let mut files = files.filter(|f| f.path() == path || f.old.as_deref() == Some(path));
        hunks.push(hunk(tree, path, line, files.next())?);
    }
    Ok(hunks)
}

fn hunk(
    tree: &Git,
    path: &str,
    line: Option<usize>,
    file: Option<&patch::FilePatch<'_>>,
) -> Result<Hunk, GitError> {
    let mut hunk = Hunk {
        path: path.to_owned(),
        line,
        of: file.map_or(0, |f| f.hunks.len()),
        ..Hunk::default()
    };
    let at = file.and_then(|f| f.hunks.iter().position(|h| Some(h.old_start) == line));
    let wanted = file.zip(at).and_then(|(f, at)| f.hunks.get(at));
    let expected: Vec<String> = wanted
        .map(|h| {
            h.expected()
                .take(LOOKED_FOR)
                .map(|l| String::from_utf8_lossy(l).into_owned())
                .collect()
        })
        .unwrap_or_default();
    hunk.number = at.map(|at| at + 1);
    hunk.expected = expected.iter().take(SHOWN).map(|l| shown(l)).collect();
    let text = content(tree.folder(), path);
    let lines: Vec<&str> = text
        .as_deref()
        .map(|t| t.lines().collect())
        .unwrap_or_default();
    if let Some(line) = line {
        let place = nearest(&lines, &expected, line);
        hunk.now_line = Some(place);
        let from = lines.iter().skip(place.saturating_sub(1)).take(SHOWN);
        hunk.now = from.map(|l| shown(l)).collect();
    }
    match cause(tree, path, &lines, &expected, text.is_some())? {
        Ok(cause) => hunk.changed_by = Some(cause),
        Err(why) => hunk.untold = Some(why),
    }
    Ok(hunk)
}

/// Finds the line from which on most of what is expected stands, nearest to where it should.
fn nearest(lines: &[&str], expected: &[String], line: usize) -> usize {
    let score = |start: usize| -> usize {
        let there = lines.iter().skip(start);
        there
            .zip(expected)
            .filter(|(a, b)| **a == b.as_str() && !a.trim().is_empty())
            .count()
    };
    // A file that nobody reads by eye is not searched line by line.
    let most = lines.len().min(20_000);
    let best = (0..most)
        .map(|start| (score(start), start.abs_diff(line.saturating_sub(1)), start))
        .max_by_key(|(score, far, _)| (*score, std::cmp::Reverse(*far)));
    match best {
        Some((score, _, start)) if score > 0 => start + 1,
        _ => line,
    }
}

/// Reads a file of the tree; nothing where it is not there, or leads out.
fn content(folder: &Path, path: &str) -> Option<String> {
    // The path comes out of a patch: it must not lead out of the tree.
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return None;
    }
    let file = folder.join(path);
    let inside = match (file.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    };
    let bytes = inside.then(|| read_bounded(&file).ok()).flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn shown(line: &str) -> String {
    crate::model::value::clip(&crate::model::path::printable(line), 200)
}
