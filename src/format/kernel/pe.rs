//! The PE/COFF headers of kernels with an EFI stub and of UKIs.

use super::{Kernel, KernelFormat};
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::pe::{Section, table};
use crate::format::{FormatError, ReadAt};

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
    let (machine, sections) = table(input)?;
    let find = |name: &str| sections.iter().find(|section| section.label == name);
    let format = if find(".linux").is_some() {
        KernelFormat::Uki
    } else {
        KernelFormat::Pe
    };
    let mut kernel = Kernel::new(format, arch(machine), input.len());
    kernel.pe_machine = Some(machine);
    if let Some(Section { start, size, .. }) = find(".uname") {
        let release = input.fetch("pe", *start, *size, "the section `.uname`")?;
        kernel.version = Some(escape(&release).trim().to_owned()).filter(|text| !text.is_empty());
    }
    Ok(kernel)
}
