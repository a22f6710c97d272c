//! Where the segments of an initramfs begin and end, and their decoding.

use super::NAME;
use crate::format::cpio;
use crate::format::stream::{self, Member};
use crate::format::{Budget, Bytes, Compression, Content, FormatError, Limits};

pub(super) fn caveat(part: &Part) -> Option<&'static str> {
    match part.compression {
        Compression::Lz4 => {
            Some("the kernel reads only lz4's legacy framing; compress with `lz4 -l`")
        }
        Compression::None if !part.offset.is_multiple_of(4) => Some(
            "the kernel sees a raw archive only at a multiple of four bytes; pad with zeros before it",
        ),
        Compression::None
        | Compression::Gzip
        | Compression::Zstd
        | Compression::Xz
        | Compression::Lz4Legacy
        | Compression::Bzip2
        | Compression::Lzma
        | Compression::Lzo => None,
    }
}

/// A segment as it was found, before zstd frames are decoded.
pub(super) struct Part {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) compression: Compression,
    /// The most that it decodes to.
    bound: u64,
    data: Option<Vec<u8>>,
}

impl Part {
    fn decode(&mut self, input: &[u8], budget: &mut Budget) -> Result<(), FormatError> {
        let frame = input
            .get(self.offset..self.offset + self.length)
            .unwrap_or_default();
        let member = stream::decode_member(self.compression, frame, budget)
            .map_err(|error| error.at(self.offset as u64))?;
        self.data = Some(member.data);
        Ok(())
    }
}

/// Decodes frames on as many threads as there are cores.
///
/// These are threads of their own, not a pool's: callers hold the lock under
/// which an image is decoded once, and a pool's thread that waits may take up
/// other work that asks for the same lock.
fn at_once(input: &[u8], parts: Vec<&mut Part>) -> Result<(), FormatError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut shares: Vec<Vec<&mut Part>> = Vec::new();
    shares.resize_with(threads.min(parts.len()), Vec::new);
    let mut parts = parts.into_iter();
    while parts.len() > 0 {
        for (share, part) in shares.iter_mut().zip(parts.by_ref()) {
            share.push(part);
        }
    }
    let decode = |share: Vec<&mut Part>| {
        share
            .into_iter()
            .try_for_each(|part| part.decode(input, &mut Budget::of(part.bound)))
    };
    std::thread::scope(|scope| {
        let own = shares.pop();
        let others: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || decode(share)))
            .collect();
        let mut result = own.map_or(Ok(()), decode);
        for other in others {
            let failed = |_| Err(FormatError::io(NAME, 0, "a decoding thread failed"));
            result = result.and(other.join().unwrap_or_else(failed));
        }
        result
    })
}

#[derive(Default)]
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    pub(super) padding: u64,
}

impl Scan {
    /// Finds where each segment begins and ends. The end of a zstd frame is
    /// known without decoding it; the others are decoded on the way.
    pub(super) fn run(
        &mut self,
        input: &[u8],
        limits: &Limits,
        budget: &mut Budget,
    ) -> Result<(), FormatError> {
        let mut reader = cpio::Reader::default();
        let mut offset = 0;
        loop {
            let zeros = zeros(input.get(offset..).unwrap_or_default());
            self.padding += zeros as u64;
            offset += zeros;
            let rest = input.get(offset..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            if self.parts.len() as u64 >= limits.max_segments {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: offset as u64,
                    limit: "max_segments",
                    value: limits.max_segments,
                    remedy: "join the archives into fewer segments",
                });
            }
            let part = part(input, offset, limits, budget, &mut reader)?;
            offset += part.length;
            self.parts.push(part);
        }
    }

    /// Gives the data of each segment. Frames that fit the budget together are
    /// decoded at the same time.
    pub(super) fn decode(
        &mut self,
        input: &Bytes,
        budget: &mut Budget,
    ) -> Result<Vec<Bytes>, FormatError> {
        let mut pending: Vec<&mut Part> = self
            .parts
            .iter_mut()
            .filter(|part| part.compression == Compression::Zstd)
            .collect();
        let bound = pending.iter().map(|part| part.bound).sum::<u64>();
        if bound <= budget.left() {
            at_once(input, pending)?;
        } else {
            for part in &mut pending {
                part.decode(input, budget)?;
            }
        }
        let raw = self
            .parts
            .iter()
            .filter(|part| part.data.is_none())
            .map(|part| part.length);
        // A small raw segment must not keep a large file in memory.
        let copy = raw.sum::<usize>() < input.len() / 2;
        let data = |part: &mut Part| match part.data.take() {
            Some(data) => Bytes::new(data),
            None => {
                let slice = input
                    .slice(part.offset..part.offset + part.length)
                    .unwrap_or_default();
                if copy {
                    Bytes::new(slice.to_vec())
                } else {
                    slice
                }
            }
        };
        Ok(self.parts.iter_mut().map(data).collect())
    }
}

/// Finds the extent of the segment at `offset`, which is not a zero byte.
fn part(
    input: &[u8],
    offset: usize,
    limits: &Limits,
    budget: &mut Budget,
    reader: &mut cpio::Reader,
) -> Result<Part, FormatError> {
    let rest = input.get(offset..).unwrap_or_default();
    let here = |error: FormatError| error.at(offset as u64);
    let part = |compression, length, bound, data| Part {
        offset,
        length,
        compression,
        bound,
        data,
    };
    match Content::detect(rest) {
        Content::Compressed(Compression::Zstd) => {
            let (length, bound) = stream::zstd::extent(rest).map_err(here)?;
            Ok(part(Compression::Zstd, length, bound, None))
        }
        Content::Compressed(compression) => {
            let Member { data, consumed } =
                stream::decode_member(compression, rest, budget).map_err(here)?;
            Ok(part(compression, consumed, 0, Some(data)))
        }
        Content::Cpio | Content::CpioCrc | Content::CpioOdc | Content::CpioBinary => {
            let archive = reader.archive(input, offset, limits)?;
            let length = archive.end - offset;
            Ok(part(Compression::None, length, 0, None))
        }
        Content::ZstdSkippable => {
            let what = "a zstd skippable frame, which the kernel does not read; compress with `zstd`, not `pzstd`";
            Err(FormatError::unsupported(NAME, offset as u64, what))
        }
        Content::Empty
        | Content::Squashfs
        | Content::Elf
        | Content::Zboot
        | Content::Arm64Image
        | Content::RiscvImage
        | Content::BzImage
        | Content::Pe
        | Content::Tar
        | Content::Gpt
        | Content::Mbr
        | Content::Iso
        | Content::Fat
        | Content::Ext
        | Content::Erofs
        | Content::Xfs
        | Content::Wasm
        | Content::Unknown => Err(not_a_segment(rest, offset)),
    }
}

pub(super) fn not_a_segment(rest: &[u8], offset: usize) -> FormatError {
    let content = Content::detect(rest);
    let start: Vec<String> = rest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if rest.len() < 6 && b"070701".starts_with(rest) {
        return FormatError::truncated(NAME, offset as u64, "a segment's magic number is cut");
    }
    let what = format!(
        "{} data ({}) where a segment should begin; the kernel stops here with \"invalid magic at start of compressed archive\"",
        content.name(),
        start.join(" ")
    );
    FormatError::corrupt(NAME, offset as u64, what)
}

pub(super) fn zeros(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == 0).count()
}
