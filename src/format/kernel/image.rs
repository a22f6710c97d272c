//! The `Image` of arm64 and riscv.

use super::{Kernel, KernelFormat, NAME, banner};
use crate::format::FormatError;
use crate::format::field::le64;
use crate::format::pe::Headers;

/// Reads an arm64 `Image`. Source:
/// `Documentation/arch/arm64/booting.rst`, "Call the kernel image".
pub(super) fn arm64(input: &[u8]) -> Result<Kernel, FormatError> {
    let mut kernel = header(input, "arm64")?;
    let flags = le64(input, 24).unwrap_or(0);
    kernel.big_endian = flags & 1 == 1;
    kernel.page_size = [None, Some(4096), Some(16384), Some(65536)][(flags >> 1 & 3) as usize];
    Ok(kernel)
}

/// Reads a riscv `Image`, whose header is laid out alike. Source:
/// `Documentation/arch/riscv/boot-image-header.rst`.
pub(super) fn riscv(input: &[u8]) -> Result<Kernel, FormatError> {
    let mut kernel = header(input, "riscv64")?;
    kernel.big_endian = le64(input, 24).unwrap_or(0) & 1 == 1;
    Ok(kernel)
}

fn header(input: &[u8], arch: &str) -> Result<Kernel, FormatError> {
    if input.len() < 64 {
        return Err(FormatError::truncated(
            NAME,
            input.len() as u64,
            "the Image header does not end",
        ));
    }
    let mut kernel = Kernel::new(KernelFormat::Image, arch, input.len());
    kernel.memory_size = le64(input, 16).filter(|size| *size > 0);
    kernel.decoded_size = Some(input.len() as u64);
    // With an EFI stub it is a PE file as well, whose sections tell its end;
    // the size in the header counts zeroed memory that no file holds.
    if input.starts_with(b"MZ") {
        kernel.pe_machine = Some(Headers::read(input)?.machine);
    }
    kernel.set_banner(banner::find(input));
    Ok(kernel)
}
