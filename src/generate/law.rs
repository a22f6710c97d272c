//! Specs are law: what they were when the loop began, and whether they still are.

use super::recipe::Recipe;
use crate::model::Sha256Digest;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The digests of the recipe and of every file below its `verify` paths, by path.
pub(super) type Law = BTreeMap<String, String>;

/// No folder of specs holds more files than this.
const MAX_FILES: usize = 20_000;

/// Digests the recipe and everything that verdicts depend on.
///
/// # Errors
/// Where a file cannot be read; the path is named.
pub(super) fn read(recipe: &Recipe, beside: &[PathBuf]) -> Result<Law, (PathBuf, io::Error)> {
    let mut law = Law::new();
    let verify = recipe.variants.iter().flat_map(|v| &v.verify);
    let mut paths: Vec<PathBuf> = verify.map(|p| recipe.project.join(p)).collect();
    paths.extend(beside.iter().cloned());
    paths.push(recipe.path.clone());
    paths.sort();
    paths.dedup();
    for path in paths {
        add(recipe, &path, &mut law)?;
    }
    Ok(law)
}

fn add(recipe: &Recipe, root: &Path, law: &mut Law) -> Result<(), (PathBuf, io::Error)> {
    for entry in walkdir::WalkDir::new(root).follow_root_links(true) {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(root).to_owned();
            (path, e.into())
        })?;
        let path = entry.path();
        if passing(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let failed = |e| (path.to_owned(), e);
        let kind = entry.file_type();
        let digest = if kind.is_file() {
            let file = File::open(path).map_err(failed)?;
            Sha256Digest::of_reader(file).map_err(failed)?
        } else if kind.is_symlink() {
            // Where a link leads is part of what it says, and so is what is there: of a file, which
            // a pipe or a device is not.
            let target = fs::read_link(path).map_err(failed)?;
            let content = match fs::metadata(path) {
                Ok(meta) if meta.is_file() => File::open(path).and_then(Sha256Digest::of_reader),
                Ok(_) | Err(_) => Ok(Sha256Digest::of(b"")),
            };
            let content = content.map_or_else(|e| e.to_string(), |digest| digest.to_string());
            let target = target.to_string_lossy();
            Sha256Digest::of(format!("{target}\0{content}").as_bytes())
        } else {
            continue;
        };
        law.insert(recipe.shown(path), digest.to_string());
        if law.len() > MAX_FILES {
            let why = format!("more than {MAX_FILES} files are named by `verify`");
            return Err((root.to_owned(), io::Error::other(why)));
        }
    }
    Ok(())
}

/// Tells a file that no verdict depends on: an editor's own, or a snapshot nobody has accepted.
pub(super) fn passing(name: &str) -> bool {
    let swap = name.starts_with('.') && name.rsplit_once(".sw").is_some_and(|(_, c)| c.len() == 1);
    swap || name.starts_with(".#") || name.ends_with('~') || name.ends_with(".snap.new")
}

/// Names every file that is not as it was: `specs/a.yaml was changed`.
pub(super) fn broken(before: &Law, now: &Law) -> Vec<String> {
    let mut changes = Vec::new();
    for (path, digest) in before {
        match now.get(path) {
            None => changes.push(format!("{path} was removed")),
            Some(other) if other != digest => changes.push(format!("{path} was changed")),
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|path| !before.contains_key(*path));
    changes.extend(new.map(|path| format!("{path} was added")));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_editors_are_let_be() {
        let law = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            owned.collect::<Law>()
        };
        let before = law(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = law(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(
            broken(&before, &now),
            ["b was changed", "c was removed", "d was added"]
        );
        assert!(broken(&before, &before).is_empty());
        for name in [".a.yaml.swp", ".#a.yaml", "a.yaml~", "a.snap.new"] {
            assert!(passing(name), "{name}");
        }
        assert!(!passing("a.yaml") && !passing("a.snap") && !passing(".hidden.yaml"));
    }
}
