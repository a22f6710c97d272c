//! Where the segments of an initramfs begin and end, and their decoding.

use super::NAME;
use crate::format::cpio;
use crate::format::stream::{self, zstd};
use crate::format::window::{Input, PEEK, Window};
use crate::format::{
    Budget, Bytes, Compression, Content, FormatError, Limits, Pieces, Reader, Source, parallel,
};

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

/// What begins where a segment should.
pub(super) enum Start {
    /// Nothing: the file is over.
    End,
    /// A raw archive.
    Archive,
    /// A compressed member.
    Member(Compression),
}

/// Looks at what comes next, which is not a zero byte.
///
/// Errors where the kernel would read no segment there.
pub(super) fn start(input: &mut impl Input) -> Result<Start, FormatError> {
    let offset = input.offset();
    let rest = input.peek(PEEK)?;
    match Content::detect(rest) {
        Content::Empty => Ok(Start::End),
        Content::Compressed(compression) => Ok(Start::Member(compression)),
        Content::Cpio | Content::CpioCrc | Content::CpioOdc | Content::CpioBinary => {
            Ok(Start::Archive)
        }
        Content::ZstdSkippable => {
            let what = "a zstd skippable frame, which the kernel does not read; compress with `zstd`, not `pzstd`";
            Err(FormatError::unsupported(NAME, offset as u64, what))
        }
        Content::Squashfs
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

/// A segment as it was found, before zstd frames are decoded.
pub(super) struct Part {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) compression: Compression,
    /// The most that it decodes to.
    bound: u64,
    data: Option<Bytes>,
}

impl Part {
    fn decoded(&self, source: &Source, budget: &mut Budget) -> Result<Bytes, FormatError> {
        let (offset, length) = (self.offset as u64, self.length as u64);
        let frame = Pieces::range(source, offset, length);
        let data = zstd::frame(&*frame, length, self.bound, budget);
        Ok(Bytes::new(data.map_err(|error| error.at(offset))?))
    }
}

/// Decodes frames, several at a time.
fn at_once(source: &Source, mut parts: Vec<&mut Part>) -> Result<(), FormatError> {
    let decoded = parallel::try_map(&parts, 1, |part| {
        part.decoded(source, &mut Budget::of(part.bound))
    })?;
    for (part, data) in parts.iter_mut().zip(decoded) {
        part.data = Some(data);
    }
    Ok(())
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
        source: &Source,
        limits: &Limits,
        budget: &mut Budget,
    ) -> Result<(), FormatError> {
        let mut reader = cpio::Reader::default();
        let mut file = file(source, limits);
        loop {
            self.padding += file.skip_zeros()? as u64;
            let compression = match start(&mut file)? {
                Start::End => return Ok(()),
                Start::Archive => Compression::None,
                Start::Member(compression) => compression,
            };
            let offset = file.offset();
            if self.parts.len() as u64 >= limits.max_segments {
                return Err(too_many(offset, limits));
            }
            let part = if compression == Compression::None {
                let end = reader.stream(&mut file, limits)?.end;
                Part {
                    offset,
                    length: end - offset,
                    compression,
                    bound: 0,
                    data: None,
                }
            } else {
                let part = member(source, offset, compression, budget)?;
                file.seek(offset + part.length);
                part
            };
            self.parts.push(part);
        }
    }

    /// Gives the data of each segment. Frames that fit the budget together are
    /// decoded at the same time.
    pub(super) fn decode(
        &mut self,
        source: &Source,
        budget: &mut Budget,
    ) -> Result<Vec<Bytes>, FormatError> {
        let mut pending: Vec<&mut Part> = self
            .parts
            .iter_mut()
            .filter(|part| part.compression == Compression::Zstd)
            .collect();
        let bound = pending.iter().map(|part| part.bound).sum::<u64>();
        if bound <= budget.left() {
            at_once(source, pending)?;
        } else {
            for part in &mut pending {
                part.data = Some(part.decoded(source, budget)?);
            }
        }
        let data = |part: &mut Part| match part.data.take() {
            Some(data) => Ok(data),
            None => source.fetch(NAME, part.offset as u64, part.length as u64, "a segment"),
        };
        self.parts.iter_mut().map(data).collect()
    }
}

/// Begins to read a file of segments from front to back.
pub(super) fn file(source: &Source, limits: &Limits) -> Window<Reader> {
    let reading = Budget::reading(limits);
    Window::new(NAME, Reader::new(Source::clone(source)), reading)
}

/// Finds the extent of the compressed member at `offset`; any but a zstd frame
/// is decoded for it.
fn member(
    source: &Source,
    offset: usize,
    compression: Compression,
    budget: &mut Budget,
) -> Result<Part, FormatError> {
    let here = |error: FormatError| error.at(offset as u64);
    let left = source.size()?.saturating_sub(offset as u64);
    let rest = Pieces::range(source, offset as u64, left);
    let (length, bound, data) = if compression == Compression::Zstd {
        let (length, bound) = zstd::extent(&*rest).map_err(here)?;
        (length, bound, None)
    } else {
        let rest = rest.up_to(0, usize::try_from(left).unwrap_or(usize::MAX))?;
        let found = stream::decode_member(compression, &rest, budget).map_err(here)?;
        (found.consumed, 0, Some(Bytes::new(found.data)))
    };
    Ok(Part {
        offset,
        length,
        compression,
        bound,
        data,
    })
}

pub(super) fn too_many(offset: usize, limits: &Limits) -> FormatError {
    FormatError::Limit {
        format: NAME,
        offset: offset as u64,
        limit: "max_segments",
        value: limits.max_segments,
        remedy: "join the archives into fewer segments",
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
