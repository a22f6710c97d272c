//! A disk as a tree: its partitions, and what is in those that hold a file
//! system.

use std::sync::{Arc, OnceLock};

use crate::format::partition::{Partition, Table};
use crate::format::partitions;
use crate::format::tree::{Visit, join};
use crate::format::{
    Content, Entry, FileType, FormatError, Limits, Metadata, Pieces, Source, Tree,
};

type Opened = Result<Option<Arc<dyn Tree>>, FormatError>;
/// Opens what is in a partition, if it is a file system.
type Opener = fn(&Source, Content, &Limits) -> Opened;

/// A disk. A partition that holds a file system is a directory of the tree, any
/// other a file.
#[derive(Debug)]
pub(super) struct Disk {
    table: Table,
    parts: Vec<Part>,
    opener: Opener,
    limits: Limits,
}

#[derive(Debug)]
struct Part {
    partition: Partition,
    source: Source,
    tree: OnceLock<Opened>,
}

impl Disk {
    pub(super) fn open(
        source: &Source,
        opener: Opener,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        let table = partitions::read(&**source, limits)?;
        let part = |partition: &Partition| Part {
            source: Pieces::range(source, partition.start, partition.size),
            partition: partition.clone(),
            tree: OnceLock::new(),
        };
        Ok(Self {
            parts: table.partitions.iter().map(part).collect(),
            table,
            opener,
            limits: limits.clone(),
        })
    }

    /// Gives the file system in a partition, if there is one.
    fn tree<'p>(&self, part: &'p Part) -> Result<Option<&'p Arc<dyn Tree>>, FormatError> {
        let opened = part.tree.get_or_init(|| {
            let inside = |error: FormatError| error.inside(part.partition.name.as_str());
            let head = part.source.up_to(0, Content::HEAD).map_err(inside)?;
            match Content::detect(&head) {
                // A table inside of a partition is no file system.
                Content::Gpt | Content::Mbr => Ok(None),
                content => (self.opener)(&part.source, content, &self.limits).map_err(inside),
            }
        });
        opened.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    fn entry(&self, index: usize, part: &Part) -> Entry {
        // One that cannot be read is a file system all the same; going into it tells why.
        let kind = match self.tree(part) {
            Ok(Some(_)) | Err(_) => FileType::Directory,
            Ok(None) => FileType::File,
        };
        Entry {
            path: part.partition.name.clone(),
            meta: Metadata {
                size: part.partition.size,
                ..Metadata::plain(kind, 0)
            },
            inode: index as u64,
        }
    }

    /// Splits a path at the partition's name.
    fn part<'p>(&self, path: &'p str) -> Option<(usize, &Part, &'p str)> {
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        let index = self.parts.iter().position(|p| p.partition.name == name)?;
        Some((index, self.parts.get(index)?, rest))
    }
}

impl Tree for Disk {
    fn format(&self) -> &'static str {
        self.table.kind.name()
    }

    /// A partition that cannot be read keeps none behind it from being shown; it
    /// is the error that ends the listing.
    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let mut trouble = None;
        for (index, part) in self.parts.iter().enumerate() {
            visit(self.entry(index, part))?;
            let name = &part.partition.name;
            match self.tree(part) {
                Err(error) => {
                    trouble.get_or_insert(error);
                }
                Ok(None) => {}
                Ok(Some(tree)) => tree
                    .list(&mut |mut entry| {
                        entry.path = join(name, &entry.path);
                        visit(entry)
                    })
                    .map_err(|error| error.inside(name.as_str()))?,
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        let Some((index, part, rest)) = self.part(path) else {
            return Ok(None);
        };
        if rest.is_empty() {
            return Ok(Some(self.entry(index, part)));
        }
        let Some(tree) = self.tree(part)? else {
            return Ok(None);
        };
        let found = tree.lookup(rest)?;
        Ok(found.map(|mut entry| {
            entry.path = join(&part.partition.name, &entry.path);
            entry
        }))
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        if path.is_empty() {
            let entries = self.parts.iter().enumerate();
            let entries = entries.map(|(index, part)| self.entry(index, part));
            return Ok(Some(entries.collect()));
        }
        let Some((_, part, rest)) = self.part(path) else {
            return Ok(None);
        };
        let Some(tree) = self.tree(part)? else {
            return Ok(None);
        };
        let children = tree.children(rest)?;
        Ok(children.map(|mut list| {
            for entry in &mut list {
                entry.path = join(&part.partition.name, &entry.path);
            }
            list
        }))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let none = || FormatError::corrupt("disk", 0, format!("`{}` is no file", entry.path));
        let (_, part, rest) = self.part(&entry.path).ok_or_else(none)?;
        if rest.is_empty() {
            return Ok(Arc::clone(&part.source));
        }
        let tree = self.tree(part)?.ok_or_else(none)?;
        tree.open(&Entry {
            path: rest.to_owned(),
            ..entry.clone()
        })
    }
}
