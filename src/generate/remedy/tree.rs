//! The work tree of a remedy's own, and what was changed in it.
//!
//! The tree has a repository of its own, which borrows the objects of tdg's clone. That repository
//! belongs to whoever works in the tree: its settings, hooks and attributes are never used again.
//! What was changed is read with tdg's clone and an index beside it.

use super::super::error::GenerateError;
use super::super::recipe::Variant;
use super::super::secrets::Secrets;
use super::super::series;
use super::super::session::{Session, Stop};
use super::scan::{self, Root};
use crate::probe::git::Git;
use crate::probe::store;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No patch that a remedy makes is larger than this, in bytes.
pub(super) const MAX_PATCH: usize = 8 << 20;
/// No file a remedy changes is larger than this, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// How long it may take to read one object of a remedy's.
const READING: Duration = Duration::from_secs(60);

/// A work tree that a remedy has for itself.
pub(super) struct OwnTree {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The commit it was made from: the upstream with the patches that apply.
    pub(super) base: String,
    root: Root,
    git: Root,
    index: PathBuf,
}

/// What was changed in a tree.
pub(super) enum Found {
    Nothing,
    /// A patch, and the message of the last commit that was made there, if one was.
    Patch {
        text: Vec<u8>,
        paths: Vec<String>,
        message: Option<String>,
    },
    /// What cannot be taken, and why.
    Refused(String),
}

impl OwnTree {
    /// Makes the tree anew; nothing where the upstream is not here yet.
    pub(super) fn make(session: &Session<'_>, variant: &Variant) -> Result<Option<Self>, Stop> {
        let Some(base) = series::standing(&session.paths, &variant.name) else {
            return Ok(None);
        };
        let own = session.paths.remedy(&variant.name);
        let path = own.join("tree");
        store::remove(&own).map_err(GenerateError::io(&own))?;
        fs::create_dir_all(&path).map_err(GenerateError::io(&path))?;
        let git = Git::at(&path).cancel(session.cancel);
        git.ok(&["init", "--quiet", "--template=", "."])?;
        let info = path.join(".git/objects/info");
        fs::create_dir_all(&info).map_err(GenerateError::io(&info))?;
        let objects = session.paths.source().join("objects");
        let alternates = info.join("alternates");
        fs::write(&alternates, borrows(&objects)).map_err(GenerateError::io(&alternates))?;
        git.ok(&["checkout", "--quiet", "--detach", &base])?;
        Ok(Some(Self {
            root: Root::of(&path).map_err(GenerateError::io(&path))?,
            git: Root::of(&path.join(".git")).map_err(GenerateError::io(&path))?,
            index: own.join("index"),
            path,
            base,
        }))
    }

    /// Reads what was changed; whatever leads out is refused before anything is read through it.
    pub(super) fn found(&self, session: &Session<'_>, secrets: &Secrets) -> Result<Found, Stop> {
        let locks = session.locks;
        let _source = locks.source();
        let escapes = match scan::escapes(&self.path, self.root, self.git) {
            Ok(escapes) => escapes,
            Err(error) => return Ok(Found::Refused(error.to_string())),
        };
        let git = Git::at(session.paths.source())
            .cancel(session.cancel)
            .tree(&self.path, &self.index);
        git.ok(&["read-tree", &self.base])?;
        let before = git.ok(&["write-tree"])?;
        let mut wrong: Vec<String> = Vec::new();
        for escape in &escapes {
            // What the upstream itself has there, and what it ignores, is not the remedy's.
            let name = escape.path.to_string_lossy();
            if !self.same(&git, &escape.path)? && !ignored(&git, &name)? {
                wrong.push(format!("{name} {}", escape.what));
            }
        }
        if !wrong.is_empty() {
            wrong.truncate(5);
            return Ok(Found::Refused(wrong.join("; ")));
        }
        git.ok(&["add", "--all", "--", "."])?;
        let after = git.ok(&["write-tree"])?;
        if before == after {
            return Ok(Found::Nothing);
        }
        let mut paths = Vec::new();
        for change in crate::probe::git::changes(&git, &before, &after)? {
            if change.mode_after == "160000" {
                return Ok(Found::Refused(format!(
                    "{} is a repository of its own",
                    change.path
                )));
            }
            if let Some(why) = self.unfit(&change.path, secrets) {
                return Ok(Found::Refused(why));
            }
            paths.push(change.path);
        }
        let arguments = [
            "diff-tree",
            "-p",
            "--binary",
            "--full-index",
            "-M",
            "--no-ext-diff",
            "--no-textconv",
            "--stat",
            "--summary",
            &before,
            &after,
        ];
        let text = git.bytes(&arguments, MAX_PATCH)?;
        let Some(text) = text else {
            return Ok(Found::Refused(format!(
                "its change is a patch of more than {MAX_PATCH} bytes"
            )));
        };
        if let Some(name) = secrets.find_in_patch(&text) {
            return Ok(Found::Refused(format!(
                "its change contains the secret {name}"
            )));
        }
        Ok(Found::Patch {
            text,
            paths,
            message: self.message(session)?,
        })
    }

    /// Tells whether a link is the same as in the commit the tree was made from.
    fn same(&self, git: &Git, path: &Path) -> Result<bool, Stop> {
        let Ok(target) = fs::read_link(self.path.join(path)) else {
            return Ok(false);
        };
        let name = format!("{}:{}", self.base, path.display());
        let output = git.output(&["cat-file", "-p", &name])?;
        Ok(output.success() && *output.stdout.text() == *target.to_string_lossy())
    }

    /// Says why a changed file cannot be taken.
    fn unfit(&self, name: &str, secrets: &Secrets) -> Option<String> {
        if let Some(secret) = secrets.find(name.as_bytes()) {
            return Some(format!("a file's name contains the secret {secret}"));
        }
        let path = self.path.join(name);
        let meta = fs::symlink_metadata(&path).ok()?;
        let mut bytes = Vec::new();
        if meta.is_symlink() {
            let target = fs::read_link(&path).ok()?;
            bytes = target.to_string_lossy().into_owned().into_bytes();
        } else if meta.is_file() {
            if meta.len() > MAX_FILE {
                return Some(format!("{name} has more than {MAX_FILE} bytes"));
            }
            // Every part of the name was looked at: none of them is a link that leads out.
            let file = fs::File::open(&path).ok()?;
            file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        }
        let secret = secrets.find(&bytes)?;
        Some(format!("{name} contains the secret {secret}"))
    }

    /// Tells whether a folder of objects is one to read from: folders and files, nothing that leads
    /// elsewhere or that whoever opens it waits at, and what it borrows is tdg's clone.
    fn is_plain(&self, session: &Session<'_>, objects: &Path) -> bool {
        let borrowed = small(&objects.join("info/alternates"));
        let clone = session.paths.source().join("objects");
        let mut all = walkdir::WalkDir::new(objects).into_iter();
        borrowed.as_deref() == Some(&*borrows(&clone))
            && all.all(|entry| {
                let kind = entry.map(|entry| entry.file_type());
                kind.is_ok_and(|kind| kind.is_dir() || kind.is_file())
            })
    }

    /// Gives the message of the commit that the remedy made last in its tree, if it made one.
    ///
    /// Its repository is read as files: no setting in it is used.
    fn message(&self, session: &Session<'_>) -> Result<Option<String>, Stop> {
        let own = self.path.join(".git");
        let Some(commit) = head(&own).filter(|commit| *commit != self.base) else {
            return Ok(None);
        };
        let objects = own.join("objects");
        if !self.is_plain(session, &objects) {
            return Ok(None);
        }
        let git = Git::at(session.paths.source())
            .cancel(session.cancel)
            .timeout(Some(READING))
            .objects(&objects);
        let output = git.output(&["cat-file", "commit", &commit])?;
        let text = output.stdout.text();
        let message = text.split_once("\n\n").map(|(_, message)| message.trim());
        Ok(message
            .filter(|m| output.success() && !m.is_empty())
            .map(str::to_owned))
    }
}

/// Writes the file by which a repository borrows the objects of another.
fn borrows(objects: &Path) -> String {
    format!("{}\n", objects.display())
}

fn ignored(git: &Git, name: &str) -> Result<bool, Stop> {
    let output = git.output(&["check-ignore", "--quiet", "--", name])?;
    Ok(output.success())
}

/// Reads which commit a repository stands on.
fn head(git: &Path) -> Option<String> {
    let head = small(&git.join("HEAD"))?;
    let head = head.trim();
    let Some(name) = head.strip_prefix("ref: ") else {
        return hash(head);
    };
    if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
        return None;
    }
    if let Some(loose) = small(&git.join(name)) {
        return hash(loose.trim());
    }
    let packed = small(&git.join("packed-refs"))?;
    let line = packed.lines().find(|l| l.ends_with(&format!(" {name}")))?;
    hash(line.split(' ').next()?)
}

fn hash(text: &str) -> Option<String> {
    let hex = text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit());
    hex.then(|| text.to_owned())
}

/// Reads a small regular file, never through a link at its end.
fn small(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_file() || meta.len() > 1 << 20 {
        return None;
    }
    fs::read_to_string(path).ok()
}
