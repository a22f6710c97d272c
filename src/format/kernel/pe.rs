//! The PE/COFF headers of kernels with an EFI stub and of UKIs.

use super::{Kernel, KernelFormat};
use crate::format::FormatError;
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::pe::{Headers, arch};

/// Gives the machine of a PE file, or `None` where it is none.
pub fn machine(input: &[u8]) -> Option<u16> {
    let at = le32(input, 0x3c)? as usize;
    let signed = input.starts_with(b"MZ") && input.get(at..)?.starts_with(b"PE\0\0");
    signed.then(|| le16(input, at + 4)).flatten()
}

/// Reads a PE file that is no kernel of a known form: a UKI, whose sections
/// name its kernel, or a plain EFI program. Source: the UAPI group's "Unified
/// Kernel Image" specification.
pub(super) fn kernel(input: &[u8]) -> Result<Kernel, FormatError> {
    let headers = Headers::read(input)?;
    let find = |name: &str| headers.sections.iter().find(|s| s.label == name);
    let format = if find(".linux").is_some() {
        KernelFormat::Uki
    } else {
        KernelFormat::Pe
    };
    let mut kernel = Kernel::new(format, arch(headers.machine), input.len());
    kernel.pe_machine = Some(headers.machine);
    if let Some(section) = find(".uname") {
        let release = escape(section.text(input)?.trim_ascii());
        kernel.version = Some(release).filter(|text| !text.is_empty());
    }
    Ok(kernel)
}
