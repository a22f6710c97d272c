//! `tdg.lock`: which commit a moving name stands for.

use super::recipe::Source;
use crate::probe::store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
const HEADER: &str =
    "# Written by `tdg generate`; commit it. It pins what the recipe's names stand for.\n";

/// Why the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read or written.
    #[error("{} cannot be read or written ({source}): check its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged.
    #[error("{} is not a lock file ({message}): restore it, or remove it to pin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// The pinned upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Where it comes from, as the recipe names it.
    pub git: String,
    /// The name, as the recipe has it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Pin>,
    /// By variant: the candidate that is green there instead of what the recipe names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    candidates: BTreeMap<String, Chosen>,
}

/// The candidate that was green.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    candidate: String,
    git: String,
    #[serde(rename = "ref")]
    reference: String,
    commit: String,
}

/// Gives the commit a lock pins for a source; nothing where it pins another name, or none.
///
/// # Errors
/// Where the file is damaged or cannot be read.
pub fn pinned(path: &Path, source: &Source) -> Result<Option<String>, LockError> {
    let pin = read(path)?.and_then(|file| file.source);
    let same = |pin: &Pin| pin.git == source.git && pin.reference == source.reference;
    Ok(pin.filter(same).map(|pin| pin.commit))
}

/// Gives the commit a lock pins for a source, or for the same source as a variant's candidate.
///
/// # Errors
/// As [`pinned`].
pub(super) fn pinned_for(
    path: &Path,
    source: &Source,
    variant: &str,
) -> Result<Option<String>, LockError> {
    let chosen = read(path)?.and_then(|mut file| file.candidates.remove(variant));
    let same = |c: &Chosen| c.git == source.git && c.reference == source.reference;
    match chosen.filter(same) {
        Some(chosen) => Ok(Some(chosen.commit)),
        None => pinned(path, source),
    }
}

/// Gives the candidate that was green for a variant, where it was not what the recipe names.
///
/// # Errors
/// As [`pinned`].
pub(super) fn chosen(path: &Path, variant: &str) -> Result<Option<String>, LockError> {
    let chosen = read(path)?.and_then(|mut file| file.candidates.remove(variant));
    Ok(chosen.map(|c| c.candidate))
}

fn read(path: &Path) -> Result<Option<File>, LockError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(LockError::Io {
                path: path.to_owned(),
                source: error,
            });
        }
    };
    let damaged = |message: String| LockError::Damaged {
        path: path.to_owned(),
        message,
    };
    let file: File = toml::from_str(&text).map_err(|e| damaged(e.message().to_owned()))?;
    if file.version != VERSION {
        return Err(damaged(format!("version {}", file.version)));
    }
    if file.source.is_none() && file.candidates.is_empty() {
        return Err(damaged("it pins nothing".into()));
    }
    let commits = file.source.iter().map(|pin| &pin.commit);
    for commit in commits.chain(file.candidates.values().map(|c| &c.commit)) {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if commit.len() != 40 || !commit.chars().all(hex) {
            return Err(damaged(format!("`{commit}` is no commit")));
        }
    }
    Ok(Some(file))
}

/// Pins a commit.
///
/// # Errors
/// Where the file cannot be written.
pub fn pin(path: &Path, source: &Source, commit: &str) -> Result<(), LockError> {
    // What is damaged has been told when it was read.
    let mut file = read(path).ok().flatten().unwrap_or_default();
    file.source = Some(Pin {
        git: source.git.clone(),
        reference: source.reference.clone(),
        commit: commit.to_owned(),
    });
    write(path, file)
}

/// Pins what is green: a candidate of a variant, or what the recipe itself names.
///
/// # Errors
/// Where the file cannot be read or written.
pub(super) fn choose(
    path: &Path,
    variant: &str,
    candidate: Option<&String>,
    source: &Source,
    commit: &str,
) -> Result<(), LockError> {
    let mut file = read(path)?.unwrap_or_default();
    let before = file.candidates.get(variant).cloned();
    match candidate {
        Some(candidate) => {
            let chosen = Chosen {
                candidate: candidate.clone(),
                git: source.git.clone(),
                reference: source.reference.clone(),
                commit: commit.to_owned(),
            };
            if before.as_ref() == Some(&chosen) {
                return Ok(());
            }
            file.candidates.insert(variant.to_owned(), chosen);
        }
        None => {
            if before.is_none() && pinned(path, source)?.as_deref() == Some(commit) {
                return Ok(());
            }
            file.candidates.remove(variant);
            file.source = Some(Pin {
                git: source.git.clone(),
                reference: source.reference.clone(),
                commit: commit.to_owned(),
            });
        }
    }
    write(path, file)
}

fn write(path: &Path, file: File) -> Result<(), LockError> {
    let file = File {
        version: VERSION,
        ..file
    };
    let io_error = |source| LockError::Io {
        path: path.to_owned(),
        source,
    };
    let text = toml::to_string(&file).map_err(|e| io_error(io::Error::other(e)))?;
    store::write(path, format!("{HEADER}{text}").as_bytes()).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_holds_for_its_own_name_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tdg.lock");
        let source = |git: &str, reference: &str| Source {
            git: git.into(),
            reference: reference.into(),
        };
        let (one, commit) = (source("../up", "v1"), "a".repeat(40));
        assert_eq!(pinned(&path, &one).unwrap(), None);
        pin(&path, &one, &commit).unwrap();
        assert_eq!(pinned(&path, &one).unwrap(), Some(commit));
        assert_eq!(pinned(&path, &source("../up", "v2")).unwrap(), None);
        assert_eq!(pinned(&path, &source("../other", "v1")).unwrap(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Written by"), "{text}");
        for wrong in [
            "",
            "version = 1\n",
            &text.replace("aaa", "zzz"),
            &text.replace("= 1", "= 2"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let said = pinned(&path, &one).unwrap_err().to_string();
            assert!(said.contains("is not a lock file"), "{said}");
        }
    }
}
