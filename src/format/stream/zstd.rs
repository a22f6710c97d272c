//! zstd: RFC 8878.
//!
//! The blocks of a frame are walked before anything is decoded. That gives the
//! frame's exact end, an upper bound of what it decodes to, and the place
//! where a cut file is cut, whatever lies behind it.

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, get_error_name};

use super::Member;
use crate::format::field::{array, le16, le32, le64};
use crate::format::{Budget, Bytes, FormatError, ReadAt};

const NAME: &str = "zstd";
const BLOCK_MAX: u64 = 128 << 10;

/// What a walk over a frame's block headers tells.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Bytes of input, checksum included.
    length: u64,
    /// The most that the blocks can decode to.
    bound: u64,
    /// What the header says that it decodes to.
    content: Option<u64>,
}

impl Frame {
    /// Walks over the frame at the start of `input` and holds what its header
    /// promises against its blocks.
    fn read(input: &(impl ReadAt + ?Sized)) -> Result<Self, FormatError> {
        let frame = walk(input)?;
        match frame.content {
            Some(content) if content > frame.bound => {
                let what = format!(
                    "the header promises {content} bytes, the blocks hold at most {}",
                    frame.bound
                );
                Err(FormatError::corrupt(NAME, 4, what))
            }
            Some(_) | None => Ok(frame),
        }
    }

    /// The most that it decodes to.
    fn most(&self) -> u64 {
        self.content.unwrap_or(self.bound)
    }
}

/// Decodes one zstd frame; its checksum, where there is one, is verified.
pub(super) fn member(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let found = Frame::read(input)?;
    let data = frame(input, found.length, found.most(), budget)?;
    Ok(Member {
        data,
        consumed: usize::try_from(found.length).unwrap_or(usize::MAX),
    })
}

/// Gives the length of the frame at the start of `input`, and the most that it
/// decodes to, without decoding it.
pub(in crate::format) fn extent(
    input: &(impl ReadAt + ?Sized),
) -> Result<(usize, u64), FormatError> {
    let frame = Frame::read(input)?;
    let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
    Ok((length, frame.most()))
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

/// The headers of a frame's blocks lie up to 128 KiB apart or close together:
/// a few of them are fetched at a time.
struct Headers<'i, I: ?Sized> {
    input: &'i I,
    at: u64,
    held: Bytes,
}

impl<I: ReadAt + ?Sized> Headers<'_, I> {
    /// Gives up to `length` bytes at `offset`, fewer only at the end.
    fn get(&mut self, offset: u64, length: usize) -> Result<&[u8], FormatError> {
        const FETCH: usize = 1024;
        let inside = |at: u64, held: &Bytes| {
            let begin = usize::try_from(offset.checked_sub(at)?).ok()?;
            (begin + length <= held.len()).then_some(begin)
        };
        let begin = match inside(self.at, &self.held) {
            Some(begin) => begin,
            None => {
                self.held = self.input.up_to(offset, FETCH.max(length))?;
                self.at = offset;
                0
            }
        };
        let rest = self.held.get(begin..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }
}

/// Walks the frame's headers. Source: RFC 8878 §3.1.1.
fn walk(input: &(impl ReadAt + ?Sized)) -> Result<Frame, FormatError> {
    let mut headers = Headers {
        input,
        at: 0,
        held: Bytes::default(),
    };
    let cut = |what: &str| match input.size() {
        Ok(end) => FormatError::truncated(NAME, end, what),
        Err(error) => error,
    };
    // The longest header has 18 bytes.
    let start = headers.get(0, 18)?.to_vec();
    let descriptor = *start.get(4).ok_or_else(|| cut("frame header"))?;
    if descriptor & 0b1000 != 0 {
        let what = "the reserved bit of the frame header is set";
        return Err(FormatError::corrupt(NAME, 4, what));
    }
    let single_segment = descriptor & 0b10_0000 != 0;
    let checksum = descriptor & 0b100 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let mut begin = 5 + usize::from(!single_segment) + dictionary;
    let (width, content) = match descriptor >> 6 {
        0 if single_segment => (1, start.get(begin).map(|byte| u64::from(*byte))),
        0 => (0, None),
        1 => (2, le16(&start, begin).map(|short| u64::from(short) + 256)),
        2 => (4, le32(&start, begin).map(u64::from)),
        _ => (8, le64(&start, begin)),
    };
    if width > 0 && content.is_none() {
        return Err(cut("frame header"));
    }
    begin += width;

    let (mut offset, mut bound) = (begin as u64, 0u64);
    loop {
        let [a, b, c] = array::<3>(headers.get(offset, 3)?, 0)
            .ok_or_else(|| cut("a block header was expected"))?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = u64::from(header >> 3);
        let (stored, decoded) = match header >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, BLOCK_MAX),
            _ => {
                let what = "a block of the reserved type";
                return Err(FormatError::corrupt(NAME, offset, what));
            }
        };
        if size > BLOCK_MAX {
            let what = format!("a block of {size} bytes; 128 KiB is the most");
            return Err(FormatError::corrupt(NAME, offset, what));
        }
        offset += 3 + stored;
        bound += decoded;
        if header & 1 == 1 {
            break;
        }
    }
    let last = if checksum { 4 } else { 0 };
    let there = headers.get(offset.saturating_sub(1), last + 1)?.len();
    match there {
        0 => Err(cut("a block does not end")),
        there if there < last + 1 => Err(cut("the checksum is missing")),
        _ => Ok(Frame {
            length: offset + last as u64,
            bound,
            content,
        }),
    }
}

/// Decodes the frame of `length` bytes at the start of `input`, which decodes
/// to `most` bytes at most.
///
/// Neither the whole input nor what the frame does not fill of the room for it
/// is ever touched: touching memory takes longer than decoding.
pub(in crate::format) fn frame(
    input: &(impl ReadAt + ?Sized),
    length: u64,
    most: u64,
    budget: &mut Budget,
) -> Result<Vec<u8>, FormatError> {
    const PIECE: usize = 256 << 10;
    let room = usize::try_from(most.min(budget.left())).unwrap_or(usize::MAX);
    let mut data = Vec::new();
    data.try_reserve_exact(room)
        .map_err(|error| FormatError::io(NAME, 0, error.to_string()))?;
    let mut context = DCtx::create();
    let mut piece = vec![0; PIECE];
    let (mut at, mut ended) = (0, false);
    while !ended {
        let left = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
        let space = piece.get_mut(..left).unwrap_or_default();
        let read = input.read_at(at, space)?;
        at += read as u64;
        let mut from = InBuffer::around(piece.get(..read).unwrap_or_default());
        loop {
            let (before, used) = (data.len(), from.pos());
            let mut to = OutBuffer::around_pos(&mut data, before);
            let hint = context
                .decompress_stream(&mut to, &mut from)
                .map_err(|code| FormatError::corrupt(NAME, at, get_error_name(code)))?;
            ended = hint == 0;
            if ended || (data.len(), from.pos()) == (before, used) {
                break;
            }
        }
        if !ended && data.len() == data.capacity() && from.pos() < read {
            return Err(overflow(room, budget));
        }
        if !ended && read == 0 {
            return Err(match data.len() == data.capacity() {
                true => overflow(room, budget),
                false => FormatError::truncated(NAME, at, "the compressed data do not end"),
            });
        }
    }
    budget.take(NAME, 0, data.len() as u64)?;
    // Give back what the bound asked too much.
    data.shrink_to_fit();
    Ok(data)
}

fn overflow(room: usize, budget: &Budget) -> FormatError {
    if (room as u64) < budget.left() {
        FormatError::corrupt(NAME, 4, "it decodes to more than its header says")
    } else {
        budget.exceeded(NAME, 0)
    }
}
