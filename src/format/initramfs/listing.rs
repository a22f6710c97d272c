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

/// Lists an initramfs; see [`super::Initramfs::list`]. Its errors are not shown.
pub(super) fn list(source: &Source, limits: &Limits) -> Result<Option<Vec<Located>>, FormatError> {
    let mut file = file(source, limits);
    let mut budget = Budget::new(limits, source.size()?);
    let mut reader = cpio::Reader::default();
    let (mut entries, mut index) = (Vec::new(), 0);
    loop {
        file.skip_zeros()?;
        let offset = file.offset();
        let compression = match start(&mut file)? {
            Start::End => break,
            Start::Archive => Compression::None,
            Start::Member(compression) => compression,
        };
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
        let located = |entry| Located {
            segment: index,
            entry,
        };
        let found = found.into_iter().flat_map(|archive| archive.entries);
        entries.extend(found.map(located));
        index += 1;
    }
    Ok((index > 0).then_some(entries))
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
