//! FAT12, FAT16 and FAT32 file systems, read in place.
//!
//! Opening reads the boot sector; a path costs the directories on its way, a
//! file its chain in the allocation table. A node's number is the byte offset
//! of its directory entry in the volume; that of the root is 0.
//!
//! Source: Microsoft, *FAT: General Overview of On-Disk Format* 1.03. Times
//! have no zone there and are taken as UTC.

mod boot;
mod chain;
mod directory;

use std::sync::Arc;

pub use boot::{Boot, Width};

use super::tree::{self, Child, Directories, Entry, Tree, Visit};
use super::{FileType, FormatError, Limits, Metadata, Pieces, Source};
use directory::{ENTRY, Short};

const NAME: &str = "fat";
/// The root's number: no directory entry lies in the boot sector.
const ROOT: u64 = 0;

/// An open FAT file system.
#[derive(Debug)]
pub struct Fat {
    source: Source,
    boot: Boot,
    limits: Limits,
}

impl Fat {
    /// Opens the file system that `source` begins with.
    ///
    /// Errors with [`FormatError::Corrupt`] where its parameters contradict one
    /// another.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let boot = Boot::read(&*source)?;
        Ok(Self {
            source,
            boot,
            limits: limits.clone(),
        })
    }

    /// Gives the parameters of the file system.
    #[must_use]
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Gives the label: that of the root directory, or else of the boot sector.
    pub fn label(&self) -> Result<String, FormatError> {
        let found = directory::label(self, ROOT)?;
        Ok(found.unwrap_or_else(|| self.boot.label.clone()))
    }

    fn short(&self, node: u64) -> Result<Short, FormatError> {
        let bytes = self
            .source
            .fetch(NAME, node, ENTRY as u64, "a directory entry")?;
        Short::read(&bytes)
            .ok_or_else(|| FormatError::corrupt(NAME, node, "a directory entry that is none"))
    }
}

impl Directories for Fat {
    const NAME: &'static str = NAME;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn meta(&self, node: u64) -> Result<Metadata, FormatError> {
        if node == ROOT {
            return Ok(Metadata::plain(FileType::Directory, 0));
        }
        Ok(self.short(node)?.metadata())
    }

    fn children(&self, node: u64) -> Result<Vec<Child>, FormatError> {
        directory::children(self, node)
    }

    /// Names differ only where more than the case of letters does.
    fn same(&self, stored: &[u8], asked: &str) -> bool {
        let stored = super::node::escape(stored);
        stored == asked || stored.to_lowercase() == asked.to_lowercase()
    }
}

impl Tree for Fat {
    fn format(&self) -> &'static str {
        self.boot.width.name()
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        tree::list(self, visit)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        tree::lookup(self, path)
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        tree::children(self, path)
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let short = self.short(entry.inode)?;
        if short.is_directory() {
            let what = format!("`{}` is a directory", entry.path);
            return Err(FormatError::corrupt(NAME, entry.inode, what));
        }
        let pieces = chain::file(self, &short)?;
        Ok(Arc::new(Pieces::new(Arc::clone(&self.source), pieces)))
    }
}
