//! Whether a merge kept what a patch does: the same lines come and go, wherever they stand now.

use super::index::Index;
use super::replay::{Touched, touched};
use super::{Git, GitError};
use crate::format::patch::Patch;
use std::collections::BTreeMap;

/// A part of a patch that makes no difference any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// The file, where it is now.
    pub path: String,
    /// Lines it no longer has to add.
    pub added: Vec<String>,
    /// Lines it no longer has to remove.
    pub removed: Vec<String>,
}

/// How a change compares with what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What it no longer does.
    pub(super) vanished: Vec<Vanished>,
    /// What it does and did not do before: then the merge is wrong.
    pub(super) strange: Vec<String>,
}

/// How often each line of a file comes (above 0) or goes (below 0).
pub(super) type Net = BTreeMap<Vec<u8>, i64>;

/// Compares a change with the same change made elsewhere.
pub(super) fn compare(
    index: &Index,
    was: &[Touched],
    onto: &str,
    result: &str,
    place: &dyn Fn(&str) -> String,
) -> Result<Kept, GitError> {
    let git = index.git();
    let now: BTreeMap<String, Touched> = touched(git, onto, result)?
        .into_iter()
        .map(|t| (t.path.clone(), t))
        .collect();
    let mut kept = Kept::default();
    let mut places = Vec::new();
    for before in was {
        let path = place(&before.path);
        places.push(path.clone());
        let old = net(git, before)?;
        let new = match now.get(&path) {
            Some(after) => net(git, after)?,
            None => Some(Net::new()),
        };
        let (Some(old), Some(mut new)) = (old, new) else {
            binary(&mut kept, before, now.get(&path), path);
            continue;
        };
        let mut vanished = Vanished {
            path: path.clone(),
            added: Vec::new(),
            removed: Vec::new(),
        };
        for (line, count) in old {
            let is = new.remove(&line).unwrap_or(0);
            let shown = || super::hunk::shown(&String::from_utf8_lossy(&line));
            match count {
                _ if is == count => {}
                n if n > 0 && (0..n).contains(&is) => vanished.added.push(shown()),
                n if n < 0 && (n + 1..=0).contains(&is) => vanished.removed.push(shown()),
                _ => kept.strange.push(format!("{path}: {}", shown())),
            }
        }
        let strange = new.into_iter().filter(|(_, n)| *n != 0);
        kept.strange.extend(strange.map(|(line, _)| {
            format!(
                "{path}: {}",
                super::hunk::shown(&String::from_utf8_lossy(&line))
            )
        }));
        if !vanished.added.is_empty() || !vanished.removed.is_empty() {
            kept.vanished.push(vanished);
        }
    }
    let others = now.keys().filter(|path| !places.contains(path));
    kept.strange
        .extend(others.map(|p| format!("{p} is changed as well")));
    Ok(kept)
}

fn binary(kept: &mut Kept, before: &Touched, after: Option<&Touched>, path: String) {
    let content = |t: &Touched| t.new.as_ref().map(|(_, object)| object.clone());
    match after {
        None => kept.vanished.push(Vanished {
            path,
            added: vec!["its binary content".into()],
            removed: Vec::new(),
        }),
        Some(after) if content(after) == content(before) => {}
        Some(_) => kept.strange.push(format!("{path}: another binary content")),
    }
}

/// Counts the lines that come and go; nothing where the file is binary.
pub(super) fn net(git: &Git, touched: &Touched) -> Result<Option<Net>, GitError> {
    let blob = |entry: &Option<(String, String)>| -> Result<Vec<u8>, GitError> {
        match entry {
            // A submodule's entry is a commit: its name is all there is of it here.
            Some((mode, object)) if mode == "160000" => Ok(object.clone().into_bytes()),
            Some((_, object)) => git.all(&["cat-file", "blob", object]),
            None => Ok(Vec::new()),
        }
    };
    let (old, new) = (blob(&touched.old)?, blob(&touched.new)?);
    if old.contains(&0) || new.contains(&0) {
        return Ok(None);
    }
    let mut net = Net::new();
    for (bytes, sign) in [(&new, 1), (&old, -1)] {
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            *net.entry(line.to_owned()).or_default() += sign;
        }
    }
    net.retain(|_, n| *n != 0);
    Ok(Some(net))
}

/// Counts the lines that a patch adds and removes; what its text says.
pub(super) fn size(patch: &Patch<'_>) -> usize {
    let hunks = patch.files.iter().flat_map(|f| &f.hunks);
    hunks.map(|h| h.added().count() + h.removed().count()).sum()
}
