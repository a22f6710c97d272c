//! lz4: the frame format 1.6 and the legacy framing of `lz4 -l`.

use super::{Member, drain};
use crate::format::field::le32;
use crate::format::{Budget, FormatError};

const NAME: &str = "lz4";
const LEGACY_MAGIC: u32 = 0x184c_2102;
/// A legacy block decodes to at most this.
const LEGACY_BLOCK: usize = 8 << 20;
/// The largest that 8 MiB can become when they do not compress.
const LEGACY_STORED: usize = LEGACY_BLOCK + LEGACY_BLOCK / 255 + 16;

/// Decodes one lz4 frame; its checksums are verified.
pub(super) fn frame(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let length = walk(input)?;
    let input = input.get(..length).unwrap_or_default();
    let mut decoder = lz4_flex::frame::FrameDecoder::new(input);
    let data = drain(NAME, input, &mut decoder, budget)?;
    Ok(Member {
        data,
        consumed: length,
    })
}

/// Finds the end of a frame, because the decoder takes a frame that is cut
/// between two blocks for a whole one. Source: LZ4 frame format, "General
/// structure" and "Data blocks".
fn walk(input: &[u8]) -> Result<usize, FormatError> {
    let cut = |what: &str| FormatError::truncated(NAME, input.len() as u64, what);
    let flags = *input.get(4).ok_or_else(|| cut("frame header"))?;
    if flags >> 6 != 1 {
        return Err(FormatError::corrupt(
            NAME,
            4,
            "the frame's version is not 1",
        ));
    }
    let set = |bit: u8| usize::from(flags >> bit & 1);
    let block_checksum = set(4) * 4;
    // Magic, flags, block size, content size, dictionary, header checksum.
    let mut offset = 6 + set(3) * 8 + set(0) * 4 + 1;
    loop {
        let size =
            le32(input, offset).ok_or_else(|| cut("a block or the end mark was expected"))?;
        offset += 4;
        if size == 0 {
            offset += set(2) * 4;
            break;
        }
        let stored = usize::try_from(size & 0x7fff_ffff).unwrap_or(usize::MAX);
        offset = offset.saturating_add(stored).saturating_add(block_checksum);
        if offset > input.len() {
            return Err(cut("a block does not end"));
        }
    }
    if offset > input.len() {
        return Err(cut("the content checksum is missing"));
    }
    Ok(offset)
}

/// Decodes the legacy framing: a magic number, then blocks of 8 MiB, each with
/// its stored size before it. It has no end mark: it ends with the input, at a
/// size of zero, or where no size can be. Source: `lib/decompress_unlz4.c` of
/// Linux and "Legacy frame" of the LZ4 frame format.
pub(super) fn legacy(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let mut data = Vec::new();
    let mut offset = 4;
    while let Some(size) = le32(input, offset) {
        if size == LEGACY_MAGIC {
            offset += 4;
            continue;
        }
        let stored = usize::try_from(size).unwrap_or(usize::MAX);
        if stored == 0 || stored > LEGACY_STORED {
            break;
        }
        let block = input.get(offset + 4..offset + 4 + stored).ok_or_else(|| {
            FormatError::truncated(
                NAME,
                input.len() as u64,
                format!("the block at byte {offset} does not end"),
            )
        })?;
        let start = data.len();
        let room = LEGACY_BLOCK.min(usize::try_from(budget.left()).unwrap_or(usize::MAX));
        data.resize(start + room, 0);
        let target = data.get_mut(start..).unwrap_or_default();
        let written = match lz4_flex::block::decompress_into(block, target) {
            Ok(written) => written,
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if room < LEGACY_BLOCK => {
                return Err(budget.exceeded(NAME, offset as u64));
            }
            Err(error) => return Err(FormatError::corrupt(NAME, offset as u64, error.to_string())),
        };
        data.truncate(start + written);
        budget.take(NAME, offset as u64, written as u64)?;
        offset += 4 + stored;
    }
    if offset == 4 {
        return Err(FormatError::truncated(
            NAME,
            input.len().min(4) as u64,
            "no block behind the magic number",
        ));
    }
    // One to three bytes that can be no size are padding only where they are zero.
    if input.len() > offset
        && input.len() - offset < 4
        && input
            .get(offset..)
            .is_some_and(|rest| rest.iter().any(|b| *b != 0))
    {
        return Err(FormatError::truncated(
            NAME,
            input.len() as u64,
            "a block's size is cut",
        ));
    }
    Ok(Member {
        data,
        consumed: offset.min(input.len()),
    })
}
