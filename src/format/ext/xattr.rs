//! Extended attributes: in the inode, in a block of their own, and large values
//! in inodes of their own.
//!
//! Source: `fs/ext4/xattr.h`, `xattr.c` and `acl.c` of Linux.

use std::sync::Arc;

use super::inode::Inode;
use super::{Ext, NAME};
use crate::format::crc32c::{crc32c, crc32c_without};
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::{Bytes, FormatError, Xattrs};

const MAGIC: u32 = 0xea02_0000;
/// Bytes of a block's header.
const HEADER: usize = 32;
/// Bytes of an entry in front of its name.
const ENTRY: usize = 16;
/// Bytes of a value at most: Linux's `XATTR_SIZE_MAX`.
const MAX_VALUE: u32 = 1 << 16;
/// Bytes of all values of one inode at most.
const MAX_TOTAL: usize = 1 << 20;
/// The index of `system.data`, the content that did not fit into an inode.
const SYSTEM: u8 = 7;
/// The index of how a file is encrypted, which Linux does not show.
const ENCRYPTION: u8 = 9;

/// One attribute as it is stored.
struct Stored {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Gives the attributes that Linux would show of an inode.
///
/// Errors with [`FormatError::Corrupt`] for values that are not there, wrong
/// checksums and prefixes that are not known, with [`FormatError::Limit`] for
/// more than 1 MiB of values.
pub(super) fn read(ext: &Ext, inode: &Inode) -> Result<Xattrs, FormatError> {
    let mut found = Vec::new();
    for stored in all(ext, inode)? {
        if matches!(stored.index, SYSTEM | ENCRYPTION) {
            continue;
        }
        let name = escape(&stored.name);
        let (prefix, acl) = match stored.index {
            1 => ("user.", false),
            2 => ("system.posix_acl_access", true),
            3 => ("system.posix_acl_default", true),
            4 => ("trusted.", false),
            5 => ("lustre.", false),
            6 => ("security.", false),
            8 => ("system.richacl", false),
            other => {
                let what = format!("an extended attribute with the unknown prefix {other}");
                return Err(inode.corrupt(what));
            }
        };
        let value = match acl {
            true => access_list(&stored.value)
                .ok_or_else(|| inode.corrupt("an access control list that is none"))?,
            false => stored.value,
        };
        found.push((format!("{prefix}{name}"), value));
    }
    found.sort();
    Ok(Arc::from(found))
}

/// Gives the content of a file that did not fit into the first 60 bytes.
pub(super) fn inline_data(ext: &Ext, inode: &Inode) -> Result<Vec<u8>, FormatError> {
    let found = own(ext, inode)?
        .found
        .into_iter()
        .find(|stored| stored.index == SYSTEM && stored.name == b"data");
    Ok(found.map(|stored| stored.value).unwrap_or_default())
}

/// Gives the attributes that lie in the inode itself.
fn own<'a>(ext: &'a Ext, inode: &'a Inode) -> Result<List<'a>, FormatError> {
    let mut list = List {
        ext,
        inode,
        total: 0,
        found: Vec::new(),
    };
    if le32(&inode.rest, 0) == Some(MAGIC) {
        let rest = inode.rest.slice(4..inode.rest.len()).unwrap_or_default();
        list.take(&rest, 0)?;
    }
    Ok(list)
}

fn all(ext: &Ext, inode: &Inode) -> Result<Vec<Stored>, FormatError> {
    let mut list = own(ext, inode)?;
    if inode.xattr_block != 0 {
        list.take(&block(ext, inode)?, HEADER)?;
    }
    Ok(list.found)
}

/// Reads the block of attributes. Source: `ext4_xattr_block_csum`.
fn block(ext: &Ext, inode: &Inode) -> Result<Bytes, FormatError> {
    let number = inode.xattr_block;
    let outside = || inode.corrupt(format!("extended attributes in block {number}"));
    let at = ext.superblock.at(number).ok_or_else(outside)?;
    let what = "extended attributes";
    let bytes = ext.source.fetch(NAME, at, ext.superblock.block, what)?;
    if le32(&bytes, 0) != Some(MAGIC) || le32(&bytes, 8) != Some(1) {
        let what = "a block of extended attributes that is none";
        return Err(FormatError::corrupt(NAME, at, what));
    }
    if ext.superblock.checked() {
        let sum = crc32c(ext.superblock.seed, &number.to_le_bytes());
        if le32(&bytes, 16) != Some(crc32c_without(sum, &bytes, 16..20)) {
            let what = "the checksum of extended attributes is wrong";
            return Err(FormatError::corrupt(NAME, at, what));
        }
    }
    Ok(bytes)
}

struct List<'a> {
    ext: &'a Ext,
    inode: &'a Inode,
    total: usize,
    found: Vec<Stored>,
}

impl List<'_> {
    /// Takes the entries from `first` on; values are counted from the start of
    /// `bytes`.
    fn take(&mut self, bytes: &Bytes, first: usize) -> Result<(), FormatError> {
        let mut offset = first;
        // Four zero bytes end the list.
        while le32(bytes, offset).is_some_and(|start| start != 0) {
            let cut = || self.inode.corrupt("extended attributes are cut");
            let field = |at: usize| bytes.get(offset + at).copied().ok_or_else(cut);
            let (length, index) = (usize::from(field(0)?), field(1)?);
            let place = usize::from(le16(bytes, offset + 2).ok_or_else(cut)?);
            let holder = le32(bytes, offset + 4).ok_or_else(cut)?;
            let size = le32(bytes, offset + 8).ok_or_else(cut)?;
            let start = offset + ENTRY;
            let name = bytes.get(start..start + length).ok_or_else(cut)?.to_vec();
            if size > MAX_VALUE {
                let what = format!("an extended attribute of {size} bytes; 65536 is the most");
                return Err(self.inode.corrupt(what));
            }
            let size = size as usize;
            self.total += size + length;
            if self.total > MAX_TOTAL {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: self.inode.at,
                    limit: "xattrs of a file",
                    value: MAX_TOTAL as u64,
                    remedy: "no image in use has a file with so many extended attributes",
                });
            }
            let value = match holder {
                0 => bytes.get(place..place + size).ok_or_else(cut)?.to_vec(),
                holder => self.outside(holder, size)?,
            };
            self.found.push(Stored { index, name, value });
            // Entries begin at multiples of four.
            offset = (start + length).next_multiple_of(4);
        }
        Ok(())
    }

    /// Reads a value that is an inode of its own.
    fn outside(&self, number: u32, size: usize) -> Result<Vec<u8>, FormatError> {
        let holder = Inode::read(self.ext, number)?;
        // Inline, it would have attributes of its own, which may lead round in a circle.
        let value = holder.holds_attribute() && !holder.is_inline();
        if !value || holder.size != size as u64 {
            return Err(holder.corrupt("no value of an extended attribute"));
        }
        let bytes = self.ext.content(&holder)?.up_to(0, size)?;
        Ok(bytes.to_vec())
    }
}

/// Gives an access control list in the form in which programs see it, which
/// has a number for every entry. Source: `ext4_acl_from_disk`,
/// `linux/posix_acl_xattr.h`.
fn access_list(stored: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    if le32(stored, 0)? != 1 {
        return None;
    }
    let mut list = 2u32.to_le_bytes().to_vec();
    let mut rest = stored.get(4..)?;
    while !rest.is_empty() {
        let tag = le16(rest, 0)?;
        let named = matches!(tag, USER | GROUP);
        list.extend_from_slice(rest.get(..4)?);
        list.extend_from_slice(&if named { le32(rest, 4)? } else { u32::MAX }.to_le_bytes());
        rest = rest.get(if named { 8 } else { 4 }..)?;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_control_list_has_a_number_for_every_entry() {
        let stored = [
            1, 0, 0, 0, 1, 0, 7, 0, 2, 0, 6, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0,
        ];
        let none = [0xff; 4];
        let shown = [
            &[2, 0, 0, 0, 1, 0, 7, 0][..],
            &none,
            &[2, 0, 6, 0, 0xe8, 3, 0, 0],
            &[4, 0, 5, 0],
            &none,
        ];
        assert_eq!(access_list(&stored), Some(shown.concat()));
        assert_eq!(access_list(&stored[..10]), None);
        assert_eq!(access_list(&[2, 0, 0, 0]), None);
    }
}
