//! Whether a file is as long as its headers say.

use goblin::elf::header::Header;
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};

use super::NAME;
use crate::format::{FormatError, ReadAt};

const SHT_NOBITS: u64 = 8;
const SHF_ALLOC: u64 = 2;

/// Errors with [`FormatError::Truncated`] where the file ends before its
/// section headers, or before the content of a segment.
///
/// A file of debugging symbols keeps the program headers of the file it was
/// taken from, without their content; its sections tell that.
pub(super) fn check(
    file: &(impl ReadAt + ?Sized),
    header: &Header,
    segments: &[ProgramHeader],
) -> Result<(), FormatError> {
    let size = file.size()?;
    let sections = u64::from(header.e_shnum) * u64::from(header.e_shentsize);
    let cut = |what: String| Err(FormatError::truncated(NAME, size, what));
    if header.e_shoff.saturating_add(sections) > size {
        return cut(format!(
            "section headers ({sections} bytes from byte {})",
            header.e_shoff
        ));
    }
    let beyond = segments.iter().find(|segment| {
        segment.p_type == PT_LOAD && segment.p_offset.saturating_add(segment.p_filesz) > size
    });
    let Some(segment) = beyond else { return Ok(()) };
    if header.e_shnum == 0 || content_is_missing(file, header)? {
        return cut(format!(
            "segment content ({} bytes from byte {})",
            segment.p_filesz, segment.p_offset
        ));
    }
    Ok(())
}

/// Says whether a section that is loaded and not empty ends behind the file.
fn content_is_missing(file: &(impl ReadAt + ?Sized), header: &Header) -> Result<bool, FormatError> {
    let size = file.size()?;
    let entry = usize::from(header.e_shentsize);
    let length = u64::from(header.e_shnum) * u64::from(header.e_shentsize);
    let bytes = file.fetch(NAME, header.e_shoff, length, "section headers")?;
    let wide = header.e_ident[4] == 2;
    let little_endian = header.e_ident[5] == 1;
    let field = |section: &[u8], offset: usize, width: usize| {
        let bytes = section.get(offset..offset + width).unwrap_or_default();
        let number = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if little_endian {
            bytes.iter().rev().fold(0, number)
        } else {
            bytes.iter().fold(0, number)
        }
    };
    // Where type, flags, offset and size are in the two forms of a header.
    let (flags, offset, extent, width) = if wide { (8, 24, 32, 8) } else { (8, 16, 20, 4) };
    Ok(entry > 0
        && bytes.chunks_exact(entry).any(|section| {
            let end = field(section, offset, width).saturating_add(field(section, extent, width));
            field(section, 4, 4) != SHT_NOBITS
                && field(section, flags, width) & SHF_ALLOC != 0
                && end > size
        }))
}
