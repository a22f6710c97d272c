//! `tdg.lock`: which commit a moving name stands for.

use super::recipe::Source;
use crate::probe::store;
use serde::{Deserialize, Serialize};
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    source: Pin,
}

/// Gives the commit a lock pins for a source; nothing where it pins another name, or none.
///
/// # Errors
/// Where the file is damaged or cannot be read.
pub fn pinned(path: &Path, source: &Source) -> Result<Option<String>, LockError> {
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
    let pin = file.source;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if pin.commit.len() != 40 || !pin.commit.chars().all(hex) {
        return Err(damaged(format!("`{}` is no commit", pin.commit)));
    }
    let same = pin.git == source.git && pin.reference == source.reference;
    Ok(same.then_some(pin.commit))
}

/// Pins a commit.
///
/// # Errors
/// Where the file cannot be written.
pub fn pin(path: &Path, source: &Source, commit: &str) -> Result<(), LockError> {
    let file = File {
        version: VERSION,
        source: Pin {
            git: source.git.clone(),
            reference: source.reference.clone(),
            commit: commit.to_owned(),
        },
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
