//! ext2, ext3 and ext4 file systems, read in place.
//!
//! Opening reads the superblock; a path costs the directories on its way, a
//! file its map of blocks or its extents. Where metadata carry checksums, each
//! is verified when it is read. A node's number is that of its inode.
//!
//! What is on the disk has to be what a mounted file system would show. One
//! whose journal has to be replayed first is therefore refused, and so are the
//! names and the content of what is encrypted.
//!
//! Source: `fs/ext4/ext4.h` of Linux, and `Documentation/filesystems/ext4`.

mod directory;
mod extent;
mod group;
mod indirect;
mod inode;
mod map;
mod superblock;
mod xattr;

use std::sync::Arc;

pub use superblock::{Superblock, Version};

use super::node::escape;
use super::tree::{self, Child, Directories, Entry, Tree, Visit};
use super::{Bytes, FileType, FormatError, Limits, Metadata, Source};
use group::Tables;
use inode::Inode;
use map::Map;

const NAME: &str = "ext";
/// The inode of the root.
const ROOT: u64 = 2;

/// An open ext2, ext3 or ext4 file system.
#[derive(Debug)]
pub struct Ext {
    source: Source,
    superblock: Superblock,
    tables: Tables,
    limits: Limits,
}

impl Ext {
    /// Opens the file system that `source` begins with.
    ///
    /// Errors with [`FormatError::Corrupt`] where the superblock contradicts
    /// itself or its checksum is wrong, with [`FormatError::Unsupported`]
    /// where the journal has to be replayed first or features are not known.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let superblock = Superblock::read(&*source)?;
        superblock.readable()?;
        Ok(Self {
            source,
            superblock,
            tables: Tables::default(),
            limits: limits.clone(),
        })
    }

    /// Gives the superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    fn inode(&self, node: u64) -> Result<Inode, FormatError> {
        let number = u32::try_from(node).map_err(|_| {
            FormatError::corrupt(
                NAME,
                0,
                format!("inode {node}, which no directory can name"),
            )
        })?;
        Inode::read(self, number)
    }

    /// Gives the bytes of an inode's content.
    fn content(&self, inode: &Inode) -> Result<Source, FormatError> {
        if !inode.is_inline() {
            return Ok(Arc::new(Map::read(self, inode)?));
        }
        let mut bytes = inode.block.to_vec();
        bytes.extend(xattr::inline_data(self, inode)?);
        let size = usize::try_from(inode.size).unwrap_or(usize::MAX);
        if size > bytes.len() {
            let what = format!(
                "{size} bytes of content in an inode that holds {}",
                bytes.len()
            );
            return Err(inode.corrupt(what));
        }
        bytes.truncate(size);
        Ok(Arc::new(Bytes::new(bytes)))
    }

    fn target(&self, inode: &Inode) -> Result<String, FormatError> {
        inode.plain()?;
        if inode.size > self.limits.max_path as u64 {
            return Err(FormatError::Limit {
                format: NAME,
                offset: inode.at,
                limit: "max_path",
                value: self.limits.max_path as u64,
                remedy: "Linux knows no longer link target",
            });
        }
        if let Some(target) = inode.fast_target() {
            return Ok(escape(target));
        }
        let target = self.content(inode)?.up_to(0, self.limits.max_path)?;
        Ok(escape(&target))
    }
}

impl Directories for Ext {
    const NAME: &'static str = NAME;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn meta(&self, node: u64) -> Result<Metadata, FormatError> {
        let inode = self.inode(node)?;
        let kind = inode.kind();
        if kind == FileType::Unknown || inode.holds_attribute() {
            return Err(inode.corrupt(format!("no file, by its mode {:#o}", inode.mode)));
        }
        let target = match kind == FileType::Symlink {
            true => Some(self.target(&inode)?),
            false => None,
        };
        Ok(Metadata {
            kind,
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
        directory::children(self, &self.inode(node)?)
    }
}

impl Tree for Ext {
    fn format(&self) -> &'static str {
        self.superblock.version.name()
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
        let inode = self.inode(entry.inode)?;
        if inode.kind() != FileType::File {
            return Err(inode.corrupt(format!("`{}` is no file", entry.path)));
        }
        inode.plain()?;
        self.content(&inode)
    }
}
