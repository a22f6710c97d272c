//! xz: the .xz file format 1.2.

use liblzma::bufread::XzDecoder;
use liblzma::stream::{Action, Error, Status, Stream};

use super::Member;
use crate::format::{Budget, FormatError};

/// Memory for the dictionary: `xz -9` needs 65 MiB.
pub(super) const MEMORY: u64 = 80 << 20;
const PIECE: u64 = 4 << 20;
/// Memory of all threads together, where blocks are decoded at the same time:
/// those of `xz -T` have 24 MiB, and each thread holds one before and behind.
const THREADS_MEMORY: u64 = 192 << 20;
/// How much room is made at a time, at most.
const GROWTH: usize = 64 << 20;

/// Decodes one xz stream; its checks are verified.
pub(super) fn member(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let mut decoder = stream()?;
    let mut data = Vec::new();
    loop {
        let consumed = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
        let rest = input.get(consumed..).unwrap_or_default();
        let want = PIECE.min(budget.left() + 1);
        let want = usize::try_from(want).unwrap_or(0);
        if data.capacity() - data.len() < want {
            // Not by doubling: the decoder touches all of the spare room, which for a bomb would
            // be twice what it may decode to.
            data.reserve_exact(want.max(data.len().min(GROWTH)));
        }
        let before = data.len();
        let status = decoder
            .process_vec(rest, &mut data, Action::Run)
            .map_err(|error| failed(error, consumed))?;
        budget.take("xz", 0, (data.len() - before) as u64)?;
        let consumed_now = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
        match status {
            Status::StreamEnd => {
                return Ok(Member {
                    data,
                    consumed: consumed_now,
                });
            }
            Status::Ok | Status::GetCheck | Status::MemNeeded => {
                if consumed_now == consumed && data.len() == before {
                    return Err(FormatError::truncated(
                        "xz",
                        input.len() as u64,
                        "the compressed data do not end",
                    ));
                }
            }
        }
    }
}

/// Makes a decoder of one stream.
pub(super) fn stream() -> Result<Stream, FormatError> {
    Stream::new_stream_decoder(MEMORY, 0).map_err(|e| FormatError::io("xz", 0, e.to_string()))
}

/// Reads one xz stream piece by piece.
pub(super) fn reader<R: std::io::BufRead>(input: R) -> Result<XzDecoder<R>, FormatError> {
    Ok(XzDecoder::new_stream(input, stream()?))
}

/// Reads one xz stream piece by piece; blocks that say how
/// long they are decode at the same time.
pub(super) fn whole<R: std::io::BufRead>(input: R) -> std::io::Result<XzDecoder<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(u32::try_from(threads).unwrap_or(1))
        .memlimit_threading(THREADS_MEMORY)
        .memlimit_stop(MEMORY)
        .decoder()?;
    Ok(XzDecoder::new_stream(input, stream))
}

pub(super) fn failed(error: Error, consumed: usize) -> FormatError {
    match error {
        Error::MemLimit => FormatError::Limit {
            format: "xz",
            offset: consumed as u64,
            limit: "xz dictionary",
            value: MEMORY,
            remedy: "compress with `xz -9` or less, or a dictionary of 64 MiB at most",
        },
        Error::Mem => FormatError::io("xz", consumed as u64, error.to_string()),
        Error::Data
        | Error::Options
        | Error::Format
        | Error::Program
        | Error::NoCheck
        | Error::UnsupportedCheck => FormatError::corrupt("xz", consumed as u64, error.to_string()),
    }
}
