//! The x86 bzImage.

use super::{Kernel, KernelFormat, NAME, banner, pe};
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::pe::arch;
use crate::format::{Compression, FormatError, stream};

/// Reads the setup header and decodes the payload. Source:
/// `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header".
pub(super) fn read(input: &[u8], cap: u64) -> Result<Kernel, FormatError> {
    let cut = |what: String| FormatError::truncated(NAME, input.len() as u64, what);
    let header = |offset: usize| {
        le32(input, offset).ok_or_else(|| cut("the setup header does not end".to_owned()))
    };
    let sectors = match input.get(0x1f1) {
        // Zero stands for four, says the protocol.
        Some(0) | None => 4,
        Some(sectors) => usize::from(*sectors),
    };
    let protected = (sectors + 1) * 512;
    let length = header(0x1f4)? as usize * 16;
    if protected + length > input.len() {
        return Err(cut(format!(
            "the protected-mode kernel has {length} bytes from byte {protected}"
        )));
    }
    let protocol = le16(input, 0x206).unwrap_or(0);
    let wide = protocol >= 0x20c && header(0x234)? >> 16 & 1 == 1;
    let machine = pe::machine(input);
    let name = match machine {
        Some(machine) => arch(machine),
        None if wide => "amd64",
        None => "i386",
    };
    let mut kernel = Kernel::new(KernelFormat::BzImage, name, input.len());
    kernel.pe_machine = machine;
    if protocol >= 0x208 {
        let start = protected.saturating_add(header(0x248)? as usize);
        let length = header(0x24c)? as usize;
        payload(&mut kernel, input, start, length, cap)?;
    }
    version(&mut kernel, input);
    Ok(kernel)
}

fn payload(
    kernel: &mut Kernel,
    input: &[u8],
    start: usize,
    length: usize,
    cap: u64,
) -> Result<(), FormatError> {
    let payload = start
        .checked_add(length)
        .and_then(|end| input.get(start..end))
        .ok_or_else(|| {
            let what = format!("the payload has {length} bytes from byte {start}");
            FormatError::truncated(NAME, input.len() as u64, what)
        })?;
    kernel.compression = Compression::detect(payload);
    match kernel.compression {
        // Of what is not known, the header's version string is enough.
        Compression::None => Ok(()),
        Compression::Bzip2
        | Compression::Lzma
        | Compression::Lzo
        | Compression::Gzip
        | Compression::Zstd
        | Compression::Xz
        | Compression::Lz4
        | Compression::Lz4Legacy => {
            let mut found = None;
            stream::search(kernel.compression, payload, cap, |piece| {
                if found.is_none() {
                    found = banner::find(piece);
                }
                false
            })
            .map_err(|error| error.at(start as u64).inside("the bzImage payload"))?;
            kernel.set_banner(found);
            Ok(())
        }
    }
}

/// Takes the release from the string that the header points at, which a boot
/// loader shows; it is there even where the payload is not decoded.
fn version(kernel: &mut Kernel, input: &[u8]) {
    let Some(pointer) = le16(input, 0x20e).filter(|pointer| *pointer != 0) else {
        return;
    };
    let text = input
        .get(usize::from(pointer) + 0x200..)
        .unwrap_or_default();
    let text = text.get(..text.len().min(512)).unwrap_or_default();
    let text = escape(text.split(|byte| *byte == 0).next().unwrap_or_default());
    if let Some(release) = text
        .split(' ')
        .next()
        .filter(|release| release.starts_with(|c: char| c.is_ascii_digit()))
    {
        kernel.version = Some(release.to_owned());
        kernel.banner.get_or_insert(text.clone());
    }
}
