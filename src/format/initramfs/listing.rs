//! The entries of an initramfs without their content: every segment is decoded
//! and checked, and nothing of it is kept.

use std::io::Read;

use super::scan::{Start, file, start, too_many};
use super::{Located, NAME, archives};
use crate::format::cpio;
use crate::format::stream::Single;
use crate::format::window::{Input, Window};
use crate::format::{Budget, Compression, FormatError, Limits, Reader, Source};

type File = Window<Reader>;

/// What an initramfs holds, without its content.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The entries of all segments, in the order of the file.
    pub entries: Vec<Located>,
    /// Where the segments lie.
    pub extents: Vec<Extent>,
}

/// Where a segment lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes in the file.
    pub length: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// Lists an initramfs; see [`super::Initramfs::outline`]. Its errors are not
/// shown.
pub(super) fn list(source: &Source, limits: &Limits) -> Result<Option<Outline>, FormatError> {
    let mut file = file(source, limits);
    let mut budget = Budget::new(limits, source.size()?);
    let mut reader = cpio::Reader::default();
    let (mut entries, mut extents) = (Vec::new(), Vec::new());
    loop {
        file.skip_zeros()?;
        let offset = file.offset();
        let compression = match start(&mut file)? {
            Start::End => break,
            Start::Archive => Compression::None,
            Start::Member(compression) => compression,
        };
        let index = extents.len();
        if index as u64 >= limits.max_segments {
            return Err(too_many(offset, limits));
        }
        let found = if compression == Compression::None {
            vec![reader.stream(&mut file, limits)?]
        } else if Single::<File>::reads(compression) {
            let decoder = Single::new(compression, file)?;
            let mut decoded = Window::new(compression.name(), decoder, budget);
            let found = archives(&mut decoded, &mut reader, limits)?;
            budget = decoded.budget();
            file = behind(decoded)?;
            found
        } else {
            return Ok(None);
        };
        let located = |mut entry: cpio::Entry| {
            // What lies in a file as it is was counted from the start of the file.
            if compression == Compression::None {
                entry.offset -= offset;
                entry.data = entry.data.start - offset..entry.data.end - offset;
            }
            Located {
                segment: index,
                entry,
            }
        };
        let found = found.into_iter().flat_map(|archive| archive.entries);
        entries.extend(found.map(located));
        extents.push(Extent {
            offset: offset as u64,
            length: (file.offset() - offset) as u64,
            compression,
        });
    }
    Ok((!extents.is_empty()).then_some(Outline { entries, extents }))
}

/// Gives the file behind a member. A decoder has seen the member's end, and its
/// checksum, only once it has been asked for more than there is.
fn behind(decoded: Window<Single<File>>) -> Result<File, FormatError> {
    let mut decoder = decoded.into_inner();
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(decoder.into_input()),
        Ok(_) | Err(_) => {
            let what = "a member does not end where it should";
            Err(FormatError::corrupt(NAME, 0, what))
        }
    }
}
