//! A folder of this machine, and a folder inside of a tree, as trees of their own.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::local::{LocalFile, xattrs};
use crate::format::node::{escape, normalise};
use crate::format::tree::{Visit, join};
use crate::format::{Bytes, Entry, FileType, FormatError, Limits, Metadata, Source, Tree};

const NAME: &str = "folder";

/// A folder on disk. Links are shown, never followed; what changes under the
/// walk shows as it was found.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    limits: Limits,
}

impl Folder {
    pub(super) fn new(root: &Path, limits: &Limits) -> Self {
        Self {
            root: root.to_owned(),
            limits: limits.clone(),
        }
    }

    /// Gives where a path (in tdg's form) is, or `None` where a component of it
    /// is no real directory: a link would lead elsewhere.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let mut at = self.root.clone();
        let mut components = path.split('/').filter(|c| !c.is_empty()).peekable();
        while let Some(component) = components.next() {
            if component == ".." {
                return None;
            }
            let literal = at.join(component);
            // An escaped name is looked for in the form in which it was shown.
            at = match component.contains('\\') && literal.symlink_metadata().is_err() {
                true => shown_as(&at, component)?,
                false => literal,
            };
            if components.peek().is_some() && !at.symlink_metadata().ok()?.is_dir() {
                return None;
            }
        }
        Some(at)
    }

    fn check_count(&self, seen: usize) -> Result<(), FormatError> {
        if seen as u64 >= self.limits.max_entries {
            return Err(FormatError::Limit {
                format: NAME,
                offset: 0,
                limit: "max_entries",
                value: self.limits.max_entries,
                remedy: "name a folder further in",
            });
        }
        Ok(())
    }

    fn entry(path: String, at: &Path) -> Result<Entry, FormatError> {
        let failed =
            |error: std::io::Error| FormatError::io(NAME, 0, format!("{}: {error}", at.display()));
        let meta = at.symlink_metadata().map_err(failed)?;
        let kind = FileType::of_mode(meta.mode());
        let target = match kind {
            FileType::Symlink => Some(escape(
                std::fs::read_link(at)
                    .map_err(failed)?
                    .as_os_str()
                    .as_bytes(),
            )),
            FileType::File
            | FileType::Directory
            | FileType::CharDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => None,
        };
        let device = matches!(kind, FileType::CharDevice | FileType::BlockDevice)
            .then(|| {
                (
                    nix::sys::stat::major(meta.rdev()),
                    nix::sys::stat::minor(meta.rdev()),
                )
            })
            .map(|(major, minor)| {
                let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
                (number(major), number(minor))
            });
        Ok(Entry {
            path,
            inode: meta.ino(),
            meta: Metadata {
                kind,
                mode: meta.mode(),
                uid: meta.uid(),
                gid: meta.gid(),
                mtime: meta.mtime(),
                size: if kind == FileType::Directory {
                    0
                } else {
                    meta.len()
                },
                nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
                device,
                target,
                xattrs: xattrs(at).map_err(failed)?,
            },
        })
    }
}

/// Finds the file of a folder whose name is shown as `name`.
fn shown_as(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut files = folder.read_dir().ok()?.filter_map(Result::ok);
    let found = files.find(|file| escape(file.file_name().as_bytes()) == name);
    found.map(|file| file.path())
}

impl Tree for Folder {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let walk = walkdir::WalkDir::new(&self.root)
            .min_depth(1)
            .sort_by_file_name();
        for (seen, found) in walk.into_iter().enumerate() {
            self.check_count(seen)?;
            let found = found.map_err(|error| FormatError::io(NAME, 0, error.to_string()))?;
            let relative = found
                .path()
                .strip_prefix(&self.root)
                .unwrap_or(found.path());
            let path = normalise(relative.as_os_str().as_bytes()).path;
            visit(Self::entry(path, found.path())?)?;
        }
        Ok(())
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        match self.place(path) {
            Some(at) if at.symlink_metadata().is_ok() => {
                Self::entry(path.to_owned(), &at).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        let Some(at) = self.place(path) else {
            return Ok(None);
        };
        // The folder itself may have been named by a link, what is in it not.
        let meta = match path {
            "" => at.metadata(),
            _ => at.symlink_metadata(),
        };
        if !meta.is_ok_and(|meta| meta.is_dir()) {
            return Ok(None);
        }
        let failed = |error: std::io::Error| FormatError::io(NAME, 0, error.to_string());
        let mut children = Vec::new();
        for (seen, found) in at.read_dir().map_err(failed)?.enumerate() {
            self.check_count(seen)?;
            let found = found.map_err(failed)?;
            let name = escape(found.file_name().as_bytes());
            children.push(Self::entry(join(path, &name), &found.path())?);
        }
        children.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Some(children))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let failed = |what: String| FormatError::io(NAME, 0, what);
        let Some(at) = self.place(&entry.path) else {
            return Err(failed(format!("`{}` is not in the folder", entry.path)));
        };
        if entry.meta.kind != FileType::File {
            return Err(failed(format!("`{}` is no file", entry.path)));
        }
        if entry.meta.size == 0 {
            return Ok(Arc::new(Bytes::default()));
        }
        let file = LocalFile::open(&at).map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(file))
    }
}

/// A folder inside of a tree.
#[derive(Debug)]
pub(super) struct Subtree {
    tree: Arc<dyn Tree>,
    /// The folder's path, with a `/` at its end.
    prefix: String,
}

impl Subtree {
    pub(super) fn new(tree: Arc<dyn Tree>, folder: &str) -> Self {
        let prefix = format!("{folder}/");
        Self { tree, prefix }
    }

    fn outer(&self, entry: &Entry) -> Entry {
        Entry {
            path: format!("{}{}", self.prefix, entry.path),
            ..entry.clone()
        }
    }

    fn inner(&self, mut entry: Entry) -> Option<Entry> {
        entry.path = entry.path.strip_prefix(&self.prefix)?.to_owned();
        Some(entry)
    }
}

impl Tree for Subtree {
    fn format(&self) -> &'static str {
        self.tree.format()
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        self.tree.list(&mut |entry| match self.inner(entry) {
            Some(entry) => visit(entry),
            None => Ok(()),
        })
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        let outer = format!("{}{path}", self.prefix);
        let found = self.tree.lookup(outer.trim_end_matches('/'))?;
        Ok(found.map(|entry| Entry {
            path: path.to_owned(),
            ..entry
        }))
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        let outer = format!("{}{path}", self.prefix);
        let found = self.tree.children(outer.trim_end_matches('/'))?;
        Ok(found.map(|list| list.into_iter().filter_map(|e| self.inner(e)).collect()))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        self.tree.open(&self.outer(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_name_that_is_shown_escaped_is_found_and_opened_by_what_is_shown() {
        let root = tempfile::tempdir().unwrap();
        for name in [&b"a\x1b[31m"[..], b"odd \xff", b"back\\slash"] {
            std::fs::write(root.path().join(OsStr::from_bytes(name)), name).unwrap();
        }
        let folder = Folder::new(root.path(), &Limits::default());
        let entries = folder.entries().unwrap();
        assert_eq!(entries.len(), 3);
        for entry in &entries {
            let bytes = folder.open(entry).unwrap().up_to(0, 100).unwrap();
            assert_eq!(escape(&bytes), entry.path);
            assert!(folder.lookup(&entry.path).unwrap().is_some());
        }
        assert_eq!(folder.children("").unwrap().unwrap(), entries);
        assert!(folder.children(&entries[0].path).unwrap().is_none());
        assert!(folder.lookup("no\\x1b").unwrap().is_none());
    }
}
