//! The way through an address: from an image to one inside of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Subtree;
use super::follow::{Unresolved, follow};
use super::{Image, ImageError, Pattern};
use crate::format::{Entry, FileType, FormatError, Source, Tree};
use crate::model::path::normalise;

/// How many entries an error names, of those that a pattern covers or that are
/// where a path leads.
const NAMED: usize = 8;

impl Image {
    /// Gives the image at `path` inside of this one: the next part of an
    /// address. The path may be a pattern that covers exactly one entry; links
    /// are followed inside of the tree and never out of it. The empty path is
    /// this image, decompressed where it is compressed.
    ///
    /// Errors where nothing can be inside, where nothing is there (with what is
    /// there instead), and where a pattern covers several entries.
    pub fn enter(self: &Arc<Self>, path: &str) -> Result<Arc<Self>, ImageError> {
        if path.is_empty() {
            return Ok(self.decoded()?.unwrap_or(self).clone());
        }
        let entry = self.entry(path)?;
        self.inner(&entry.path, || self.open_entry(&entry))
    }

    /// Finds the one entry that a path or pattern leads to, links followed.
    ///
    /// Errors as [`Image::enter`] does.
    pub fn entry(&self, path: &str) -> Result<Entry, ImageError> {
        let path = normalise(path);
        if let Some(entry) = self.find(&path)? {
            return Ok(entry);
        }
        let mut found = if Pattern::is_pattern(&path) {
            self.covered(&path)?
        } else {
            Vec::new()
        };
        match (found.pop(), found.is_empty()) {
            (Some(entry), true) => {
                let target = self.find(&entry.path)?;
                Ok(target.unwrap_or(entry))
            }
            (Some(last), false) => {
                found.push(last);
                Err(ImageError::Ambiguous {
                    path: self.path().to_owned(),
                    inner: path,
                    count: found.len(),
                    covered: names(&found),
                })
            }
            (None, _) => Err(ImageError::NotThere {
                near: self.near(&path)?,
                path: self.path().to_owned(),
                inner: path,
            }),
        }
    }

    /// Finds the entry at exactly this path, links followed inside of the tree;
    /// `None` where nothing is there.
    ///
    /// Only what lies on the way is looked at, not the whole tree.
    pub fn find(&self, path: &str) -> Result<Option<Entry>, ImageError> {
        let tree = self.tree()?;
        let failed = |error: FormatError| self.failed(error);
        if let Some(entry) = tree.lookup(path).map_err(failed)?
            && entry.meta.kind != FileType::Symlink
        {
            return Ok(Some(entry));
        }
        let trouble = RefCell::new(None);
        let kind = |path: &str| match tree.lookup(path) {
            Ok(found) => found.map(|e| (e.meta.kind, e.meta.target.map(Cow::Owned))),
            Err(error) => {
                trouble.borrow_mut().get_or_insert(error);
                None
            }
        };
        let end = follow(kind, "", path);
        if let Some(error) = trouble.into_inner() {
            return Err(failed(error));
        }
        match end {
            Ok(end) => tree.lookup(&end).map_err(failed),
            Err(Unresolved::Missing(_) | Unresolved::NotADirectory(_)) => Ok(None),
            Err(Unresolved::Loop) => {
                let what = format!("`{path}` leads through more than 40 links");
                Err(failed(FormatError::corrupt("path", 0, what)))
            }
        }
    }

    /// Finds the entry at exactly this path, a link itself rather than what it
    /// leads to.
    pub fn exactly(&self, path: &str) -> Result<Option<Entry>, ImageError> {
        let found = self.tree()?.lookup(path);
        found.map_err(|error| self.failed(error))
    }

    /// Opens the bytes of an entry of this image's tree.
    pub fn open_bytes(&self, entry: &Entry) -> Result<Source, ImageError> {
        let opened = self.tree()?.open(entry);
        opened.map_err(|error| ImageError::format(&self.inside(&entry.path), error))
    }

    /// Lists the entries that a pattern covers, sorted by path. Of a pattern
    /// whose last component alone is one, only that directory is read.
    ///
    /// Errors where the pattern is none, or a part cannot be read.
    pub fn covered(&self, pattern: &str) -> Result<Vec<Entry>, ImageError> {
        let failed = |error: FormatError| self.failed(error);
        let compiled = Pattern::new(pattern).map_err(|error| ImageError::Pattern {
            path: self.path().to_owned(),
            what: error.to_string(),
        })?;
        let (parent, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let tree = self.tree()?;
        let shallow = !Pattern::is_pattern(parent) && !name.contains("**") && !name.contains('}');
        if shallow {
            let parent = match self.find(parent)? {
                Some(entry) => entry.path,
                None if parent.is_empty() => String::new(),
                None => return Ok(Vec::new()),
            };
            let children = tree.children(&parent).map_err(failed)?.unwrap_or_default();
            let name = Pattern::new(name).map_err(|error| ImageError::Pattern {
                path: self.path().to_owned(),
                what: error.to_string(),
            })?;
            let own = |entry: &Entry| name.matches(last(&entry.path));
            return Ok(children.into_iter().filter(own).collect());
        }
        let mut found = Vec::new();
        tree.list(&mut |entry| {
            if compiled.matches(&entry.path) {
                found.push(entry);
            }
            Ok(())
        })
        .map_err(failed)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Opens an entry of this image's tree: a file, or a folder.
    pub fn open_entry(&self, entry: &Entry) -> Result<Arc<Self>, ImageError> {
        let tree = self.tree()?;
        let path = self.inside(&entry.path);
        let limits = self.limits().clone();
        let meta = Some(entry.meta.clone());
        match entry.meta.kind {
            FileType::Directory => {
                let folder: Arc<dyn Tree> = Arc::new(Subtree::new(Arc::clone(tree), &entry.path));
                Ok(Self::of_folder(&path, folder, meta, limits))
            }
            FileType::File => Self::of_source(&path, self.open_bytes(entry)?, meta, limits),
            FileType::Symlink
            | FileType::CharDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => Err(ImageError::Special {
                path,
                what: entry.meta.kind.name(),
            }),
        }
    }

    /// Gives the address of a path inside, for messages.
    #[must_use]
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("{}!/{path}", self.path().display()))
    }

    /// Names what is in the deepest directory of a path that is there.
    fn near(&self, path: &str) -> Result<String, ImageError> {
        let mut parent = path;
        loop {
            parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            let directory = match self.find(parent)? {
                Some(entry) => entry.path,
                None => String::new(),
            };
            let tree = self.tree()?;
            let children = tree.children(&directory).map_err(|e| self.failed(e))?;
            match children {
                Some(children) if children.is_empty() => {
                    return Ok(format!("`/{directory}` is empty"));
                }
                Some(children) => {
                    return Ok(format!("in `/{directory}` there is {}", names(&children)));
                }
                None if parent.is_empty() => return Ok("it is empty".to_owned()),
                None => {}
            }
        }
    }
}

/// Gives the last component of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Names some entries.
fn names(entries: &[Entry]) -> String {
    let shown: Vec<&str> = entries.iter().take(NAMED).map(|e| last(&e.path)).collect();
    let more = entries.len().saturating_sub(NAMED);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Finds the one file that a pattern on disk covers.
///
/// Errors where it covers none or several.
pub fn one_on_disk(pattern: &Path, limits: &crate::format::Limits) -> Result<PathBuf, ImageError> {
    let text = pattern.to_string_lossy().into_owned();
    if pattern.symlink_metadata().is_ok() || !Pattern::is_pattern(&text) {
        return Ok(pattern.to_owned());
    }
    let mut folder = pattern;
    while Pattern::is_pattern(&folder.to_string_lossy()) {
        folder = folder.parent().unwrap_or(Path::new(""));
    }
    let below = pattern.strip_prefix(folder).unwrap_or(pattern);
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let image = Image::open(folder, limits.clone())?;
    Ok(folder.join(image.entry(&below.to_string_lossy())?.path))
}
