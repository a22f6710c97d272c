//! Metadata blocks: 8 KiB pieces in which inodes, directories and tables are
//! stored one after another, and a cursor that reads across them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Inner, NAME, block};
use crate::format::field::le16;
use crate::format::{Bytes, FormatError};

/// Bytes of a decoded metadata block, the last of a table aside.
pub(super) const BLOCK: usize = 8192;
const STORED: u16 = 0x8000;

/// One decoded block.
#[derive(Debug, Clone)]
struct Block {
    data: Bytes,
    /// Where the next block begins in the image.
    next: u64,
}

/// The decoded blocks of one image, kept while they fit a bound.
#[derive(Debug)]
pub(super) struct MetadataCache {
    blocks: Mutex<HashMap<u64, Block>>,
    most: usize,
}

impl MetadataCache {
    pub(super) fn new(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / BLOCK;
        Self {
            blocks: Mutex::default(),
            most,
        }
    }
}

impl Inner {
    /// Decodes the metadata block at byte `at` of the image.
    fn metadata_block(&self, at: u64) -> Result<Block, FormatError> {
        let blocks = &self.metadata.blocks;
        if let Some(block) = blocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&at)
        {
            return Ok(block.clone());
        }
        let block = self.decode_metadata(at)?;
        let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        // A full cache starts anew: only a hostile image has that much.
        if blocks.len() >= self.metadata.most {
            blocks.clear();
        }
        blocks.insert(at, block.clone());
        Ok(block)
    }

    fn decode_metadata(&self, at: u64) -> Result<Block, FormatError> {
        let outside = || {
            let used = self.superblock.bytes_used;
            FormatError::corrupt(
                NAME,
                at,
                format!("a metadata block outside of the image's {used} bytes"),
            )
        };
        // The most that a block can take, so that one read is enough.
        let start = self.data.up_to(at, 2 + BLOCK)?;
        let header = le16(&start, 0).ok_or_else(outside)?;
        let size = usize::from(header & !STORED);
        if size == 0 || size > BLOCK {
            let what = format!("a metadata block of {size} bytes; 1 to 8192 are possible");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let stored = start.slice(2..2 + size).ok_or_else(outside)?;
        let data = if header & STORED == 0 {
            let data =
                block::decode(self.superblock.compressor, &stored, BLOCK).map_err(|what| {
                    FormatError::corrupt(NAME, at, format!("a metadata block: {what}"))
                })?;
            Bytes::new(data)
        } else {
            stored
        };
        Ok(Block {
            data,
            next: at.saturating_add(2 + size as u64),
        })
    }
}

/// Reads fields one after another, over the ends of blocks.
pub(super) struct Cursor<'a> {
    inner: &'a Inner,
    block: Block,
    /// Where the block is in the image, for errors.
    at: u64,
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Begins `offset` bytes into the block at byte `at` of the image.
    pub(super) fn new(inner: &'a Inner, at: u64, offset: u64) -> Result<Self, FormatError> {
        let block = inner.metadata_block(at)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if offset > block.data.len() {
            let what = format!(
                "offset {offset} in a metadata block of {} bytes",
                block.data.len()
            );
            return Err(FormatError::corrupt(NAME, at, what));
        }
        Ok(Self {
            inner,
            block,
            at,
            offset,
        })
    }

    /// Gives the byte of the image at which the current block begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Fills `buffer`.
    pub(super) fn read(&mut self, mut buffer: &mut [u8]) -> Result<(), FormatError> {
        while !buffer.is_empty() {
            if self.offset >= self.block.data.len() {
                self.at = self.block.next;
                self.block = self.inner.metadata_block(self.at)?;
                self.offset = 0;
            }
            let rest = self.block.data.get(self.offset..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            if length == 0 {
                return Err(FormatError::corrupt(
                    NAME,
                    self.at,
                    "an empty metadata block",
                ));
            }
            let (now, later) = buffer.split_at_mut(length);
            now.copy_from_slice(rest.get(..length).unwrap_or_default());
            buffer = later;
            self.offset += length;
        }
        Ok(())
    }

    /// Reads `length` bytes; the caller has checked the length.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, FormatError> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }
}
