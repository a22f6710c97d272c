//! Inodes, in their basic and extended forms.

use super::metadata::Cursor;
use super::{Inner, NAME, NONE_32};
use crate::format::node::escape;
use crate::format::{FileType, FormatError, Metadata, Xattrs};

/// What an inode holds beside the common fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Where a directory's listing is.
    Directory {
        /// The metadata block, counted from the directory table's start.
        block: u32,
        /// The offset in that block.
        offset: u16,
        /// Bytes of the listing.
        length: u32,
    },
    /// Where a file's content is.
    File {
        /// Where the first full block begins in the image.
        start: u64,
        /// The fragment block that holds the end, and the place in it.
        fragment: Option<(u32, u32)>,
        /// The stored size of each block; 0 for a hole, bit 24 for "stored".
        blocks: Vec<u32>,
    },
    /// A link's target, as bytes.
    Symlink(Vec<u8>),
    /// A device's numbers.
    Device(u32, u32),
    /// A pipe or a socket.
    Bare,
}

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    kind: FileType,
    permissions: u16,
    uid: u32,
    gid: u32,
    mtime: u32,
    nlink: u32,
    pub(super) size: u64,
    pub(super) node: Node,
    /// Which set of extended attributes it has.
    pub(super) xattr: u32,
}

impl Inode {
    /// Reads the inode without its list of blocks, which a listing does not
    /// need.
    pub(super) fn read(inner: &Inner, reference: u64) -> Result<Self, FormatError> {
        Self::parse(inner, reference, false)
    }

    /// Reads the inode with its list of blocks.
    pub(super) fn read_whole(inner: &Inner, reference: u64) -> Result<Self, FormatError> {
        Self::parse(inner, reference, true)
    }

    /// Source: `struct squashfs_*_inode` in `squashfs_fs.h`.
    fn parse(inner: &Inner, reference: u64, whole: bool) -> Result<Self, FormatError> {
        let block = inner.superblock.inode_table.saturating_add(reference >> 16);
        // Inodes lie in front of the directory table, as the kernel checks too.
        if block >= inner.superblock.directory_table {
            let what = format!("inode {reference:#x} lies outside of the inode table");
            return Err(FormatError::corrupt(NAME, block, what));
        }
        let mut cursor = Cursor::new(inner, block, reference & 0xffff)?;
        let at = cursor.position();
        let tag = cursor.u16()?;
        let permissions = cursor.u16()? & 0o7777;
        let id = |index: u16| {
            inner.ids.get(usize::from(index)).copied().ok_or_else(|| {
                let what = format!("owner {index} of an id table of {}", inner.ids.len());
                FormatError::corrupt(NAME, at, what)
            })
        };
        let uid = id(cursor.u16()?)?;
        let gid = id(cursor.u16()?)?;
        let mtime = cursor.u32()?;
        let _number = cursor.u32()?;
        let extended = tag > 7;
        let kind = match tag {
            1 | 8 => FileType::Directory,
            2 | 9 => FileType::File,
            3 | 10 => FileType::Symlink,
            4 | 11 => FileType::BlockDevice,
            5 | 12 => FileType::CharDevice,
            6 | 13 => FileType::Fifo,
            7 | 14 => FileType::Socket,
            _ => {
                return Err(FormatError::corrupt(
                    NAME,
                    at,
                    format!("an inode of the unknown type {tag}"),
                ));
            }
        };
        let Body {
            nlink,
            size,
            node,
            xattr,
        } = match kind {
            FileType::Directory => directory(&mut cursor, extended)?,
            FileType::File => file(&mut cursor, inner, extended, whole)?,
            FileType::Symlink => symlink(&mut cursor, inner, extended)?,
            FileType::BlockDevice | FileType::CharDevice => {
                let nlink = cursor.u32()?;
                let device = cursor.u32()?;
                // The packing of `new_encode_dev` in `linux/kdev_t.h`.
                let major = (device & 0xf_ff00) >> 8;
                let minor = device & 0xff | device >> 12 & 0xf_ff00;
                Body {
                    nlink,
                    size: 0,
                    node: Node::Device(major, minor),
                    xattr: xattr(&mut cursor, extended)?,
                }
            }
            FileType::Fifo | FileType::Socket | FileType::Unknown => Body {
                nlink: cursor.u32()?,
                size: 0,
                node: Node::Bare,
                xattr: xattr(&mut cursor, extended)?,
            },
        };
        Ok(Self {
            kind,
            permissions,
            uid,
            gid,
            mtime,
            nlink,
            size,
            node,
            xattr,
        })
    }

    /// Gives what all file systems say about a node.
    pub(super) fn metadata(self, xattrs: Xattrs) -> Metadata {
        let (device, target) = match self.node {
            Node::Device(major, minor) => (Some((major, minor)), None),
            Node::Symlink(target) => (None, Some(escape(&target))),
            Node::Directory { .. } | Node::File { .. } | Node::Bare => (None, None),
        };
        Metadata {
            kind: self.kind,
            mode: self.kind.mode_bits() | u32::from(self.permissions),
            uid: self.uid,
            gid: self.gid,
            mtime: i64::from(self.mtime),
            size: self.size,
            nlink: self.nlink,
            device,
            target,
            xattrs,
        }
    }
}

/// The part of an inode that depends on its type.
struct Body {
    nlink: u32,
    size: u64,
    node: Node,
    xattr: u32,
}

/// Reads the number of the set of extended attributes, which only the extended
/// forms have.
fn xattr(cursor: &mut Cursor<'_>, extended: bool) -> Result<u32, FormatError> {
    if extended { cursor.u32() } else { Ok(NONE_32) }
}

fn directory(cursor: &mut Cursor<'_>, extended: bool) -> Result<Body, FormatError> {
    let (nlink, stored, block, offset, set);
    if extended {
        nlink = cursor.u32()?;
        stored = cursor.u32()?;
        block = cursor.u32()?;
        let _parent = cursor.u32()?;
        let _indexes = cursor.u16()?;
        offset = cursor.u16()?;
        set = xattr(cursor, true)?;
    } else {
        set = NONE_32;
        block = cursor.u32()?;
        nlink = cursor.u32()?;
        stored = u32::from(cursor.u16()?);
        offset = cursor.u16()?;
    }
    // The stored size counts three bytes for `.` and `..`, which are not there.
    let length = stored.saturating_sub(3);
    Ok(Body {
        nlink,
        size: u64::from(stored),
        node: Node::Directory {
            block,
            offset,
            length,
        },
        xattr: set,
    })
}

fn file(
    cursor: &mut Cursor<'_>,
    inner: &Inner,
    extended: bool,
    whole: bool,
) -> Result<Body, FormatError> {
    let (start, size, nlink, fragment, offset, set);
    if extended {
        start = cursor.u64()?;
        size = cursor.u64()?;
        let _sparse = cursor.u64()?;
        nlink = cursor.u32()?;
        fragment = cursor.u32()?;
        offset = cursor.u32()?;
        set = xattr(cursor, true)?;
    } else {
        start = u64::from(cursor.u32()?);
        fragment = cursor.u32()?;
        offset = cursor.u32()?;
        size = u64::from(cursor.u32()?);
        nlink = 1;
        set = NONE_32;
    }
    let block_size = u64::from(inner.superblock.block_size);
    let fragment = (fragment != NONE_32).then_some((fragment, offset));
    let count = if fragment.is_some() {
        size / block_size
    } else {
        size.div_ceil(block_size)
    };
    let mut blocks = Vec::new();
    if whole {
        // Sixteen bytes of memory for each block, see `File`.
        if count > inner.limits.max_metadata / 16 {
            return Err(FormatError::Limit {
                format: NAME,
                offset: cursor.position(),
                limit: "max_metadata",
                value: inner.limits.max_metadata,
                remedy: "no image in use holds a file of that many blocks",
            });
        }
        for _ in 0..count {
            blocks.push(cursor.u32()?);
        }
    }
    Ok(Body {
        nlink,
        size,
        node: Node::File {
            start,
            fragment,
            blocks,
        },
        xattr: set,
    })
}

fn symlink(cursor: &mut Cursor<'_>, inner: &Inner, extended: bool) -> Result<Body, FormatError> {
    let nlink = cursor.u32()?;
    let size = cursor.u32()? as usize;
    if size > inner.limits.max_path {
        return Err(FormatError::Limit {
            format: NAME,
            offset: cursor.position(),
            limit: "max_path",
            value: inner.limits.max_path as u64,
            remedy: "Linux knows no longer link target",
        });
    }
    let target = cursor.bytes(size)?;
    Ok(Body {
        nlink,
        size: size as u64,
        node: Node::Symlink(target),
        // Behind the target.
        xattr: xattr(cursor, extended)?,
    })
}
