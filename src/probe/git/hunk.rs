//! Where a patch does not fit: what it expects, and what stands there.

use super::series::read_bounded;
use std::path::Path;

/// A place that is not as a patch expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The file.
    pub path: String,
    /// The line the patch points at, counted from 1; nothing where the whole file is wrong.
    pub line: Option<usize>,
    /// What stands there now: the file's lines from that one on.
    pub now: Vec<String>,
    /// What the patch expects there: its context and the lines it removes.
    pub expected: Vec<String>,
}

/// How many lines of a file are shown.
const SHOWN: usize = 8;

/// Reads out of git's words where a patch does not fit a work tree.
pub(super) fn hunks(folder: &Path, words: &str, patch: &str) -> Vec<Hunk> {
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
        hunks.push(Hunk {
            path: path.to_owned(),
            line,
            now: line.map(|line| now(folder, path, line)).unwrap_or_default(),
            expected: line
                .map(|line| expected(patch, path, line))
                .unwrap_or_default(),
        });
    }
    hunks
}

fn now(folder: &Path, path: &str, line: usize) -> Vec<String> {
    // The path comes out of a patch: it must not lead out of the tree.
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let file = folder.join(path);
    let inside = match (file.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    };
    if !inside {
        return Vec::new();
    }
    let bytes = read_bounded(&file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip(line.saturating_sub(1)).take(SHOWN);
    lines.map(shown).collect()
}

/// Gives what the hunk of a file that starts at a line expects to find.
fn expected(patch: &str, path: &str, line: usize) -> Vec<String> {
    let mut in_file = false;
    let mut left = 0;
    let mut out = Vec::new();
    for l in patch.lines() {
        if left > 0 {
            if l.starts_with([' ', '-']) || l.is_empty() {
                left -= 1;
                out.push(shown(l.get(1..).unwrap_or("")));
            }
        } else if l.starts_with("diff --git ") {
            in_file = l.contains(&format!("a/{path}"));
        } else if l.starts_with("--- ") {
            in_file = l.trim_end().ends_with(path);
        } else if in_file && let Some((start, count)) = hunk_header(l) {
            left = if start == line { count } else { 0 };
        }
    }
    out.truncate(SHOWN);
    out
}

/// Reads where a hunk starts in the old file and how many of its lines it covers.
fn hunk_header(line: &str) -> Option<(usize, usize)> {
    let old = line.strip_prefix("@@ -")?.split(' ').next()?;
    let (start, count) = old.split_once(',').unwrap_or((old, "1"));
    Some((start.parse().ok()?, count.parse().ok()?))
}

pub(super) fn shown(line: &str) -> String {
    crate::model::value::clip(&crate::model::path::printable(line), 200)
}
