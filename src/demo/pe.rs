//! PE32+ images, as UEFI loads them.
//!
//! Source: Microsoft PE format; UEFI 2.10, 2.1.1. Each section's file offset
//! is its address (file and section alignment are both 4096), which is what an
//! arm64 `Image` needs and what a unified kernel image may have.

use super::arch::Arch;

/// File and section alignment.
pub const ALIGN: usize = 4096;

/// A section: at most eight bytes of name, its content, its characteristics.
pub struct Section<'a> {
    /// The name, such as `.text`.
    pub name: &'a str,
    /// The bytes.
    pub data: &'a [u8],
    /// Code (executable) or data (readable).
    pub code: bool,
}

/// An image and where its sections came to lie.
pub struct Image {
    /// The file.
    pub bytes: Vec<u8>,
    /// Each section's offset in the file, in the order given.
    pub offsets: Vec<usize>,
}

/// Lays out an EFI application.
///
/// `dos` is what the file begins with: at least the 64 bytes of a DOS header
/// (it is filled up to that); the offset of the PE header is written into it
/// at 0x3c. The image is entered at the first section's first byte.
pub fn image(arch: Arch, dos: &[u8], sections: &[Section<'_>]) -> Image {
    let mut bytes = dos.to_vec();
    bytes.resize(bytes.len().max(64).next_multiple_of(8), 0);
    let pe_at = bytes.len();
    bytes[0x3c..0x40].copy_from_slice(&(pe_at as u32).to_le_bytes());

    let headers_len = (pe_at + headers_size(sections.len())).next_multiple_of(ALIGN);
    let mut at = headers_len;
    let mut table = Vec::new();
    let mut offsets = Vec::new();
    for section in sections {
        offsets.push(at);
        table.push(Place {
            name: section.name,
            at,
            len: section.data.len(),
            code: section.code,
        });
        at = (at + section.data.len().max(1)).next_multiple_of(ALIGN);
    }
    bytes.extend(headers(arch, headers_len, at, &table));
    for (section, &offset) in sections.iter().zip(&offsets) {
        bytes.resize(offset, 0);
        bytes.extend(section.data);
    }
    bytes.resize(at, 0);
    Image { bytes, offsets }
}

/// A section's line in the section table.
pub struct Place<'a> {
    /// The name.
    pub name: &'a str,
    /// Offset in the file and address in memory.
    pub at: usize,
    /// Length of the content in bytes.
    pub len: usize,
    /// Code or data.
    pub code: bool,
}

/// Tells how long [`headers`] are with so many sections.
pub fn headers_size(sections: usize) -> usize {
    4 + 20 + 240 + 40 * sections
}

/// Makes the PE signature, COFF header, optional header and section table of
/// an EFI application that is entered at its first section's first byte.
pub fn headers(
    arch: Arch,
    headers_len: usize,
    image_len: usize,
    sections: &[Place<'_>],
) -> Vec<u8> {
    let mut out = b"PE\0\0".to_vec();
    // COFF: executable, line numbers and debug stripped (0x0206)
    out.extend(arch.pe_machine().to_le_bytes());
    out.extend((sections.len() as u16).to_le_bytes());
    out.extend([0; 12]);
    out.extend(240_u16.to_le_bytes());
    out.extend(0x0206_u16.to_le_bytes());

    let rounded = |code: bool| -> u32 {
        sections
            .iter()
            .filter(|section| section.code == code)
            .map(|section| section.len.next_multiple_of(ALIGN) as u32)
            .sum()
    };
    let entry = sections.first().map_or(0, |first| first.at as u32);
    // optional header, PE32+ (0x20b)
    out.extend([0x0b, 0x02, 0x02, 0x14]);
    for word in [rounded(true), rounded(false), 0, entry, entry] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0_u64.to_le_bytes());
    out.extend((ALIGN as u32).to_le_bytes());
    out.extend((ALIGN as u32).to_le_bytes());
    out.extend([0; 16]);
    out.extend((image_len as u32).to_le_bytes());
    out.extend((headers_len as u32).to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    // subsystem 10: EFI application; 0x0100: runs at any address
    out.extend(10_u16.to_le_bytes());
    out.extend(0x0100_u16.to_le_bytes());
    out.extend([0; 32]);
    out.extend(0_u32.to_le_bytes());
    out.extend(16_u32.to_le_bytes());
    out.extend([0; 128]);

    for section in sections {
        let mut name = section.name.as_bytes().to_vec();
        name.resize(8, 0);
        out.extend(name);
        let padded = section.len.max(1).next_multiple_of(ALIGN) as u32;
        for word in [
            section.len as u32,
            section.at as u32,
            padded,
            section.at as u32,
        ] {
            out.extend(word.to_le_bytes());
        }
        out.extend([0; 12]);
        // code, execute, read; or initialised data, read
        let flags: u32 = if section.code {
            0x6000_0020
        } else {
            0x4000_0040
        };
        out.extend(flags.to_le_bytes());
    }
    out
}

/// Reads the machine and the sections (name, offset) back, for tests.
#[cfg(test)]
pub(super) fn read_back(file: &[u8]) -> (u16, Vec<(String, usize)>) {
    let u16_at = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    let u32_at = |at: usize| usize::from(u16_at(at)) | usize::from(u16_at(at + 2)) << 16;
    let pe = u32_at(0x3c);
    assert_eq!(&file[pe..pe + 4], b"PE\0\0");
    assert_eq!(u16_at(pe + 24), 0x20b);
    let table = pe + 24 + usize::from(u16_at(pe + 20));
    let sections = (0..usize::from(u16_at(pe + 6))).map(|index| {
        let at = table + 40 * index;
        let name = String::from_utf8_lossy(&file[at..at + 8]);
        assert_eq!(
            u32_at(at + 12),
            u32_at(at + 20),
            "address and offset differ"
        );
        (name.trim_end_matches('\0').to_owned(), u32_at(at + 20))
    });
    (u16_at(pe + 4), sections.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_lie_where_the_table_says() {
        let sections = [
            Section {
                name: ".text",
                data: b"abc",
                code: true,
            },
            Section {
                name: ".linux",
                data: &[7; 5000],
                code: false,
            },
        ];
        let image = image(Arch::Arm64, b"MZ", &sections);
        let (machine, table) = read_back(&image.bytes);
        assert_eq!(machine, 0xaa64);
        let [text, linux] = image.offsets[..] else {
            panic!()
        };
        assert_eq!(
            table,
            [(".text".to_owned(), text), (".linux".to_owned(), linux)]
        );
        assert_eq!(image.bytes[linux..linux + 5000], [7; 5000]);
    }
}
