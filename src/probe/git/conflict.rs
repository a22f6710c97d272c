//! A conflict left to people: a work tree with markers, and what is taken back out of it.

use super::rebase::{Conflict, Target};
use super::{Git, GitError};
use crate::model::Sha256Digest;
use crate::probe::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A conflict that waits for somebody; kept as JSON beside its work tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The version of this format: 1.
    pub version: u32,
    /// The patch as the series names it.
    pub patch: String,
    /// The digest of the patch.
    pub digest: String,
    /// The tree it is resolved on.
    pub onto: String,
    /// The commit the series is wanted for.
    pub commit: String,
    /// The name people have for it.
    pub name: String,
    /// The files in conflict.
    pub files: Vec<String>,
    /// What the work tree was when it was left.
    pub left: String,
}

/// Says where the note beside a work tree is.
fn note(tree: &Path) -> PathBuf {
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    tree.with_file_name(format!("{name}.json"))
}

impl Waiting {
    /// Gives the conflict that waits in a work tree, if one does.
    ///
    /// # Errors
    /// Where the note beside it is damaged.
    pub fn read(tree: &Path) -> Result<Option<Self>, GitError> {
        let note = note(tree);
        let io = |source| GitError::Io {
            path: note.clone(),
            source,
        };
        match std::fs::read(&note) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                io(std::io::Error::other(format!(
                    "it is damaged ({e}): remove it"
                )))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Tells whether somebody has worked in the tree since it was left.
    ///
    /// # Errors
    /// Where git refuses.
    pub fn touched(&self, tree: &Path) -> Result<bool, GitError> {
        Ok(tree.join(".git").exists() && state(&Git::at(tree))? != self.left)
    }
}

/// Leaves a conflict in a work tree, with markers, and a note beside it.
///
/// # Errors
/// Where git refuses, or the folder cannot be written.
pub fn leave(git: &Git, tree: &Path, conflict: &Conflict, target: &Target) -> Result<(), GitError> {
    clear(git, tree)?;
    let own = git.add_worktree(tree, &conflict.head)?;
    // It fails where it stops at the conflict, which is what it is for.
    own.output(&["cherry-pick", "--no-commit", &conflict.change])?;
    let waiting = Waiting {
        version: 1,
        patch: conflict.patch.clone(),
        digest: conflict.digest.clone(),
        onto: conflict.onto.clone(),
        commit: target.commit.clone(),
        name: target.name.clone(),
        files: conflict.files.clone(),
        left: state(&own)?,
    };
    let note = note(tree);
    let text = serde_json::to_vec_pretty(&waiting).map_err(std::io::Error::other);
    text.and_then(|text| store::write(&note, &text))
        .map_err(|source| GitError::Io { path: note, source })
}

/// Removes the work tree of a conflict, and the note beside it.
///
/// # Errors
/// Where they cannot be removed.
pub fn clear(git: &Git, tree: &Path) -> Result<(), GitError> {
    for path in [note(tree), tree.to_owned()] {
        store::remove(&path).map_err(|source| GitError::Io { path, source })?;
    }
    git.forget_worktree(tree);
    Ok(())
}

/// Gives the tree that was made out of a conflict, or what is still to be done.
///
/// # Errors
/// Where git refuses.
pub fn resolved(tree: &Path, waiting: &Waiting) -> Result<Result<String, String>, GitError> {
    if !tree.join(".git").exists() {
        return Ok(Err(format!(
            "{} is gone: run `tdg generate` to have it again",
            tree.display()
        )));
    }
    let git = Git::at(tree);
    let open = git.ok(&["ls-files", "--unmerged", "-z"])?;
    let mut names: Vec<&str> = open
        .split('\0')
        .filter_map(|line| Some(line.split_once('\t')?.1))
        .collect();
    names.dedup();
    if !names.is_empty() {
        return Ok(Err(format!(
            "not decided yet: {}; edit, then `git add`, or `git rm` what shall not be there",
            names.join(", ")
        )));
    }
    let index = super::Index::new(&git)?;
    let written = git.ok(&["write-tree"])?;
    let changed = git.ok(&["diff", "--name-only", "-z"])?;
    if let Some(first) = changed.split('\0').find(|name| !name.is_empty()) {
        return Ok(Err(format!(
            "{first} was edited after it was added: `git add` it again"
        )));
    }
    for file in &waiting.files {
        let name = format!("{written}:{file}");
        let output = index.git().output(&["cat-file", "blob", &name])?;
        let text = output.stdout.text();
        let marker = text
            .lines()
            .position(|l| l.starts_with("<<<<<<< ") || l.starts_with(">>>>>>> "));
        if let Some(line) = marker.filter(|_| output.success()) {
            let line = line + 1;
            return Ok(Err(format!(
                "{file}:{line} still has a marker: edit it, then `git add`"
            )));
        }
    }
    Ok(Ok(written))
}

/// Digests what stands in a work tree and its index.
fn state(git: &Git) -> Result<String, GitError> {
    let index = git.all(&["ls-files", "--stage", "-z"])?;
    let tree = git.all(&["diff", "--binary", "--no-ext-diff", "--no-color"])?;
    Ok(Sha256Digest::of(&[index, tree].concat()).to_string())
}
