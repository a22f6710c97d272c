//! Content that is not compressed: in one run of blocks, or in chunks.

use super::inode::{Inode, Layout};
use super::{Erofs, NAME};
use crate::format::field::{le16, le32};
use crate::format::{FormatError, Piece, Pieces};

/// How a list of chunks is stored. Source: `struct erofs_inode_chunk_info`.
mod chunk {
    pub(super) const BITS: u16 = 0x1f;
    /// Eight bytes for each chunk rather than four.
    pub(super) const INDEXES: u16 = 0x20;
    pub(super) const WIDE: u16 = 0x40;
}

/// Bytes of memory for each piece of a file.
const PIECE: u64 = 40;
/// How much of a list of chunks is read at a time.
const PART: u64 = 1 << 16;

/// Gives the pieces of a file in one run, the last of them behind its inode
/// where `tail` says so.
pub(super) fn run(
    erofs: &Erofs,
    inode: &Inode,
    start: Option<u64>,
    tail: bool,
) -> Result<Pieces, FormatError> {
    let block = erofs.superblock().block;
    let mut pieces = Pieces::within(erofs.source().clone(), erofs.limits());
    let inline = match inode.size {
        size if tail && size > 0 => (size - 1) % block + 1,
        _ => 0,
    };
    let begin = match start {
        None => None,
        Some(start) if inode.size > inline => {
            Some(place(erofs, inode, start, inode.size - inline)?)
        }
        Some(_) => None,
    };
    pieces.push(Piece {
        start: begin,
        length: inode.size - inline,
    });
    if inline > 0 {
        // It never lies across two blocks: that is how it is told from a block of its own.
        let at = inode.end();
        if at % block + inline > block {
            return Err(inode.corrupt("content behind it that reaches into another block"));
        }
        pieces.push(Piece {
            start: Some(at),
            length: inline,
        });
    }
    Ok(pieces)
}

/// Gives the pieces of a file in chunks.
///
/// Errors with [`FormatError::Limit`] where there are more of them than
/// `max_metadata` has room for.
pub(super) fn chunks(erofs: &Erofs, inode: &Inode, format: u16) -> Result<Pieces, FormatError> {
    if format & !(chunk::BITS | chunk::INDEXES | chunk::WIDE) != 0 {
        return Err(inode.unsupported(format!("the format {format:#x} of chunks")));
    }
    let size = erofs.superblock().block << (format & chunk::BITS);
    let count = inode.size.div_ceil(size);
    let indexes = format & chunk::INDEXES != 0;
    let unit = if indexes { 8 } else { 4 };
    let wide = indexes && format & chunk::WIDE != 0;
    let none = if wide {
        (1 << 48) - 1
    } else {
        u64::from(u32::MAX)
    };
    let list = inode.end().next_multiple_of(unit);
    let mut pieces = Pieces::within(erofs.source().clone(), erofs.limits());
    let mut index = 0;
    while index < count {
        erofs.limits().check_deadline(NAME, inode.at)?;
        let part = (count - index).min(PART / unit);
        let at = list.saturating_add(index * unit);
        let bytes = erofs
            .source()
            .fetch(NAME, at, part * unit, "a list of chunks")?;
        for entry in bytes.chunks_exact(usize::try_from(unit).unwrap_or(8)) {
            let high = if wide {
                u64::from(le16(entry, 0).unwrap_or_default())
            } else {
                0
            };
            let low = u64::from(le32(entry, if indexes { 4 } else { 0 }).unwrap_or_default());
            let block = high << 32 | low;
            let length = size.min(inode.size - index * size);
            let start = match block == none {
                true => None,
                false => Some(place(erofs, inode, block, length)?),
            };
            pieces.push(Piece { start, length });
            index += 1;
        }
        if pieces.count() as u64 > erofs.limits().max_metadata / PIECE {
            return Err(FormatError::Limit {
                format: NAME,
                offset: inode.at,
                limit: "max_metadata",
                value: erofs.limits().max_metadata,
                remedy: "no image in use holds a file of that many chunks",
            });
        }
    }
    Ok(pieces)
}

/// Gives where a block begins from which on `length` bytes are.
fn place(erofs: &Erofs, inode: &Inode, block: u64, length: u64) -> Result<u64, FormatError> {
    let superblock = erofs.superblock();
    let at = block.checked_mul(superblock.block);
    at.filter(|at| superblock.holds(*at, length))
        .ok_or_else(|| {
            let blocks = superblock.blocks;
            inode.corrupt(format!(
                "{length} bytes from block {block} on, of {blocks} in all"
            ))
        })
}

impl Erofs {
    /// Gives where the content of an inode that is not compressed is; `None`
    /// of one that is.
    pub(super) fn pieces(&self, inode: &Inode) -> Result<Option<Pieces>, FormatError> {
        Ok(Some(match inode.layout {
            Layout::Plain(start) => run(self, inode, start, false)?,
            Layout::Inline(start) => run(self, inode, Some(start), true)?,
            Layout::Chunks(format) => chunks(self, inode, format)?,
            Layout::Full | Layout::Compact => return Ok(None),
        }))
    }
}
