//! The dynamic section: libraries and where to look for them.

use goblin::elf::dynamic as dt;
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};

use super::{Elf, MAX_STRING, NAME};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

/// Bytes of a dynamic section: 4096 entries of 16 bytes.
const MAX_SECTION: u64 = 64 << 10;
const MAX_NEEDED: usize = 512;
/// `DF_1_PIE`, the flag that tells a static PIE program from a library.
const FLAG_PIE: u64 = 0x0800_0000;

/// Reads the section into `elf`; says whether it is marked as a program.
pub(super) fn read(
    elf: &mut Elf,
    file: &(impl ReadAt + ?Sized),
    section: &ProgramHeader,
    segments: &[ProgramHeader],
) -> Result<bool, FormatError> {
    if section.p_filesz > MAX_SECTION {
        let what = format!("a dynamic section of {} bytes", section.p_filesz);
        return Err(FormatError::corrupt(NAME, section.p_offset, what));
    }
    let bytes = file.fetch(NAME, section.p_offset, section.p_filesz, "dynamic section")?;
    let entries = entries(&bytes, elf.class == 64, elf.little_endian);
    let value = |tag: u64| {
        entries
            .iter()
            .find(|entry| entry.0 == tag)
            .map(|entry| entry.1)
    };
    let program = value(dt::DT_FLAGS_1).is_some_and(|flags| flags & FLAG_PIE != 0);

    let wanted = [dt::DT_NEEDED, dt::DT_SONAME, dt::DT_RPATH, dt::DT_RUNPATH];
    if !entries.iter().any(|entry| wanted.contains(&entry.0)) {
        return Ok(program);
    }
    let names = value(dt::DT_STRTAB)
        .and_then(|address| offset_of(address, segments))
        .ok_or_else(|| {
            FormatError::corrupt(
                NAME,
                section.p_offset,
                "the names of the dynamic section lie in no segment",
            )
        })?;
    let name = |value: u64| string(file, names.saturating_add(value));
    for (tag, value) in &entries {
        match *tag {
            dt::DT_NEEDED if elf.needed.len() < MAX_NEEDED => elf.needed.push(name(*value)?),
            dt::DT_NEEDED => {
                let what = format!("more than {MAX_NEEDED} needed libraries");
                return Err(FormatError::corrupt(NAME, section.p_offset, what));
            }
            dt::DT_SONAME => elf.soname = Some(name(*value)?),
            dt::DT_RPATH => elf.rpath = paths(&name(*value)?),
            dt::DT_RUNPATH => elf.runpath = paths(&name(*value)?),
            _ => {}
        }
    }
    Ok(program)
}

/// Reads tag and value of each entry up to the null entry.
fn entries(bytes: &[u8], wide: bool, little_endian: bool) -> Vec<(u64, u64)> {
    let word = |bytes: &[u8]| {
        let number = bytes
            .iter()
            .rev()
            .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        match (little_endian, wide) {
            (true, _) => number,
            (false, true) => number.swap_bytes(),
            (false, false) => number.swap_bytes() >> 32,
        }
    };
    let width = if wide { 8 } else { 4 };
    bytes
        .chunks_exact(2 * width)
        .map(|entry| entry.split_at(width))
        .map(|(tag, value)| (word(tag), word(value)))
        .take_while(|(tag, _)| *tag != dt::DT_NULL)
        .collect()
}

/// Translates an address in memory to an offset in the file.
fn offset_of(address: u64, segments: &[ProgramHeader]) -> Option<u64> {
    let segment = segments
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD)
        .find(|segment| {
            address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz
        })?;
    segment.p_offset.checked_add(address - segment.p_vaddr)
}

/// Reads one string up to its NUL.
fn string(file: &(impl ReadAt + ?Sized), offset: u64) -> Result<String, FormatError> {
    const PIECE: usize = 256;
    let mut text = Vec::new();
    loop {
        let mut piece = [0; PIECE];
        let read = file.read_at(offset.saturating_add(text.len() as u64), &mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(piece.get(..end).unwrap_or_default());
            return Ok(escape(&text));
        }
        text.extend_from_slice(piece);
        if read < PIECE {
            return Err(FormatError::truncated(
                NAME,
                file.size()?,
                "a name of the dynamic section does not end",
            ));
        }
        if text.len() as u64 > MAX_STRING {
            return Err(FormatError::corrupt(
                NAME,
                offset,
                "a name of more than 4096 bytes",
            ));
        }
    }
}

fn paths(list: &str) -> Vec<String> {
    list.split(':')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect()
}
