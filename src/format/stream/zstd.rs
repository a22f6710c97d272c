//! zstd: RFC 8878.
//!
//! The blocks of a frame are walked before anything is decoded. That gives the
//! frame's exact end, an upper bound of what it decodes to, and the place
//! where a cut file is cut; and it lets the frame be decoded in one call,
//! straight into its buffer, with no window in between.

use zstd::zstd_safe::{DCtx, get_error_name};

use super::Member;
use crate::format::field::{array, le16, le32, le64};
use crate::format::{Budget, FormatError};

const NAME: &str = "zstd";
const BLOCK_MAX: u64 = 128 << 10;

/// What a walk over a frame's block headers tells.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Bytes of input, checksum included.
    length: usize,
    /// The most that the blocks can decode to.
    bound: u64,
    /// What the header says that it decodes to.
    content: Option<u64>,
}

/// Decodes one zstd frame; its checksum, where there is one, is verified.
pub(super) fn member(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let frame = walk(input)?;
    if let Some(content) = frame.content
        && content > frame.bound
    {
        let what = format!(
            "the header promises {content} bytes, the blocks hold at most {}",
            frame.bound
        );
        return Err(FormatError::corrupt(NAME, 4, what));
    }
    if frame.content.is_some_and(|content| content > budget.left()) {
        return Err(budget.exceeded(NAME, 0));
    }
    let input = input.get(..frame.length).unwrap_or_default();
    // A frame that says no size may need less than its blocks could hold.
    let room = frame.content.unwrap_or(frame.bound).min(budget.left());
    let data = decode(input, room)?.ok_or_else(|| {
        if room < budget.left() {
            FormatError::corrupt(NAME, 4, "it decodes to more than its header says")
        } else {
            budget.exceeded(NAME, 0)
        }
    })?;
    budget.take(NAME, 0, data.len() as u64)?;
    Ok(Member {
        data,
        consumed: frame.length,
    })
}

/// Gives the length and the bound of the frame at the start of `input`,
/// without decoding it.
pub(in crate::format) fn extent(input: &[u8]) -> Result<(usize, u64), FormatError> {
    walk(input).map(|frame| {
        (
            frame.length,
            frame.content.unwrap_or(frame.bound).min(frame.bound),
        )
    })
}

/// Gives the length of the skippable frame at the start of `input`.
pub(super) fn skippable(input: &[u8]) -> Result<usize, FormatError> {
    le32(input, 4)
        .and_then(|length| usize::try_from(length).ok()?.checked_add(8))
        .filter(|end| *end <= input.len())
        .ok_or_else(|| {
            FormatError::truncated(NAME, input.len() as u64, "a skippable frame does not end")
        })
}

/// Walks the frame's headers. Source: RFC 8878 §3.1.1.
fn walk(input: &[u8]) -> Result<Frame, FormatError> {
    let cut = |what: &str| FormatError::truncated(NAME, input.len() as u64, what);
    let descriptor = *input.get(4).ok_or_else(|| cut("frame header"))?;
    if descriptor & 0b1000 != 0 {
        return Err(FormatError::corrupt(
            NAME,
            4,
            "the reserved bit of the frame header is set",
        ));
    }
    let single_segment = descriptor & 0b10_0000 != 0;
    let checksum = descriptor & 0b100 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let mut offset = 5 + usize::from(!single_segment) + dictionary;
    let (width, content) = match descriptor >> 6 {
        0 if single_segment => (1, input.get(offset).map(|byte| u64::from(*byte))),
        0 => (0, None),
        1 => (2, le16(input, offset).map(|short| u64::from(short) + 256)),
        2 => (4, le32(input, offset).map(u64::from)),
        _ => (8, le64(input, offset)),
    };
    if width > 0 && content.is_none() {
        return Err(cut("frame header"));
    }
    offset += width;

    let mut bound = 0u64;
    loop {
        let [a, b, c] =
            array::<3>(input, offset).ok_or_else(|| cut("a block header was expected"))?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = header >> 3;
        let (stored, decoded) = match header >> 1 & 3 {
            0 => (size as usize, u64::from(size)),
            1 => (1, u64::from(size)),
            2 => (size as usize, BLOCK_MAX),
            _ => {
                return Err(FormatError::corrupt(
                    NAME,
                    offset as u64,
                    "a block of the reserved type",
                ));
            }
        };
        if u64::from(size) > BLOCK_MAX {
            let what = format!("a block of {size} bytes; 128 KiB is the most");
            return Err(FormatError::corrupt(NAME, offset as u64, what));
        }
        offset += 3 + stored;
        bound += decoded;
        if offset > input.len() {
            return Err(cut("a block does not end"));
        }
        if header & 1 == 1 {
            break;
        }
    }
    if checksum {
        offset += 4;
        if offset > input.len() {
            return Err(cut("the checksum is missing"));
        }
    }
    Ok(Frame {
        length: offset,
        bound,
        content,
    })
}

/// Decodes a frame into a buffer of `room` bytes; `None` says that it did not
/// fit. Pages of the buffer that the frame does not fill are never touched, so
/// they cost nothing, and there is no window beside the buffer.
fn decode(input: &[u8], room: u64) -> Result<Option<Vec<u8>>, FormatError> {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let mut data = Vec::new();
    data.try_reserve_exact(room)
        .map_err(|error| FormatError::io(NAME, 0, error.to_string()))?;
    match DCtx::create().decompress(&mut data, input) {
        Ok(_) => {
            // Give back what the bound asked too much.
            data.shrink_to_fit();
            Ok(Some(data))
        }
        Err(code) => match get_error_name(code) {
            "Destination buffer is too small" => Ok(None),
            name => Err(FormatError::corrupt(NAME, 0, name)),
        },
    }
}
