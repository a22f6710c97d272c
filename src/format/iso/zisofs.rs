//! Files that `mkzftree` or xorriso compressed, which Linux shows decompressed.
//!
//! Source: libisofs, `doc/zisofs_format.txt`, version 1: a header, the places at
//! which the blocks begin and at which the last one ends, then the blocks, each a
//! zlib stream of its own. A block without bytes is one of zeros.

use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

use crate::format::field::le32;
use crate::format::{Bytes, FormatError, ReadAt, Source};

const NAME: &str = "zisofs";
const MAGIC: &[u8] = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07";
/// Logarithms of the sizes of blocks that Linux reads.
const BLOCKS: std::ops::RangeInclusive<u8> = 12..=17;

/// A file that is decompressed block by block as it is read.
#[derive(Debug)]
struct Zisofs {
    stored: Source,
    header: u64,
    block: u64,
    size: u64,
    /// The block that was read last.
    last: Mutex<Option<(u64, Bytes)>>,
}

/// Opens a compressed file.
///
/// Errors with [`FormatError::Corrupt`] where it contradicts the directory.
pub(super) fn open(
    stored: Source,
    header: u32,
    block: u8,
    size: u32,
) -> Result<Source, FormatError> {
    let start = stored.fetch(NAME, 0, 16, "the header")?;
    let agrees = start.starts_with(MAGIC)
        && le32(&start, 8) == Some(size)
        && start.get(12).map(|words| u32::from(*words) * 4) == Some(header)
        && start.get(13) == Some(&block)
        && BLOCKS.contains(&block)
        && header >= 16;
    if !agrees {
        let what = "the file's header and what the directory says of it differ";
        return Err(FormatError::corrupt(NAME, 0, what));
    }
    Ok(Arc::new(Zisofs {
        stored,
        header: u64::from(header),
        block: 1 << block,
        size: u64::from(size),
        last: Mutex::default(),
    }))
}

impl Zisofs {
    fn block(&self, index: u64) -> Result<Bytes, FormatError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, bytes)) = last.as_ref()
            && *held == index
        {
            return Ok(bytes.clone());
        }
        let bytes = self.decode(index)?;
        *last = Some((index, bytes.clone()));
        Ok(bytes)
    }

    fn decode(&self, index: u64) -> Result<Bytes, FormatError> {
        let at = self.header + index * 4;
        let corrupt = |what: String| FormatError::corrupt(NAME, at, what);
        let pair = self.stored.fetch(NAME, at, 8, "the place of a block")?;
        let bounds = le32(&pair, 0).zip(le32(&pair, 4));
        let (start, end) = bounds.unwrap_or_default();
        let length = self.block.min(self.size - index * self.block);
        let room = usize::try_from(length).unwrap_or(0);
        // zlib adds little to what it cannot compress.
        let stored = match end.checked_sub(start).map(u64::from) {
            Some(0) => return Ok(Bytes::new(vec![0; room])),
            Some(stored) if stored <= self.block + self.block / 8 + 64 => stored,
            Some(_) | None => return Err(corrupt(format!("a block from byte {start} to {end}"))),
        };
        let input = self
            .stored
            .fetch(NAME, u64::from(start), stored, "a block")?;
        let mut data = Vec::with_capacity(room);
        let mut decoder = Decompress::new(true);
        let status = decoder.decompress_vec(&input, &mut data, FlushDecompress::Finish);
        match status {
            Ok(Status::StreamEnd) if data.len() == room => Ok(Bytes::new(data)),
            Ok(Status::StreamEnd | Status::Ok | Status::BufError) => Err(corrupt(format!(
                "a block decodes to {} bytes or does not end; it should be {room}",
                data.len()
            ))),
            Err(error) => Err(corrupt(error.to_string())),
        }
    }
}

impl ReadAt for Zisofs {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if at >= self.size {
                break;
            }
            let block = self.block(at / self.block)?;
            let skip = usize::try_from(at % self.block).unwrap_or(usize::MAX);
            let part = block.get(skip..).unwrap_or_default();
            let length = part.len().min(rest.len());
            let (Some(to), Some(from)) = (rest.get_mut(..length), part.get(..length)) else {
                break;
            };
            to.copy_from_slice(from);
            done += length;
        }
        Ok(done)
    }
}
