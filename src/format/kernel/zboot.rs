//! EFI zboot: a compressed `Image` behind a small EFI program.

use super::{Kernel, KernelFormat, NAME, banner, pe};
use crate::format::field::le32;
use crate::format::node::escape;
use crate::format::pe::arch;
use crate::format::{Compression, Content, FormatError, stream};

/// Reads the header and decodes the payload. Source: `struct
/// linux_efi_zboot_header` in `include/linux/pe.h` of Linux.
pub(super) fn read(input: &[u8], cap: u64) -> Result<Kernel, FormatError> {
    let cut = |what: &str| FormatError::truncated(NAME, input.len() as u64, what);
    let field = |offset| le32(input, offset).ok_or_else(|| cut("the zboot header does not end"));
    let (start, length) = (field(8)? as usize, field(12)? as usize);
    let kind = input
        .get(0x18..0x38)
        .ok_or_else(|| cut("the zboot header does not end"))?;
    let kind = kind.split(|byte| *byte == 0).next().unwrap_or_default();
    let payload = start
        .checked_add(length)
        .and_then(|end| input.get(start..end))
        .ok_or_else(|| {
            let what = format!("the payload has {length} bytes from byte {start}");
            cut(&what)
        })?;
    let machine = pe::machine(input);
    let name = machine.map_or("unknown", arch);
    let mut kernel = Kernel::new(KernelFormat::Zboot, name, input.len());
    kernel.pe_machine = machine;
    kernel.compression = Compression::detect(payload);
    let named = escape(kind);
    if kernel.compression == Compression::None || kernel.compression.name() != named {
        let what = format!(
            "the header says `{named}`, the payload is {}",
            Content::detect(payload).name()
        );
        return Err(FormatError::corrupt(NAME, 0x18, what));
    }
    let mut found = None;
    let mut inner = None;
    stream::search(kernel.compression, payload, cap, |piece| {
        inner.get_or_insert_with(|| Content::detect(piece));
        if found.is_none() {
            found = banner::find(piece);
        }
        false
    })
    .map_err(|error| error.at(start as u64).inside("the zboot payload"))?;
    match inner {
        Some(Content::Arm64Image) => kernel.arch = "arm64".to_owned(),
        Some(Content::RiscvImage) => kernel.arch = "riscv64".to_owned(),
        Some(_) | None => {}
    }
    kernel.set_banner(found);
    Ok(kernel)
}
