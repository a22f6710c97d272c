//! An index of its own on a repository: trees are made and patches tried without a work tree.

use super::{Git, GitError, words};
use crate::format::patch;
use crate::probe::exec::Output;

/// An index that no one else sees.
#[derive(Debug)]
pub struct Index {
    git: Git,
    _folder: tempfile::TempDir,
}

/// What came of trying a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// What git said where it does not apply.
    pub failure: Option<String>,
    /// Hunks that fit elsewhere than the patch says.
    pub offsets: Vec<Offset>,
}

/// A hunk that fits, but not where the patch says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The file.
    pub path: String,
    /// Which hunk of that file, counted from 1.
    pub hunk: usize,
    /// How many lines further down it fits; less than 0 further up.
    pub lines: i64,
}

/// A file of a tree: its mode as git writes it, and its object.
pub type Entry = (String, String);

impl Index {
    /// Makes an empty index on a repository; trees and blobs become objects of it.
    ///
    /// # Errors
    /// Where no temporary folder can be made.
    pub fn new(git: &Git) -> Result<Self, GitError> {
        let folder = tempfile::tempdir().map_err(GitError::Temporary)?;
        Ok(Self {
            git: git
                .clone()
                .with("GIT_INDEX_FILE", folder.path().join("index")),
            _folder: folder,
        })
    }

    /// As [`new`](Self::new), with an object store of its own too: nothing is written to the
    /// repository.
    ///
    /// # Errors
    /// Where no temporary folder can be made, or the folder is no repository.
    pub fn apart(git: &Git) -> Result<Self, GitError> {
        let mut index = Self::new(git)?;
        let store = git.ok(&[
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "objects",
        ])?;
        let own = index._folder.path().join("objects");
        std::fs::create_dir_all(&own).map_err(GitError::Temporary)?;
        index.git = index
            .git
            .with("GIT_OBJECT_DIRECTORY", own)
            .with("GIT_ALTERNATE_OBJECT_DIRECTORIES", store);
        Ok(index)
    }

    /// Gives git as this index sees the repository.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Fills the index with a tree or a commit's.
    ///
    /// # Errors
    /// Where there is no such tree.
    pub fn read(&self, tree: &str) -> Result<(), GitError> {
        self.git.ok(&["read-tree", tree]).map(drop)
    }

    /// Writes what is in the index as a tree.
    ///
    /// # Errors
    /// Where git refuses.
    pub fn write(&self) -> Result<String, GitError> {
        self.git.ok(&["write-tree"])
    }

    /// Applies a patch as `git am` and `git apply` do: every line has to fit, or nothing is done.
    ///
    /// # Errors
    /// Where git cannot be run.
    pub fn apply(&self, patch: &[u8]) -> Result<Tried, GitError> {
        let patch = super::mail::plain(&self.git, patch)?;
        // git passes over lines that a hunk's counts leave out; here nothing is lost without a word.
        if let Err(error) = patch::Patch::read(&patch) {
            return Ok(Tried {
                failure: Some(error.to_string()),
                offsets: Vec::new(),
            });
        }
        let arguments = ["apply", "--cached", "--verbose", "--whitespace=nowarn", "-"];
        let output = self.git.output_of(&arguments, patch.into_owned())?;
        if !output.success() {
            return Ok(Tried {
                failure: Some(without_progress(&output)),
                offsets: Vec::new(),
            });
        }
        Ok(Tried {
            failure: None,
            offsets: offsets(&output.stderr.text()),
        })
    }

    /// Puts files into the index, or takes them out.
    ///
    /// # Errors
    /// Where git refuses.
    pub fn set<'p>(
        &self,
        files: impl IntoIterator<Item = (&'p str, Option<&'p Entry>)>,
    ) -> Result<(), GitError> {
        let (mut out, mut within) = (Vec::new(), Vec::new());
        for (path, entry) in files {
            // What is taken out goes first: a file may be where a folder was.
            match entry {
                Some((mode, object)) => {
                    within.extend(format!("{mode} {object}\t{path}\0").into_bytes());
                }
                None => out.extend(format!("0 {}\t{path}\0", "0".repeat(40)).into_bytes()),
            }
        }
        out.extend(within);
        let arguments = ["update-index", "-z", "--index-info"];
        self.git.ok_of(&arguments, out).map(drop)
    }
}

fn is_progress(line: &str) -> bool {
    ["Checking patch ", "Applied patch ", "Hunk #", "Applying: "]
        .iter()
        .any(|start| line.starts_with(start))
        || line.starts_with("error: while searching for:")
}

/// Gives why a patch does not apply, without what `--verbose` says on the way and the lines it
/// looked for: those are told by hunk.
fn without_progress(output: &Output) -> String {
    let text = words(output);
    let mut kept = Vec::new();
    let mut quoting = false;
    for line in text.lines() {
        if line.starts_with("error: ") || line.starts_with("fatal: ") {
            quoting = line.starts_with("error: while searching for:");
        }
        if !quoting && !is_progress(line) {
            kept.push(line);
        }
    }
    if kept.is_empty() {
        return output.how();
    }
    kept.join("\n")
}

/// Reads `Hunk #2 succeeded at 27 (offset -3 lines).` under `Checking patch NAME...`.
fn offsets(text: &str) -> Vec<Offset> {
    let mut path = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Checking patch ") {
            path = name.strip_suffix("...").unwrap_or(name);
        } else if let Some(rest) = line.strip_prefix("Hunk #") {
            let number = rest.split(' ').next().and_then(|n| n.parse().ok());
            let lines = rest
                .split_once("(offset ")
                .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            if let (Some(hunk), Some(lines)) = (number, lines) {
                found.push(Offset {
                    path: path.to_owned(),
                    hunk,
                    lines,
                });
            }
        }
    }
    found
}
