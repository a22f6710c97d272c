//! The root file system as the machine will see it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Segments;
use super::follow::{Unresolved, follow};
use super::glob::Fixed;
use super::{ImageError, Layer, Pattern};
use crate::format::{Bytes, Entry, FileType, FormatError, Limits, Metadata, Source, Tree};

/// Where the content of an entry lies.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In the tree at this place, by this number. A hard link's is that of the
    /// layer which brought the file.
    Tree(usize, u64),
    File(Source),
}

/// One entry of the view.
#[derive(Debug, Clone)]
pub struct MergedEntry {
    /// The path without leading `/`.
    pub path: String,
    /// Mode, owner, size and so on.
    pub meta: Metadata,
    pub(super) layer: usize,
    pub(super) content: Content,
}

/// Layers laid over one another.
///
/// A later layer wins; a directory over a directory merges. As in overlayfs, a
/// character device 0/0 removes what is below it. Links are resolved inside
/// the view and never outside of it.
#[derive(Debug)]
pub struct View {
    subject: PathBuf,
    names: Vec<String>,
    trees: Vec<Arc<dyn Tree>>,
    /// Sorted by path.
    entries: Vec<MergedEntry>,
    /// Entries of an initramfs whose directory is not there.
    orphans: Vec<String>,
    /// Directories that are root file systems of their own: `linux/arm64` of an
    /// image for several platforms.
    roots: Vec<String>,
    /// Bytes of a file that is read as a whole.
    max_file: u64,
}

/// The entries of a view that is being made; the directory of each is there.
pub(super) type Paths = BTreeMap<String, MergedEntry>;

/// The parts that a view is made of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The names of the layers from the lowest to the topmost.
    pub(super) names: Vec<String>,
    /// The trees that entries lie in.
    pub(super) trees: Vec<Arc<dyn Tree>>,
    pub(super) entries: Paths,
    /// Directories that are root file systems of their own.
    pub(super) roots: Vec<String>,
}

impl View {
    pub(super) fn of_layers(
        subject: &Path,
        layers: &[&Layer],
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        let mut tree = Paths::new();
        for (index, layer) in layers.iter().enumerate() {
            for entry in layer.entries(subject)? {
                let whiteout =
                    entry.meta.device == Some((0, 0)) && entry.meta.kind == FileType::CharDevice;
                if whiteout || entry.meta.kind != FileType::Directory {
                    remove_below(&mut tree, &entry.path);
                }
                if whiteout {
                    tree.remove(&entry.path);
                    continue;
                }
                let merged = MergedEntry {
                    path: entry.path.clone(),
                    meta: entry.meta.clone(),
                    layer: index,
                    content: Content::Tree(index, entry.inode),
                };
                tree.insert(entry.path.clone(), merged);
            }
        }
        let names = layers.iter().map(|layer| layer.name().to_owned());
        let trees = layers.iter().map(|layer| Arc::clone(layer.tree()));
        let parts = Parts {
            names: names.collect(),
            trees: trees.collect(),
            entries: tree,
            roots: Vec::new(),
        };
        Ok(Self::of_parts(subject, parts, limits))
    }

    /// Unpacks the entries of all segments in their order, as the kernel does:
    /// through links that earlier entries made.
    pub(super) fn of_initramfs(
        subject: &Path,
        initramfs: &Segments,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        let failed = |error| ImageError::format(subject, error);
        limits.check_deadline("initramfs", 0).map_err(failed)?;
        let mut tree = Paths::new();
        let mut orphans = Vec::new();
        for located in initramfs.held().map_err(failed)? {
            let entry = &located.entry;
            if entry.path.is_empty() {
                continue;
            }
            let path = match placed(&tree, &entry.path) {
                Some(path) => path,
                None => {
                    orphans.push(entry.path.clone());
                    entry.path.clone()
                }
            };
            if entry.meta.kind != FileType::Directory {
                remove_below(&mut tree, &path);
            }
            let merged = MergedEntry {
                path: path.clone(),
                meta: entry.meta.clone(),
                layer: located.segment,
                content: Content::File(initramfs.content(located).map_err(failed)?),
            };
            tree.insert(path, merged);
        }
        let count = initramfs.compressions().map_err(failed)?.len();
        let names = (0..count).map(|index| format!("segment {index}"));
        let parts = Parts {
            names: names.collect(),
            entries: tree,
            ..Parts::default()
        };
        let mut view = Self::of_parts(subject, parts, limits);
        view.orphans = orphans;
        Ok(view)
    }

    pub(super) fn of_parts(subject: &Path, parts: Parts, limits: &Limits) -> Self {
        Self {
            subject: subject.to_owned(),
            names: parts.names,
            trees: parts.trees,
            entries: parts.entries.into_values().collect(),
            orphans: Vec::new(),
            roots: parts.roots,
            max_file: limits.max_file,
        }
    }

    /// Gives the file that the view was made from.
    #[must_use]
    pub fn subject(&self) -> &Path {
        &self.subject
    }

    /// Gives the names of the layers from the lowest to the topmost.
    #[must_use]
    pub fn layers(&self) -> &[String] {
        &self.names
    }

    /// Gives all entries, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[MergedEntry] {
        &self.entries
    }

    /// Gives the entries of an initramfs for whose path no directory was made
    /// before them; the kernel leaves such files out.
    #[must_use]
    pub fn orphans(&self) -> &[String] {
        &self.orphans
    }

    /// Gives the name of the layer that an entry came from.
    #[must_use]
    pub fn layer(&self, entry: &MergedEntry) -> &str {
        self.names.get(entry.layer).map_or("", String::as_str)
    }

    /// Gives the entries whose path matches, sorted by path.
    pub fn glob<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = &'a MergedEntry> {
        let range = self.within(pattern);
        let entries = self.entries.get(range).unwrap_or_default();
        entries.iter().filter(|entry| pattern.matches(&entry.path))
    }

    /// Gives the places of all entries that a pattern can cover.
    pub(super) fn within(&self, pattern: &Pattern) -> Range<usize> {
        let from = |path: &str| self.entries.partition_point(|e| e.path.as_str() < path);
        match pattern.fixed() {
            Fixed::Path(path) => {
                let at = from(path);
                at..(at + 1).min(self.entries.len())
            }
            Fixed::Folder(folder) if folder.is_empty() => 0..self.entries.len(),
            // Behind a folder's entries, in the order of paths, comes the next character after `/`.
            Fixed::Folder(folder) => from(folder)..from(&format!("{folder}0")),
        }
    }

    /// Gives the entry at exactly this path; links are not followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&MergedEntry> {
        self.index_of(path)
            .and_then(|index| self.entries.get(index))
    }

    pub(super) fn index_of(&self, path: &str) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| entry.path.as_str().cmp(path))
            .ok()
    }

    /// Follows links from a path to the entry that it means; the root itself
    /// has no entry and is [`Unresolved::NotADirectory`] only to files.
    /// In an image for several platforms, that of the path is the root.
    pub fn resolve(&self, path: &str) -> Result<&MergedEntry, Unresolved> {
        let path = crate::model::path::normalise(path);
        let root = self.root_of(&path);
        self.resolve_in(root, path.get(root.len()..).unwrap_or_default())
    }

    /// Gives the directory that is the root file system of what lies at a path:
    /// nothing, or the platform's of an image for several.
    pub(super) fn root_of(&self, path: &str) -> &str {
        let below = |root: &&String| {
            let rest = path.strip_prefix(root.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.roots.iter().find(below).map_or("", String::as_str)
    }

    /// Follows links with the directory `root` as the root, as a container in
    /// it would: absolute links begin there, and `..` does not leave it.
    pub fn resolve_in(&self, root: &str, path: &str) -> Result<&MergedEntry, Unresolved> {
        let kind = |path: &str| {
            self.get(path).map(|entry| {
                (
                    entry.meta.kind,
                    entry.meta.target.as_deref().map(Cow::Borrowed),
                )
            })
        };
        let found = follow(kind, root, path)?;
        self.get(&found).ok_or(Unresolved::Missing(found))
    }

    /// Opens a regular file of the view. Nothing is decoded yet.
    ///
    /// Errors where the file's inode is broken, or where it is no file.
    pub fn open(&self, entry: &MergedEntry) -> Result<Source, ImageError> {
        self.open_plain(entry)
            .map_err(|error| self.broken(entry, error))
    }

    /// Opens a file; the error is the reader's own.
    pub(super) fn open_plain(&self, entry: &MergedEntry) -> Result<Source, FormatError> {
        let (tree, inode) = match &entry.content {
            Content::File(file) => return Ok(Arc::clone(file)),
            Content::Tree(tree, inode) => (self.trees.get(*tree), *inode),
        };
        let tree = tree.ok_or_else(|| FormatError::corrupt("view", 0, "no such layer"))?;
        tree.open(&Entry {
            path: entry.path.clone(),
            meta: entry.meta.clone(),
            inode,
        })
    }

    /// Reads a whole file of the view.
    ///
    /// Errors where it cannot be decoded and where it exceeds `max_file`.
    pub fn read(&self, entry: &MergedEntry) -> Result<Bytes, ImageError> {
        let limit = self.max_file;
        if entry.meta.size > limit {
            let error = FormatError::Limit {
                format: "file",
                offset: 0,
                limit: "max_file",
                value: limit,
                remedy: "read a range of the file",
            };
            return Err(self.broken(entry, error));
        }
        let length = usize::try_from(entry.meta.size).unwrap_or(usize::MAX);
        let bytes = self.open(entry)?.up_to(0, length);
        bytes.map_err(|error| self.broken(entry, error))
    }

    /// Says which file a reader's error is about.
    pub(super) fn broken(&self, entry: &MergedEntry, error: FormatError) -> ImageError {
        let part = format!("/{} ({})", entry.path, self.layer(entry));
        ImageError::format(&self.subject, error.inside(part))
    }

    /// Gives numbers by which entries that lie close together sort together.
    pub(super) fn place(&self, index: usize) -> (usize, u64) {
        match self.entries.get(index).map(|entry| &entry.content) {
            Some(Content::Tree(tree, inode)) => (*tree, *inode),
            Some(Content::File(_)) | None => (0, index as u64),
        }
    }
}

/// Removes everything under `path`, which is about to be no directory.
pub(super) fn remove_below(tree: &mut Paths, path: &str) {
    if tree
        .get(path)
        .is_none_or(|entry| entry.meta.kind != FileType::Directory)
    {
        return;
    }
    let prefix = format!("{path}/");
    let below: Vec<String> = tree
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .map(|(path, _)| path.clone())
        .collect();
    for path in below {
        tree.remove(&path);
    }
}

/// Finds where a new entry goes when links among its directories are followed;
/// `None` where its directory is not there.
fn placed(tree: &Paths, path: &str) -> Option<String> {
    let Some((parent, name)) = path.rsplit_once('/') else {
        return Some(path.to_owned());
    };
    if tree
        .get(parent)
        .is_some_and(|entry| entry.meta.kind == FileType::Directory)
    {
        return Some(path.to_owned());
    }
    let kind = |path: &str| {
        tree.get(path).map(|entry| {
            (
                entry.meta.kind,
                entry.meta.target.as_deref().map(Cow::Borrowed),
            )
        })
    };
    let parent = follow(kind, "", parent).ok()?;
    if parent.is_empty() {
        return Some(name.to_owned());
    }
    let directory = tree.get(&parent)?.meta.kind == FileType::Directory;
    directory.then(|| format!("{parent}/{name}"))
}
