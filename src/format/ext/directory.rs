//! Directories, read from front to back: the trees of hashes in them say
//! nothing that the names do not.

use super::inode::Inode;
use super::{Ext, NAME, xattr};
use crate::format::crc32c::{crc32c, crc32c_without};
use crate::format::field::{le16, le32};
use crate::format::tree::Child;
use crate::format::{FileType, FormatError};

/// Bytes of an entry in front of its name.
const HEAD: usize = 8;
/// The entry at the end of a block that holds its checksum.
const TAIL: usize = 12;
/// The type by which that entry is known.
const TAIL_TYPE: u8 = 0xde;

/// Lists a directory without `.` and `..`. Source: `struct ext4_dir_entry_2`.
///
/// Errors with [`FormatError::Corrupt`] for entries that leave their block and
/// for wrong checksums.
pub(super) fn children(ext: &Ext, inode: &Inode) -> Result<Vec<Child>, FormatError> {
    if inode.kind() != FileType::Directory {
        return Err(inode.corrupt("no directory"));
    }
    inode.plain()?;
    let mut names = Names {
        ext,
        inode,
        children: Vec::new(),
    };
    if inode.is_inline() {
        // The parent's number, then entries, and those that did not fit as an attribute.
        names.take(inode.block.get(4..).unwrap_or_default(), inode.at)?;
        let more = xattr::inline_data(ext, inode)?;
        names.take(&more, inode.at)?;
        return Ok(names.children);
    }
    let content = ext.content(inode)?;
    let block = ext.superblock.block;
    let length = usize::try_from(block).unwrap_or(usize::MAX);
    if !inode.size.is_multiple_of(block) {
        return Err(inode.corrupt(format!("a directory of {} bytes", inode.size)));
    }
    for index in 0..inode.size / block {
        ext.limits.check_deadline(NAME, inode.at)?;
        let bytes = content.up_to(index * block, length)?;
        let holds_index = inode.is_indexed()
            && (index == 0 || le32(&bytes, 0) == Some(0) && record(&bytes, 0) == Some(length));
        if ext.superblock.checked() {
            check(inode, &bytes, index, holds_index)?;
        }
        names.take(&bytes, inode.at)?;
    }
    Ok(names.children)
}

struct Names<'a> {
    ext: &'a Ext,
    inode: &'a Inode,
    children: Vec<Child>,
}

impl Names<'_> {
    /// Takes the entries of one block, or of a part of an inode.
    fn take(&mut self, bytes: &[u8], at: u64) -> Result<(), FormatError> {
        let mut offset = 0;
        while offset < bytes.len() {
            let entry = bytes.get(offset..).unwrap_or_default();
            let length = record(bytes, offset).unwrap_or_default();
            let name = entry.get(6).map_or(0, |length| usize::from(*length));
            if !length.is_multiple_of(4)
                || length < HEAD + name
                || length > entry.len()
                || length < TAIL
            {
                let what = format!(
                    "an entry of {length} bytes with a name of {name}, at byte {offset} of a block"
                );
                return Err(self.inode.corrupt(what));
            }
            let number = le32(entry, 0).unwrap_or_default();
            let name = entry.get(HEAD..HEAD + name).unwrap_or_default();
            if number != 0 && name != b"." && name != b".." {
                let most = self.ext.limits.max_entries;
                if self.children.len() as u64 >= most {
                    return Err(FormatError::Limit {
                        format: NAME,
                        offset: at,
                        limit: "max_entries",
                        value: most,
                        remedy: "no image in use has a directory that large",
                    });
                }
                self.children.push(Child {
                    name: name.to_vec(),
                    node: u64::from(number),
                });
            }
            offset += length;
        }
        Ok(())
    }
}

/// Gives the bytes of the entry at `offset`; 64 KiB do not fit into the field.
/// Source: `ext4_rec_len_from_disk`.
fn record(bytes: &[u8], offset: usize) -> Option<usize> {
    let length = usize::from(le16(bytes, offset + 4)?);
    Some(match length {
        0 | 0xffff if bytes.len() == 1 << 16 => 1 << 16,
        other => other,
    })
}

/// Errors where the checksum of a block is wrong. Source:
/// `ext4_dirblock_csum_verify`, `ext4_dx_csum_verify`.
fn check(inode: &Inode, bytes: &[u8], index: u64, holds_index: bool) -> Result<(), FormatError> {
    let right = if holds_index {
        index_is_right(inode, bytes, index)
    } else {
        let end = bytes.len().saturating_sub(TAIL);
        let tail = bytes.get(end..).unwrap_or_default();
        let known = le32(tail, 0) == Some(0)
            && le16(tail, 4) == Some(TAIL as u16)
            && tail.get(6..8) == Some(&[0, TAIL_TYPE]);
        let sum = crc32c(inode.seed, bytes.get(..end).unwrap_or_default());
        (known && le32(tail, 8) == Some(sum)).then_some(())
    };
    right.ok_or_else(|| {
        inode.corrupt(format!(
            "the checksum of block {index} of a directory is wrong"
        ))
    })
}

/// Tells whether the checksum of a block of a tree of hashes is right; `None`
/// where it is not.
fn index_is_right(inode: &Inode, bytes: &[u8], index: u64) -> Option<()> {
    // Behind the empty entry, or `.` and `..` and what the root says of the tree.
    let limits = if index == 0 {
        24 + usize::from(*bytes.get(29)?)
    } else {
        8
    };
    let (most, count) = (
        usize::from(le16(bytes, limits)?),
        usize::from(le16(bytes, limits + 2)?),
    );
    let tail = limits + most * 8;
    if count > most || tail + 8 > bytes.len() {
        return None;
    }
    let sum = crc32c(inode.seed, bytes.get(..limits + count * 8)?);
    let sum = crc32c_without(sum, bytes.get(tail..tail + 8)?, 4..8);
    (le32(bytes, tail + 4)? == sum).then_some(())
}
