//! The root file system as the machine will see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::follow::{Unresolved, follow};
use super::{ImageError, Layer, Pattern};
use crate::format::initramfs::Initramfs;
use crate::format::squashfs::{self, Squashfs};
use crate::format::{Bytes, FileType, FormatError, Limits, Metadata, ReadAt};

/// Where the content of an entry lies.
#[derive(Debug, Clone)]
enum Source {
    Squashfs { layer: usize, inode: u64 },
    Bytes(Bytes),
}

/// One entry of the view.
#[derive(Debug, Clone)]
pub struct MergedEntry {
    /// The path without leading `/`.
    pub path: String,
    /// Mode, owner, size and so on.
    pub meta: Metadata,
    layer: usize,
    source: Source,
}

/// The content of a file in the view, fetched as it is read.
#[derive(Debug)]
pub enum FileContent {
    /// A file in a squashfs image.
    Squashfs(squashfs::File),
    /// A file in a decoded segment.
    Bytes(Bytes),
}

impl ReadAt for FileContent {
    fn size(&self) -> u64 {
        match self {
            Self::Squashfs(file) => file.size(),
            Self::Bytes(bytes) => bytes.size(),
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        match self {
            Self::Squashfs(file) => file.read_at(offset, buffer),
            Self::Bytes(bytes) => bytes.read_at(offset, buffer),
        }
    }
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
    images: Vec<Squashfs>,
    /// Sorted by path.
    entries: Vec<MergedEntry>,
    /// Entries of an initramfs whose directory is not there.
    orphans: Vec<String>,
}

type Tree = BTreeMap<String, MergedEntry>;

impl View {
    pub(super) fn of_layers(subject: &Path, layers: &[&Layer]) -> Result<Self, ImageError> {
        let mut tree = Tree::new();
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
                    source: Source::Squashfs {
                        layer: index,
                        inode: entry.inode,
                    },
                };
                tree.insert(entry.path.clone(), merged);
            }
        }
        let names = layers.iter().map(|layer| layer.name().to_owned()).collect();
        let images = layers
            .iter()
            .map(|layer| layer.squashfs().clone())
            .collect();
        Ok(Self::new(subject, names, images, tree, Vec::new()))
    }

    /// Unpacks the entries of all segments in their order, as the kernel does:
    /// through links that earlier entries made.
    pub(super) fn of_initramfs(
        subject: &Path,
        initramfs: &Initramfs,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        limits
            .check_deadline("initramfs", 0)
            .map_err(|error| ImageError::format(subject, error))?;
        let mut tree = Tree::new();
        let mut orphans = Vec::new();
        for located in initramfs.entries() {
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
                source: Source::Bytes(initramfs.content(located)),
            };
            tree.insert(path, merged);
        }
        let names = (0..initramfs.segments().len()).map(|index| format!("segment {index}"));
        Ok(Self::new(
            subject,
            names.collect(),
            Vec::new(),
            tree,
            orphans,
        ))
    }

    fn new(
        subject: &Path,
        names: Vec<String>,
        images: Vec<Squashfs>,
        tree: Tree,
        orphans: Vec<String>,
    ) -> Self {
        let entries: Vec<MergedEntry> = tree.into_values().collect();
        Self {
            subject: subject.to_owned(),
            names,
            images,
            entries,
            orphans,
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
        self.entries
            .iter()
            .filter(|entry| pattern.matches(&entry.path))
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
    pub fn resolve(&self, path: &str) -> Result<&MergedEntry, Unresolved> {
        self.resolve_in("", path)
    }

    /// Follows links with the directory `root` as the root, as a container in
    /// it would: absolute links begin there, and `..` does not leave it.
    pub fn resolve_in(&self, root: &str, path: &str) -> Result<&MergedEntry, Unresolved> {
        let kind = |path: &str| {
            self.get(path)
                .map(|entry| (entry.meta.kind, entry.meta.target.as_deref()))
        };
        let found = follow(kind, root, path)?;
        self.get(&found).ok_or(Unresolved::Missing(found))
    }

    /// Opens a regular file of the view. Nothing is decoded yet.
    ///
    /// Errors where the file's inode is broken, or where it is no file.
    pub fn open(&self, entry: &MergedEntry) -> Result<FileContent, ImageError> {
        let broken = |error: FormatError| {
            let part = format!("/{} ({})", entry.path, self.layer(entry));
            ImageError::format(&self.subject, error.inside(part))
        };
        match &entry.source {
            Source::Bytes(bytes) => Ok(FileContent::Bytes(bytes.clone())),
            Source::Squashfs { layer, inode } => self
                .images
                .get(*layer)
                .ok_or(FormatError::corrupt("squashfs", 0, "no such layer"))
                .and_then(|image| image.file(*inode))
                .map(FileContent::Squashfs)
                .map_err(broken),
        }
    }

    /// Reads a whole file of the view.
    ///
    /// Errors where it cannot be decoded and where it exceeds `max_file`.
    pub fn read(&self, entry: &MergedEntry) -> Result<Vec<u8>, ImageError> {
        match self.open(entry)? {
            FileContent::Bytes(bytes) => Ok(bytes.to_vec()),
            FileContent::Squashfs(file) => file.read_all().map_err(|error| {
                let part = format!("/{} ({})", entry.path, self.layer(entry));
                ImageError::format(&self.subject, error.inside(part))
            }),
        }
    }

    /// Gives numbers by which entries that lie close together sort together.
    pub(super) fn place(&self, index: usize) -> (usize, u64) {
        match self.entries.get(index).map(|entry| &entry.source) {
            Some(Source::Squashfs { layer, inode }) => (*layer, *inode),
            Some(Source::Bytes(_)) | None => (0, index as u64),
        }
    }
}

/// Removes everything under `path`, which is about to be no directory.
fn remove_below(tree: &mut Tree, path: &str) {
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
fn placed(tree: &Tree, path: &str) -> Option<String> {
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
        tree.get(path)
            .map(|entry| (entry.meta.kind, entry.meta.target.as_deref()))
    };
    let parent = follow(kind, "", parent).ok()?;
    if parent.is_empty() {
        return Some(name.to_owned());
    }
    let directory = tree.get(&parent)?.meta.kind == FileType::Directory;
    directory.then(|| format!("{parent}/{name}"))
}
