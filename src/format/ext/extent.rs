//! Extents: runs of blocks in a tree that begins in the inode.

use super::inode::Inode;
use super::map::Map;
use super::{Ext, NAME};
use crate::format::crc32c::crc32c;
use crate::format::field::{le16, le32};
use crate::format::{Bytes, FormatError};

/// Bytes of a header, and of each entry behind it.
const ENTRY: usize = 12;
/// Levels below the inode at most. Source: `EXT4_MAX_EXTENT_DEPTH`.
const MAX_DEPTH: u16 = 5;
/// A run that is longer is one that was reserved and never written, and reads
/// as zeros.
const UNWRITTEN: u32 = 32768;

/// A node of the tree: its entries, and where it is.
struct Node<'a> {
    bytes: &'a [u8],
    at: u64,
}

/// Reads where the content of a file is. Source: `struct ext4_extent_header`,
/// `ext4_extent_idx` and `ext4_extent`.
///
/// Errors where the tree is deeper than its nodes say, where runs overlap or
/// are not in order, and where they leave the file system.
pub(super) fn read(ext: &Ext, inode: &Inode, map: &mut Map<'_>) -> Result<(), FormatError> {
    let root = Node {
        bytes: &inode.block,
        at: inode.at + 0x28,
    };
    let depth = root.header()?.1;
    if depth > MAX_DEPTH {
        return Err(root.corrupt(format!("extents {depth} levels deep")));
    }
    walk(ext, inode, &root, depth, u64::from(u32::MAX) + 1, map)
}

/// Reads one node and those below it, of blocks in front of `end`.
fn walk(
    ext: &Ext,
    inode: &Inode,
    node: &Node<'_>,
    depth: u16,
    end: u64,
    map: &mut Map<'_>,
) -> Result<(), FormatError> {
    let (count, own) = node.header()?;
    if own != depth {
        return Err(node.corrupt(format!("a node of level {own} at level {depth}")));
    }
    for index in 0..count {
        let entry = node.entry(index)?;
        let logical = u64::from(le32(entry, 0).unwrap_or_default());
        if depth == 0 {
            leaf(node, entry, logical, end, map)?;
            continue;
        }
        let next = match index + 1 < count {
            true => u64::from(le32(node.entry(index + 1)?, 0).unwrap_or_default()),
            false => end,
        };
        if next <= logical || next > end || logical < map.next() {
            return Err(node.corrupt("an index whose blocks are not in order".to_owned()));
        }
        let low = u64::from(le32(entry, 4).unwrap_or_default());
        let high = u64::from(le16(entry, 8).unwrap_or_default());
        let (at, bytes) = map.node(high << 32 | low)?;
        check(ext, inode, at, &bytes)?;
        walk(
            ext,
            inode,
            &Node { bytes: &bytes, at },
            depth - 1,
            next,
            map,
        )?;
    }
    Ok(())
}

fn leaf(
    node: &Node<'_>,
    entry: &[u8],
    logical: u64,
    end: u64,
    map: &mut Map<'_>,
) -> Result<(), FormatError> {
    let length = u32::from(le16(entry, 4).unwrap_or_default());
    let low = u64::from(le32(entry, 8).unwrap_or_default());
    let high = u64::from(le16(entry, 6).unwrap_or_default());
    let (length, start) = if length > UNWRITTEN {
        (length - UNWRITTEN, None)
    } else {
        (length, Some(high << 32 | low))
    };
    if length == 0 || logical < map.next() || logical + u64::from(length) > end {
        return Err(node.corrupt("runs of blocks that overlap or are not in order".to_owned()));
    }
    map.run(logical, u64::from(length), start)
}

/// Errors where the checksum behind the entries of a node is wrong. Source:
/// `ext4_extent_block_csum`.
fn check(ext: &Ext, inode: &Inode, at: u64, bytes: &Bytes) -> Result<(), FormatError> {
    if !ext.superblock.checked() {
        return Ok(());
    }
    let most = usize::from(le16(bytes, 4).unwrap_or_default());
    let tail = ENTRY + ENTRY * most;
    let sum = bytes.get(..tail).map(|counted| crc32c(inode.seed, counted));
    if sum.is_some() && sum == le32(bytes, tail) {
        return Ok(());
    }
    let what = format!("the checksum of extents of inode {} is wrong", inode.number);
    Err(FormatError::corrupt(NAME, at, what))
}

impl<'a> Node<'a> {
    /// Gives the number of entries, and the levels below.
    fn header(&self) -> Result<(usize, u16), FormatError> {
        let field = |at| le16(self.bytes, at).unwrap_or_default();
        let (magic, count, most, depth) = (field(0), field(2), field(4), field(6));
        let room = (self.bytes.len() / ENTRY).saturating_sub(1);
        if magic != 0xf30a {
            return Err(self.corrupt(format!("extents that begin with {magic:#06x}")));
        }
        if count > most || usize::from(most) > room || depth > 0 && count == 0 {
            return Err(self.corrupt(format!("{count} extents, {most} at most, room for {room}")));
        }
        Ok((usize::from(count), depth))
    }

    fn entry(&self, index: usize) -> Result<&'a [u8], FormatError> {
        let at = ENTRY + ENTRY * index;
        self.bytes
            .get(at..at + ENTRY)
            .ok_or_else(|| self.corrupt("extents are cut".to_owned()))
    }

    fn corrupt(&self, what: String) -> FormatError {
        FormatError::corrupt(NAME, self.at, what)
    }
}
