//! The PE/COFF headers of kernels with an EFI stub and of UKIs.

use super::{Kernel, KernelFormat, NAME};
use crate::format::FormatError;
use crate::format::field::{le16, le32};
use crate::format::node::escape;

/// Sections that a file may have; Windows' loader knows no more either.
const MAX_SECTIONS: usize = 96;

/// The part of a PE file that is told about a kernel.
#[derive(Debug)]
pub(super) struct Pe {
    pub(super) machine: u16,
    sections: Vec<Section>,
}

/// One section: its name, and where its bytes lie in the file.
#[derive(Debug)]
struct Section {
    name: String,
    start: usize,
    length: usize,
    /// Bytes in memory, without the padding of the file.
    used: usize,
}

impl Pe {
    /// Reads headers and section table; errors with
    /// [`FormatError::Truncated`] where a section ends behind the file.
    /// Source: Microsoft PE and COFF specification, "COFF File Header" and
    /// "Section Table".
    pub(super) fn read(input: &[u8]) -> Result<Self, FormatError> {
        let cut = |what: String| FormatError::truncated(NAME, input.len() as u64, what);
        let headers = || cut("the PE headers do not end".to_owned());
        let at = le32(input, 0x3c).ok_or_else(headers)? as usize;
        let coff = input
            .get(at..)
            .filter(|rest| rest.len() >= 24)
            .ok_or_else(headers)?;
        if !coff.starts_with(b"PE\0\0") {
            return Err(FormatError::corrupt(
                NAME,
                at as u64,
                "the PE signature is missing",
            ));
        }
        let machine = le16(coff, 4).ok_or_else(headers)?;
        let count = usize::from(le16(coff, 6).ok_or_else(headers)?);
        let table = 24 + usize::from(le16(coff, 20).ok_or_else(headers)?);
        if count > MAX_SECTIONS {
            let what = format!("{count} sections; {MAX_SECTIONS} is the most");
            return Err(FormatError::corrupt(NAME, at as u64 + 6, what));
        }
        let mut sections = Vec::new();
        for index in 0..count {
            let at = table + index * 40;
            let section = coff.get(at..at + 40).ok_or_else(headers)?;
            let name = section.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = escape(name.get(..name.len().min(8)).unwrap_or_default());
            let field = |offset| le32(section, offset).unwrap_or(0) as usize;
            let (used, length, start) = (field(8), field(16), field(20));
            if start.saturating_add(length) > input.len() {
                return Err(cut(format!(
                    "section `{name}` has {length} bytes from byte {start}"
                )));
            }
            sections.push(Section {
                name,
                start,
                length,
                used,
            });
        }
        Ok(Self { machine, sections })
    }

    fn section<'a>(&self, input: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        input.get(section.start..section.start + section.length.min(section.used))
    }
}

/// Gives the machine of a PE file, or `None` where it is none.
pub(super) fn machine(input: &[u8]) -> Option<u16> {
    let at = le32(input, 0x3c)? as usize;
    let signed = input.starts_with(b"MZ") && input.get(at..)?.starts_with(b"PE\0\0");
    signed.then(|| le16(input, at + 4)).flatten()
}

/// Names a COFF machine as Talos and Debian do.
pub(super) fn arch(machine: u16) -> &'static str {
    match machine {
        0xaa64 => "arm64",
        0x8664 => "amd64",
        0x014c => "i386",
        0x01c0 | 0x01c2 | 0x01c4 => "arm",
        0x5032 => "riscv32",
        0x5064 => "riscv64",
        0x6232 => "loongarch32",
        0x6264 => "loongarch64",
        _ => "unknown",
    }
}

/// Reads a PE file that is no kernel of a known form: a UKI, whose sections
/// name its kernel, or a plain EFI program. Source: the UAPI group's "Unified
/// Kernel Image" specification.
pub(super) fn kernel(input: &[u8]) -> Result<Kernel, FormatError> {
    let pe = Pe::read(input)?;
    let uki = pe.section(input, ".linux").is_some();
    let format = if uki {
        KernelFormat::Uki
    } else {
        KernelFormat::Pe
    };
    let mut kernel = Kernel::new(format, arch(pe.machine), input.len());
    kernel.pe_machine = Some(pe.machine);
    if let Some(release) = pe.section(input, ".uname") {
        kernel.version = Some(escape(release).trim().to_owned()).filter(|text| !text.is_empty());
    }
    Ok(kernel)
}
