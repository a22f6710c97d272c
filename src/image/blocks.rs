//! A file of compressed blocks as a source of what it decodes to: any place in
//! it costs the decoding of one block, and nothing is written to disk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::zeros::is_zeros;
use crate::format::stream::Blocks;
use crate::format::{Budget, Bytes, FormatError, Limits, ReadAt};

/// The largest block that is kept in memory.
pub(super) const LARGEST: u64 = 32 << 20;
/// What decoded blocks take at most, one that is being read left out.
const KEPT: u64 = 48 << 20;

type Decoded = Arc<OnceLock<Result<Bytes, FormatError>>>;

/// Decoded blocks, each decoded once as long as it is kept.
pub(super) struct BlockSource {
    shared: Arc<Shared>,
}

struct Shared {
    blocks: Blocks,
    limits: Limits,
    /// The most bytes of blocks that are not zeros.
    cap: u64,
    booked: Mutex<Booked>,
    kept: Mutex<Kept>,
}

/// What has been decoded so far, each block counted once.
struct Booked {
    blocks: Vec<bool>,
    bytes: u64,
}

/// The blocks of last, the latest at the end.
#[derive(Default)]
struct Kept {
    blocks: VecDeque<(usize, Decoded)>,
    /// Buffers of blocks that are no longer kept.
    spare: Vec<Vec<u8>>,
    /// The block that was asked for last.
    last: Option<usize>,
}

impl BlockSource {
    /// Takes the blocks of a file of `size` bytes. More than
    /// [`Limits::decoded_cap`] of what is no zeros is an error when it is read.
    pub(super) fn new(blocks: Blocks, size: u64, limits: &Limits) -> Self {
        let booked = Booked {
            blocks: vec![false; blocks.count()],
            bytes: 0,
        };
        let shared = Arc::new(Shared {
            blocks,
            limits: limits.clone(),
            cap: limits.decoded_cap(size),
            booked: Mutex::new(booked),
            kept: Mutex::default(),
        });
        Self { shared }
    }

    /// Gives a block. Who reads on from one block to the next will want those
    /// behind as well: the other processors begin with them.
    fn block(&self, index: usize) -> Result<Bytes, FormatError> {
        let (cell, sequential) = self.shared.cell(index);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if sequential {
            for next in (index + 1..self.shared.blocks.count()).take(threads - 1) {
                self.ahead(next);
            }
        }
        cell.get_or_init(|| self.shared.decode(index)).clone()
    }

    fn ahead(&self, index: usize) {
        let Some(cell) = self.shared.new_cell(index) else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        // What it finds wrong shows to whoever asks for the block.
        let begun = std::thread::Builder::new().spawn(move || {
            let _ = cell.get_or_init(|| shared.decode(index));
        });
        drop(begun);
    }
}

impl Shared {
    fn decode(&self, index: usize) -> Result<Bytes, FormatError> {
        self.limits.check_deadline("xz", 0)?;
        let spare = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.spare.pop().unwrap_or_default()
        };
        let data = self.blocks.decode(index, spare)?;
        if !is_zeros(&data) {
            self.book(index, data.len() as u64)?;
        }
        Ok(data)
    }

    fn book(&self, index: usize, bytes: u64) -> Result<(), FormatError> {
        let mut booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = booked.blocks.get_mut(index)
            && !std::mem::replace(known, true)
        {
            booked.bytes += bytes;
        }
        if booked.bytes > self.cap {
            return Err(Budget::of(self.cap).exceeded("xz", 0));
        }
        Ok(())
    }

    /// Gives the place of a block, and whether it is the one behind the last.
    fn cell(&self, index: usize) -> (Decoded, bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sequential = kept.last.is_some_and(|last| last + 1 == index);
        kept.last = Some(index);
        (self.keep(&mut kept, index), sequential)
    }

    /// Makes a place for a block that has none.
    fn new_cell(&self, index: usize) -> Option<Decoded> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let there = kept.blocks.iter().any(|(held, _)| *held == index);
        (!there).then(|| self.keep(&mut kept, index))
    }

    fn keep(&self, kept: &mut Kept, index: usize) -> Decoded {
        let at = kept.blocks.iter().position(|(held, _)| *held == index);
        let entry = at.and_then(|at| kept.blocks.remove(at));
        let entry = entry.unwrap_or_else(|| (index, Decoded::default()));
        let cell = Arc::clone(&entry.1);
        kept.blocks.push_back(entry);
        let most = (KEPT / self.blocks.largest().max(1)).clamp(2, 1024);
        while kept.blocks.len() as u64 > most {
            let gone = kept.blocks.pop_front().map(|(_, cell)| cell);
            let data = gone
                .and_then(Arc::into_inner)
                .and_then(OnceLock::into_inner);
            let buffer = data.and_then(Result::ok).and_then(Bytes::into_buffer);
            kept.spare.extend(buffer);
            kept.spare.truncate(2);
        }
        cell
    }
}

impl fmt::Debug for BlockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockSource({} blocks)", self.shared.blocks.count())
    }
}

impl ReadAt for BlockSource {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.shared.blocks.size())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(space) = buffer.get_mut(done..).filter(|space| !space.is_empty()) {
            let place = offset.saturating_add(done as u64);
            let Some((index, block)) = self.shared.blocks.at(place) else {
                break;
            };
            let data = self.block(index)?;
            let skip = usize::try_from(place - block.start).unwrap_or(usize::MAX);
            let data = data.get(skip..).unwrap_or_default();
            let length = data.len().min(space.len());
            if let (Some(to), Some(from)) = (space.get_mut(..length), data.get(..length)) {
                to.copy_from_slice(from);
            }
            if length == 0 {
                break;
            }
            done += length;
        }
        Ok(done)
    }

    fn slice_at(&self, offset: u64, length: usize) -> Option<Bytes> {
        let (index, block) = self.shared.blocks.at(offset)?;
        let skip = usize::try_from(offset - block.start).ok()?;
        let end = skip.checked_add(length)?;
        // What goes over the end of a block has to be put together, and a few bytes of it must not
        // keep all of it in memory.
        if end as u64 > block.size || (length as u64) < block.size / 2 {
            return None;
        }
        self.block(index).ok()?.slice(skip..end)
    }
}
