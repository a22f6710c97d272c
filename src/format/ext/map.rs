//! The content of a file, put together run by run.

use super::inode::Inode;
use super::{Ext, NAME, extent, indirect};
use crate::format::{Bytes, FormatError, Piece, Pieces};

/// Bytes of memory for each piece of a file; what is more pieces than
/// `max_metadata` allows is refused.
const PIECE: u64 = 40;

/// The runs of a file so far.
pub(super) struct Map<'a> {
    ext: &'a Ext,
    number: u32,
    pieces: Pieces,
    /// The first block of the file that is not there yet.
    next: u64,
    /// Blocks that the size of the file takes.
    wanted: u64,
    /// Blocks of maps that were read.
    nodes: u64,
}

impl<'a> Map<'a> {
    /// Reads where the content of a file is.
    ///
    /// Errors with [`FormatError::Limit`] where it takes more runs than
    /// `max_metadata` has room for, with [`FormatError::Corrupt`] where blocks
    /// are not in the file system.
    pub(super) fn read(ext: &'a Ext, inode: &Inode) -> Result<Pieces, FormatError> {
        let mut map = Self {
            ext,
            number: inode.number,
            pieces: Pieces::within(ext.source.clone(), &ext.limits),
            next: 0,
            wanted: inode.size.div_ceil(ext.superblock.block),
            nodes: 0,
        };
        // Blocks of a file are counted by 32 bits.
        if map.wanted > u64::from(u32::MAX) + 1 {
            return Err(inode.corrupt(format!("a size of {} bytes", inode.size)));
        }
        if inode.has_extents() {
            extent::read(ext, inode, &mut map)?;
        } else {
            indirect::read(inode, &mut map)?;
        }
        let mut pieces = map.pieces;
        pieces.resize(inode.size);
        Ok(pieces)
    }

    /// Gives the first block of the file that is not there yet.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Tells whether all blocks that the file's size takes are there.
    pub(super) fn is_full(&self) -> bool {
        self.next >= self.wanted
    }

    /// Gives the bytes of a block.
    pub(super) fn block(&self) -> u64 {
        self.ext.superblock.block
    }

    /// Takes blocks of the file from `logical` on, with a hole in front of them
    /// where that leaves one; `start` is `None` of a hole.
    pub(super) fn run(
        &mut self,
        logical: u64,
        length: u64,
        start: Option<u64>,
    ) -> Result<(), FormatError> {
        let block = self.block();
        let hole = logical.saturating_sub(self.next);
        let push = |pieces: &mut Pieces, start, blocks: u64| {
            let length = blocks.saturating_mul(block);
            pieces.push(Piece { start, length });
        };
        push(&mut self.pieces, None, hole);
        let place = match start {
            None => None,
            Some(start) => {
                let last = start.checked_add(length - 1);
                let last = last.and_then(|last| self.ext.superblock.at(last));
                match (self.ext.superblock.at(start), last) {
                    (Some(at), Some(_)) if start > 0 => Some(at),
                    (Some(_) | None, _) => return Err(self.outside(start, length)),
                }
            }
        };
        push(&mut self.pieces, place, length);
        self.next = logical.saturating_add(length);
        if self.pieces.count() as u64 > self.ext.limits.max_metadata / PIECE {
            return Err(self.limit());
        }
        Ok(())
    }

    /// Reads a block of a map, and tells where it is.
    pub(super) fn node(&mut self, block: u64) -> Result<(u64, Bytes), FormatError> {
        self.nodes += 1;
        if self.nodes > self.ext.limits.max_metadata / self.block() {
            return Err(self.limit());
        }
        let at = self.ext.superblock.at(block).filter(|_| block > 0);
        let at = at.ok_or_else(|| self.outside(block, 1))?;
        self.ext.limits.check_deadline(NAME, at)?;
        let bytes = self
            .ext
            .source
            .fetch(NAME, at, self.block(), "a map of blocks")?;
        Ok((at, bytes))
    }

    fn outside(&self, start: u64, length: u64) -> FormatError {
        let what = format!(
            "inode {}: {length} blocks from block {start} on, of {} in all",
            self.number, self.ext.superblock.blocks
        );
        FormatError::corrupt(NAME, 0, what)
    }

    fn limit(&self) -> FormatError {
        FormatError::Limit {
            format: NAME,
            offset: 0,
            limit: "max_metadata",
            value: self.ext.limits.max_metadata,
            remedy: "no image in use holds a file of that many pieces",
        }
    }
}
