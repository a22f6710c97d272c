//! What some bytes are, told from their content and never from a name.

use super::field::{le16, le32};

/// A compressed stream that [`super::stream`] decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not compressed.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The `.xz` file format 1.2.
    Xz,
    /// The LZ4 frame format 1.6.
    Lz4,
    /// The framing of `lz4 -l`, the only one that the kernel reads.
    Lz4Legacy,
    /// bzip2.
    Bzip2,
    /// LZMA "alone", the format before `.xz`.
    Lzma,
    /// The files of lzop.
    Lzo,
}

impl Compression {
    /// Gives the stable name that specs use. Both framings of LZ4 are `lz4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lz4 | Self::Lz4Legacy => "lz4",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
        }
    }

    /// Tells the compression of a stream from its first bytes.
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Self {
        if let Content::Compressed(compression) = Content::detect(bytes) {
            compression
        } else {
            Self::None
        }
    }
}

/// What a run of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// No bytes at all.
    Empty,
    /// A compressed stream.
    Compressed(Compression),
    /// A zstd skippable frame, which holds no content of its own.
    ZstdSkippable,
    /// cpio `newc` (070701), the archive of an initramfs.
    Cpio,
    /// cpio `crc` (070702): `newc` with a checksum for each file.
    CpioCrc,
    /// cpio `odc` (070707), which the kernel refuses.
    CpioOdc,
    /// The old binary cpio, which the kernel refuses.
    CpioBinary,
    /// A squashfs image.
    Squashfs,
    /// An ELF file.
    Elf,
    /// An EFI zboot kernel.
    Zboot,
    /// An arm64 `Image`.
    Arm64Image,
    /// A riscv `Image`.
    RiscvImage,
    /// An x86 bzImage.
    BzImage,
    /// Another PE/COFF file, such as a UKI.
    Pe,
    /// A tar archive.
    Tar,
    /// A disk with a GUID partition table.
    Gpt,
    /// A disk with a partition table of the older form only.
    Mbr,
    /// An ISO 9660 image, whatever partition table it has as well.
    Iso,
    /// A FAT12, FAT16 or FAT32 file system.
    Fat,
    /// An ext2, ext3 or ext4 file system.
    Ext,
    /// An EROFS image.
    Erofs,
    /// An XFS file system; recognised, not read.
    Xfs,
    /// A WebAssembly module or component.
    Wasm,
    /// None of these.
    Unknown,
}

impl Content {
    /// Bytes of a file that are enough to tell what it is: an ISO shows itself
    /// last.
    pub const HEAD: usize = 33 << 10;

    /// Gives the stable name that specs and messages use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Compressed(compression) => compression.name(),
            Self::ZstdSkippable => "zstd-skippable",
            Self::Cpio => "cpio",
            Self::CpioCrc => "cpio-crc",
            Self::CpioOdc => "cpio-odc",
            Self::CpioBinary => "cpio-binary",
            Self::Squashfs => "squashfs",
            Self::Elf => "elf",
            Self::Zboot => "zboot",
            Self::Arm64Image | Self::RiscvImage => "image",
            Self::BzImage => "bzimage",
            Self::Pe => "pe",
            Self::Tar => "tar",
            Self::Gpt => "gpt",
            Self::Mbr => "mbr",
            Self::Iso => "iso",
            Self::Fat => "fat",
            Self::Ext => "ext",
            Self::Erofs => "erofs",
            Self::Xfs => "xfs",
            Self::Wasm => "wasm",
            Self::Unknown => "unknown",
        }
    }

    /// Tells what `bytes` are. More bytes tell more: an ISO shows itself only
    /// after 32 KiB, a bzImage after 518 bytes.
    ///
    /// Sources: RFC 1952 §2.3.1, RFC 8878 §3.1, the .xz format §2.1.1, the LZ4
    /// frame format, `lib/decompress.c` and `init/initramfs.c` of Linux for
    /// what an initramfs may hold, `Documentation/arch/arm64/booting.rst`,
    /// `Documentation/arch/x86/boot.rst`, `linux/pe.h` (zboot), POSIX `ustar`,
    /// UEFI 2.10 §5.3.2, ECMA-119 §8.1.
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        if let Some(found) = by_start(bytes) {
            return found;
        }
        if bytes.starts_with(b"MZ") {
            return executable(bytes);
        }
        by_depth(bytes).unwrap_or(Self::Unknown)
    }
}

/// Magic numbers at the very start.
fn by_start(bytes: &[u8]) -> Option<Content> {
    const STARTS: [(&[u8], Content); 16] = [
        (b"\x1f\x8b", Content::Compressed(Compression::Gzip)),
        (b"\x28\xb5\x2f\xfd", Content::Compressed(Compression::Zstd)),
        (b"\xfd7zXZ\0", Content::Compressed(Compression::Xz)),
        (b"\x04\x22\x4d\x18", Content::Compressed(Compression::Lz4)),
        (
            b"\x02\x21\x4c\x18",
            Content::Compressed(Compression::Lz4Legacy),
        ),
        (b"BZh", Content::Compressed(Compression::Bzip2)),
        (b"\x5d\0\0", Content::Compressed(Compression::Lzma)),
        (b"\x89LZO\0\r\n", Content::Compressed(Compression::Lzo)),
        (b"070701", Content::Cpio),
        (b"070702", Content::CpioCrc),
        (b"070707", Content::CpioOdc),
        (b"hsqs", Content::Squashfs),
        (b"\x7fELF", Content::Elf),
        (b"\0asm", Content::Wasm),
        (b"XFSB", Content::Xfs),
        // Both byte orders of octal 070707.
        (b"\xc7\x71", Content::CpioBinary),
    ];
    if let Some((_, content)) = STARTS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(*content);
    }
    if bytes.starts_with(b"\x71\xc7") {
        return Some(Content::CpioBinary);
    }
    (le32(bytes, 0)? & 0xffff_fff0 == 0x184d_2a50).then_some(Content::ZstdSkippable)
}

/// Files that begin with `MZ`: kernels with an EFI stub are PE files as well.
fn executable(bytes: &[u8]) -> Content {
    if bytes.get(4..8) == Some(b"zimg") {
        Content::Zboot
    } else {
        by_depth(bytes).unwrap_or(Content::Pe)
    }
}

/// Magic numbers that lie further in.
fn by_depth(bytes: &[u8]) -> Option<Content> {
    let is = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    if is(0x38, b"ARM\x64") {
        Some(Content::Arm64Image)
    } else if is(0x38, b"RSC\x05") {
        Some(Content::RiscvImage)
    } else if is(0x202, b"HdrS") && le16(bytes, 0x1fe) == Some(0xaa55) {
        Some(Content::BzImage)
    } else if is(32769, b"CD001") {
        // Before partition tables: a hybrid ISO has those too.
        Some(Content::Iso)
    } else if is(512, b"EFI PART") || is(4096, b"EFI PART") {
        Some(Content::Gpt)
    } else if is(257, b"ustar") {
        Some(Content::Tar)
    } else if le32(bytes, 1024) == Some(0xe0f5_e1e2) {
        Some(Content::Erofs)
    } else if le16(bytes, 1080) == Some(0xef53) && le32(bytes, 1048).is_some_and(|log| log <= 6) {
        Some(Content::Ext)
    } else if super::tar::is_header(bytes) {
        Some(Content::Tar)
    } else if le16(bytes, 510) == Some(0xaa55) {
        boot_sector(bytes)
    } else {
        None
    }
}

/// What a sector that ends in `55 aa` begins: a FAT file system, whose
/// parameters make sense, or a disk with partitions.
///
/// Sources: Microsoft's FAT specification 1.03 §3, the layout of the classical
/// MBR (UEFI 2.10 §5.2.1).
fn boot_sector(bytes: &[u8]) -> Option<Content> {
    let sector = le16(bytes, 11)?;
    let cluster = *bytes.get(13)?;
    let jump = matches!(bytes, [0xeb, _, 0x90, ..] | [0xe9, ..]);
    let fat = jump
        && sector.is_power_of_two()
        && (512..=4096).contains(&sector)
        && cluster.is_power_of_two()
        && le16(bytes, 14)? > 0
        && matches!(bytes.get(16), Some(1 | 2));
    if fat {
        return Some(Content::Fat);
    }
    let partition = |index: usize| {
        let entry = bytes.get(446 + index * 16..462 + index * 16)?;
        let used = entry.get(4).is_some_and(|kind| *kind != 0) && le32(entry, 12)? > 0;
        Some((matches!(entry.first(), Some(0 | 0x80)), used))
    };
    let partitions: Vec<_> = (0..4).filter_map(partition).collect();
    let sound = partitions.iter().all(|(flag, _)| *flag);
    (sound && partitions.iter().any(|(_, used)| *used)).then_some(Content::Mbr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_by_magic() {
        assert_eq!(Content::detect(b""), Content::Empty);
        assert_eq!(Content::detect(b"\x28\xb5\x2f\xfd rest").name(), "zstd");
        assert_eq!(Content::detect(b"\x5e\x2a\x4d\x18"), Content::ZstdSkippable);
        assert_eq!(Content::detect(b"MZ\0\0zimg").name(), "zboot");
        assert_eq!(Content::detect(b"MZ").name(), "pe");
        assert_eq!(Content::detect(b"hello"), Content::Unknown);
        let mut image = vec![0; 64];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        assert_eq!(Content::detect(&image), Content::Arm64Image);
    }

    #[test]
    fn both_framings_of_lz4_have_one_name() {
        assert_eq!(Compression::detect(b"\x02\x21\x4c\x18").name(), "lz4");
        assert_eq!(Compression::detect(b"\x04\x22\x4d\x18").name(), "lz4");
    }
}
