//! EROFS images, read in place.
//!
//! Opening reads the superblock; a path costs the directories on its way, and
//! reading a range of a file decodes the extents that the range touches. A
//! node's number is that of its inode.
//!
//! Data are read whether they are stored as they are (in one run, behind the
//! inode, in chunks), or compressed with lz4, LZMA, deflate or zstd, with
//! indexes of all forms, ends packed behind inodes, and fragments that files
//! share. Images whose data lie on further devices, and such whose metadata
//! are compressed, are not read.
//!
//! Source: `fs/erofs/erofs_fs.h` of Linux, and `Documentation/filesystems/erofs.rst`.

mod decode;
mod directory;
mod extents;
mod file;
mod flat;
mod index;
mod inode;
mod map;
mod superblock;
mod xattr;

use std::sync::Arc;

pub use superblock::Superblock;

use super::node::escape;
use super::tree::{self, Child, Directories, Entry, Tree, Visit};
use super::{FileType, FormatError, Limits, Metadata, Source};
use file::{File, Recent};
use inode::Inode;
use xattr::Prefix;

const NAME: &str = "erofs";

/// An open EROFS image; cloning it shares the image and its caches.
#[derive(Debug, Clone)]
pub struct Erofs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    superblock: Superblock,
    prefixes: Vec<Prefix>,
    fragments: Arc<Recent>,
    limits: Limits,
}

impl Erofs {
    /// Opens the image that `source` begins with; what follows it is ignored.
    ///
    /// Errors: [`FormatError::Corrupt`] where the superblock contradicts itself
    /// or its checksum is wrong, [`FormatError::Truncated`] where `source` is
    /// shorter than the image says, [`FormatError::Unsupported`] for further
    /// devices, compressed metadata and features that are not known.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let superblock = Superblock::read(&*source)?;
        superblock.readable(&*source)?;
        let (count, start, plain) = superblock.prefixes;
        let without = |prefixes| Self {
            inner: Arc::new(Inner {
                source: Arc::clone(&source),
                superblock: superblock.clone(),
                prefixes,
                fragments: Recent::of_fragments(),
                limits: limits.clone(),
            }),
        };
        let bare = without(Vec::new());
        if count == 0 {
            return Ok(bare);
        }
        // They lie in the file of fragments where there is one, unless the image says otherwise.
        let prefixes = match superblock.packed.filter(|_| !plain) {
            Some(packed) => {
                let packed = bare.content(&Inode::read(&bare, packed)?)?;
                xattr::prefixes(&*packed, start, count)?
            }
            None => xattr::prefixes(&*source, start, count)?,
        };
        Ok(without(prefixes))
    }

    /// Gives the superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.inner.superblock
    }

    fn source(&self) -> &Source {
        &self.inner.source
    }

    fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn prefixes(&self) -> &[Prefix] {
        &self.inner.prefixes
    }

    fn fragments(&self) -> &Arc<Recent> {
        &self.inner.fragments
    }

    /// Gives the bytes of an inode's content.
    fn content(&self, inode: &Inode) -> Result<Source, FormatError> {
        Ok(match self.pieces(inode)? {
            Some(pieces) => Arc::new(pieces),
            None => Arc::new(File::open(self, inode)?),
        })
    }

    fn target(&self, inode: &Inode) -> Result<String, FormatError> {
        let most = self.inner.limits.max_path;
        if inode.size > most as u64 {
            return Err(FormatError::Limit {
                format: NAME,
                offset: inode.at,
                limit: "max_path",
                value: most as u64,
                remedy: "Linux knows no longer link target",
            });
        }
        let content = self.content(inode)?;
        Ok(escape(&content.fetch(
            NAME,
            0,
            inode.size,
            "the target of a link",
        )?))
    }
}

impl Directories for Erofs {
    const NAME: &'static str = NAME;

    fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn root(&self) -> u64 {
        self.superblock().root
    }

    fn meta(&self, node: u64) -> Result<Metadata, FormatError> {
        let inode = Inode::read(self, node)?;
        let target = match inode.kind() == FileType::Symlink {
            true => Some(self.target(&inode)?),
            false => None,
        };
        Ok(Metadata {
            kind: inode.kind(),
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            size: inode.size,
            nlink: inode.nlink,
            device: inode.device(),
            target,
            xattrs: xattr::read(self, &inode)?,
        })
    }

    fn children(&self, node: u64) -> Result<Vec<Child>, FormatError> {
        directory::children(self, &Inode::read(self, node)?)
    }
}

impl Tree for Erofs {
    fn format(&self) -> &'static str {
        NAME
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
        let inode = Inode::read(self, entry.inode)?;
        if inode.kind() != FileType::File {
            return Err(inode.corrupt(format!("`{}` is no file", entry.path)));
        }
        self.content(&inode)
    }
}
