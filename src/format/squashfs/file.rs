//! The content of one file, block by block, and the fragments that many small
//! files share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::inode::{Inode, Node};
use super::{Inner, NAME, Squashfs, block};
use crate::format::{Bytes, FormatError, ReadAt};

/// A data block that is stored as it is.
const STORED: u32 = 1 << 24;
/// Decoded fragments that an image keeps.
const FRAGMENTS: usize = 16;
/// Decoded blocks that a file keeps: an ELF file's start, where its headers
/// and names are, and the block of its dynamic section.
const BLOCKS: usize = 2;

type Slot = Arc<OnceLock<Result<Bytes, FormatError>>>;

/// The fragments that were decoded last.
#[derive(Debug, Default)]
pub(super) struct FragmentCache {
    slots: Mutex<Vec<(u32, Slot)>>,
}

impl FragmentCache {
    fn slot(&self, index: u32) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = slots.iter().position(|(held, _)| *held == index) {
            let found = slots.remove(at);
            let slot = Arc::clone(&found.1);
            slots.push(found);
            return slot;
        }
        if slots.len() >= FRAGMENTS {
            slots.remove(0);
        }
        let slot = Slot::default();
        slots.push((index, Arc::clone(&slot)));
        slot
    }
}

impl Inner {
    /// Gives a fragment block. Two threads that ask for one decode it once.
    fn fragment(&self, index: u32) -> Result<Bytes, FormatError> {
        let slot = self.fragments.slot(index);
        slot.get_or_init(|| {
            if index >= self.superblock.fragments {
                let what = format!("fragment {index} of {}", self.superblock.fragments);
                return Err(FormatError::corrupt(
                    NAME,
                    self.superblock.fragment_table,
                    what,
                ));
            }
            let table = self.superblock.fragment_table;
            let [low, high, size, _unused] =
                self.indexed::<16, 4>(table, u64::from(index), "fragment table")?;
            let start = u64::from(high) << 32 | u64::from(low);
            self.data_block(start, size, self.superblock.block_size as usize)
        })
        .clone()
    }

    /// Decodes the data block at byte `start` of the image.
    fn data_block(&self, start: u64, size: u32, most: usize) -> Result<Bytes, FormatError> {
        let length = (size & !STORED) as usize;
        if length > self.superblock.block_size as usize {
            let what = format!(
                "a block of {length} bytes; {} is the most",
                self.superblock.block_size
            );
            return Err(FormatError::corrupt(NAME, start, what));
        }
        let stored = self.data.up_to(start, length)?;
        if stored.len() < length {
            let what = format!(
                "a block of {length} bytes outside of the image's {}",
                self.superblock.bytes_used
            );
            return Err(FormatError::corrupt(NAME, start, what));
        }
        if size & STORED != 0 {
            return Ok(stored);
        }
        block::decode(self.superblock.compressor, &stored, most)
            .map(Bytes::new)
            .map_err(|what| FormatError::corrupt(NAME, start, format!("a data block: {what}")))
    }
}

/// An open regular file.
#[derive(Debug)]
pub struct File {
    image: Squashfs,
    size: u64,
    fragment: Option<(u32, u32)>,
    /// Where each block begins in the image, and its stored size.
    blocks: Vec<(u64, u32)>,
    recent: Mutex<Vec<(u64, Bytes)>>,
}

impl File {
    pub(super) fn open(image: &Squashfs, reference: u64) -> Result<Self, FormatError> {
        let inode = Inode::read_whole(&image.inner, reference)?;
        let Node::File {
            start,
            fragment,
            blocks,
        } = inode.node
        else {
            let what = format!("inode {reference:#x} is not a regular file");
            return Err(FormatError::corrupt(
                NAME,
                image.inner.superblock.inode_table,
                what,
            ));
        };
        let mut next = start;
        let blocks = blocks
            .into_iter()
            .map(|size| {
                let at = next;
                next = next.saturating_add(u64::from(size & !STORED));
                (at, size)
            })
            .collect();
        let image = image.clone();
        Ok(Self {
            image,
            size: inode.size,
            fragment,
            blocks,
            recent: Mutex::default(),
        })
    }

    /// Gives a number by which files that lie close together sort together.
    #[must_use]
    pub fn position(&self) -> u64 {
        match (self.blocks.first(), self.fragment) {
            (Some((start, _)), _) => *start,
            (None, Some((index, _))) => u64::from(index),
            (None, None) => 0,
        }
    }

    /// Reads the whole file.
    ///
    /// Errors with [`FormatError::Limit`] where it is larger than
    /// `max_file`: a hole takes no space in the image.
    pub fn read_all(&self) -> Result<Vec<u8>, FormatError> {
        let limit = self.image.inner.limits.max_file;
        if self.size > limit {
            return Err(FormatError::Limit {
                format: NAME,
                offset: self.position(),
                limit: "max_file",
                value: limit,
                remedy: "read a range of the file",
            });
        }
        let mut data = Vec::new();
        let mut index = 0;
        while (data.len() as u64) < self.size {
            let block = self.block(index)?;
            data.extend_from_slice(&block);
            index += 1;
        }
        Ok(data)
    }

    /// Gives the part of the file in block `index`, decoded.
    fn block(&self, index: u64) -> Result<Bytes, FormatError> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = recent.iter().find(|(held, _)| *held == index) {
            return Ok(block.clone());
        }
        let block = self.decode(index)?;
        if recent.len() >= BLOCKS {
            recent.remove(0);
        }
        recent.push((index, block.clone()));
        Ok(block)
    }

    fn decode(&self, index: u64) -> Result<Bytes, FormatError> {
        let inner = &self.image.inner;
        let block_size = u64::from(inner.superblock.block_size);
        let left = self.size.saturating_sub(index.saturating_mul(block_size));
        let expected = usize::try_from(left.min(block_size)).unwrap_or(0);
        let full = usize::try_from(index)
            .ok()
            .and_then(|index| self.blocks.get(index));
        let block = match (full, self.fragment) {
            (Some((_, 0)), _) => return Ok(Bytes::new(vec![0; expected])),
            (Some((start, size)), _) => inner.data_block(*start, *size, expected)?,
            (None, Some((fragment, offset))) => {
                let start = offset as usize;
                let fragment = inner.fragment(fragment)?;
                return fragment
                    .slice(start..start.saturating_add(expected))
                    .ok_or_else(|| {
                        let what = format!(
                            "bytes {start} to {} of a fragment of {}",
                            start + expected,
                            fragment.len()
                        );
                        FormatError::corrupt(NAME, inner.superblock.fragment_table, what)
                    });
            }
            (None, None) => Bytes::default(),
        };
        if block.len() != expected {
            let what = format!(
                "a block decodes to {} bytes, {expected} were announced",
                block.len()
            );
            return Err(FormatError::corrupt(NAME, self.position(), what));
        }
        Ok(block)
    }
}

impl ReadAt for File {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let block_size = u64::from(self.image.inner.superblock.block_size);
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if at >= self.size {
                break;
            }
            let block = self.block(at / block_size)?;
            let skip = usize::try_from(at % block_size).unwrap_or(usize::MAX);
            let part = block.get(skip..).unwrap_or_default();
            let length = part.len().min(rest.len());
            if length == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..length), part.get(..length)) {
                to.copy_from_slice(from);
            }
            done += length;
        }
        Ok(done)
    }
}
