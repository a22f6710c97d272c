//! squashfs 4.0, read in place.
//!
//! Nothing is unpacked: opening an image reads its superblock and id table,
//! looking a path up decodes the metadata blocks on the way, and reading a
//! range of a file decodes the blocks that the range touches. The image may
//! lie inside a larger buffer, such as a decoded initramfs.
//!
//! Source: the squashfs binary format as `fs/squashfs/squashfs_fs.h` of Linux
//! defines it and `Documentation/filesystems/squashfs.rst` explains it.
//! Compressors: all that mksquashfs has (gzip, lzma, lzo, lz4, xz and zstd).

mod block;
mod directory;
mod file;
mod inode;
mod metadata;
mod superblock;
mod xattr;

use std::sync::Arc;

pub use directory::Walk;
pub use file::File;
pub use inode::Node;
pub use superblock::{Compressor, Superblock};

use super::tree::{Entry, Tree, Visit};
use super::{FileType, FormatError, Limits, Source};
use file::FragmentCache;
use inode::Inode;
use metadata::{Cursor, MetadataCache};
use xattr::XattrCache;

const NAME: &str = "squashfs";
/// Stands for "no table", "no fragment".
const NONE_32: u32 = u32::MAX;
const NONE_64: u64 = u64::MAX;

/// An open squashfs image; cloning it shares the image and its caches.
#[derive(Debug, Clone)]
pub struct Squashfs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data: Source,
    superblock: Superblock,
    ids: Vec<u32>,
    metadata: MetadataCache,
    fragments: FragmentCache,
    xattrs: XattrCache,
    limits: Limits,
}

impl Squashfs {
    /// Opens the image that `source` begins with; what follows it is ignored.
    ///
    /// Errors: [`FormatError::Truncated`] where `source` is shorter than the
    /// image says, [`FormatError::Corrupt`] for tables outside of the image,
    /// [`FormatError::Unsupported`] for another version or compressor.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let superblock = Superblock::read(&*source)?;
        let mut inner = Inner {
            metadata: MetadataCache::new(limits.max_metadata),
            fragments: FragmentCache::default(),
            xattrs: XattrCache::default(),
            limits: limits.clone(),
            ids: Vec::new(),
            data: source,
            superblock,
        };
        inner.ids = inner.read_ids()?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Gives the superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.inner.superblock
    }

    /// Gives the root directory.
    pub fn root(&self) -> Result<Entry, FormatError> {
        let reference = self.inner.superblock.root_inode;
        self.entry(String::new(), reference)
    }

    /// Lists the whole tree, each directory before what is in it. The root
    /// itself is left out.
    pub fn walk(&self) -> Result<Walk<'_>, FormatError> {
        Walk::new(self)
    }

    /// Finds one path (in tdg's form) without listing the tree. Symbolic links
    /// are not followed. `None` says that nothing is there.
    pub fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        let mut entry = self.root()?;
        for component in path.split('/').filter(|component| !component.is_empty()) {
            if entry.meta.kind != FileType::Directory {
                return Ok(None);
            }
            let Some((name, inode)) = self.inner.find(entry.inode, component)? else {
                return Ok(None);
            };
            let path = if entry.path.is_empty() {
                name
            } else {
                format!("{}/{name}", entry.path)
            };
            entry = self.entry(path, inode)?;
        }
        Ok(Some(entry))
    }

    /// Opens a regular file by its inode.
    ///
    /// Errors with [`FormatError::Corrupt`] where the inode is no regular file.
    pub fn file(&self, inode: u64) -> Result<File, FormatError> {
        File::open(self, inode)
    }

    fn entry(&self, path: String, reference: u64) -> Result<Entry, FormatError> {
        let inode = Inode::read(&self.inner, reference)?;
        let xattrs = self.inner.xattrs(inode.xattr)?;
        Ok(Entry {
            path,
            meta: inode.metadata(xattrs),
            inode: reference,
        })
    }
}

/// An entry's `inode` is the block and the offset in it, as directories store
/// it.
impl Tree for Squashfs {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        self.walk()?.try_for_each(|entry| visit(entry?))
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        Self::lookup(self, path)
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        self.directory(path)
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        Ok(Arc::new(self.file(entry.inode)?))
    }
}

impl Inner {
    fn read_ids(&self) -> Result<Vec<u32>, FormatError> {
        let count = self.superblock.id_count;
        let mut ids = Vec::new();
        for index in 0..count {
            let [id] =
                self.indexed::<4, 1>(self.superblock.id_table, u64::from(index), "id table")?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// Reads record `index` of a table that is found through a list of
    /// pointers to its metadata blocks, as `N` little-endian 32-bit words.
    fn indexed<const SIZE: u64, const N: usize>(
        &self,
        table: u64,
        index: u64,
        what: &str,
    ) -> Result<[u32; N], FormatError> {
        let per_block = metadata::BLOCK as u64 / SIZE;
        let slot = table.saturating_add(index / per_block * 8);
        let pointer = super::field::le64(&self.data.up_to(slot, 8)?, 0).ok_or_else(|| {
            FormatError::corrupt(NAME, slot, format!("the {what} lies outside of the image"))
        })?;
        let mut cursor = Cursor::new(self, pointer, index % per_block * SIZE)
            .map_err(|error| error.inside(format!("the {what}")))?;
        let mut words = [0; N];
        for word in &mut words {
            *word = cursor.u32()?;
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bytes;

    #[test]
    fn what_is_no_image_is_an_error() {
        for bytes in [&b""[..], b"hsqs", b"hello"] {
            let source = Arc::new(Bytes::new(bytes.to_vec()));
            assert!(Squashfs::open(source, &Limits::default()).is_err());
        }
    }
}
