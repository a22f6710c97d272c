//! The block map of ext2 and ext3: twelve blocks in the inode, the rest through
//! blocks that list blocks, up to three levels of them.

use super::inode::Inode;
use super::map::Map;
use crate::format::FormatError;
use crate::format::field::le32;

/// Blocks that the inode itself lists.
const DIRECT: usize = 12;

/// Reads where the content of a file is. A block 0 is a hole.
pub(super) fn read(inode: &Inode, map: &mut Map<'_>) -> Result<(), FormatError> {
    for index in 0..DIRECT + 3 {
        let block = le32(&inode.block, index * 4).unwrap_or_default();
        let levels = u32::try_from((index + 1).saturating_sub(DIRECT)).unwrap_or(0);
        walk(block, levels, map)?;
    }
    Ok(())
}

/// Reads one block, or those that it lists.
fn walk(block: u32, levels: u32, map: &mut Map<'_>) -> Result<(), FormatError> {
    let first = map.next();
    if map.is_full() {
        return Ok(());
    }
    let per_block = map.block() / 4;
    let covered = per_block.saturating_pow(levels);
    if block == 0 {
        return map.run(first, covered, None);
    }
    if levels == 0 {
        return map.run(first, 1, Some(u64::from(block)));
    }
    let (_, bytes) = map.node(u64::from(block))?;
    for entry in bytes.chunks_exact(4) {
        walk(le32(entry, 0).unwrap_or_default(), levels - 1, map)?;
    }
    Ok(())
}
