//! The superblock: the first 96 bytes of an image.

use super::{NAME, NONE_64};
use crate::format::field::{le16, le32, le64};
use crate::format::{FormatError, ReadAt};

const SIZE: u64 = 96;

/// How an image's blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    /// zlib streams.
    Gzip,
    /// LZMA streams, which Linux does not read.
    Lzma,
    /// Bare blocks of LZO1X.
    Lzo,
    /// xz streams.
    Xz,
    /// Bare lz4 blocks.
    Lz4,
    /// zstd frames.
    Zstd,
}

impl Compressor {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// What the superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// The number of inodes.
    pub inodes: u32,
    /// When the image was made, in seconds since 1970.
    pub made: u32,
    /// Bytes of a full data block, 4 KiB to 1 MiB.
    pub block_size: u32,
    /// The number of fragment blocks, which hold the ends of many files.
    pub fragments: u32,
    /// How blocks are compressed.
    pub compressor: Compressor,
    /// Bytes of the image, its padding left out.
    pub bytes_used: u64,
    pub(super) id_count: u16,
    pub(super) root_inode: u64,
    pub(super) id_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    /// Where the table of extended attributes begins; all ones where there is none.
    pub(super) xattr_table: u64,
}

impl Superblock {
    /// Reads and checks the superblock. Source: `struct squashfs_super_block`.
    pub(super) fn read(source: &dyn ReadAt) -> Result<Self, FormatError> {
        let data = source.up_to(0, SIZE as usize)?;
        if !data.starts_with(b"hsqs") {
            return Err(FormatError::corrupt(NAME, 0, "the magic `hsqs` is missing"));
        }
        let length = data.len() as u64;
        Self::fields(&data)
            .ok_or_else(|| FormatError::truncated(NAME, length, "the superblock does not end"))?
            .and_then(|superblock| superblock.checked(source))
    }

    fn fields(data: &[u8]) -> Option<Result<Self, FormatError>> {
        let version = (le16(data, 28)?, le16(data, 30)?);
        let compressor = match le16(data, 20)? {
            1 => Ok(Compressor::Gzip),
            2 => Ok(Compressor::Lzma),
            3 => Ok(Compressor::Lzo),
            4 => Ok(Compressor::Xz),
            5 => Ok(Compressor::Lz4),
            6 => Ok(Compressor::Zstd),
            other => Err(format!("compressor {other} is unknown")),
        };
        let block_size = le32(data, 12)?;
        let log = le16(data, 22)?;
        let superblock = |compressor| {
            Some(Self {
                inodes: le32(data, 4)?,
                made: le32(data, 8)?,
                block_size,
                fragments: le32(data, 16)?,
                compressor,
                bytes_used: le64(data, 40)?,
                id_count: le16(data, 26)?,
                root_inode: le64(data, 32)?,
                id_table: le64(data, 48)?,
                inode_table: le64(data, 64)?,
                directory_table: le64(data, 72)?,
                fragment_table: le64(data, 80)?,
                xattr_table: le64(data, 56)?,
            })
        };
        // The last field, so that a cut superblock is told as such.
        le64(data, 88)?;
        if version != (4, 0) {
            let what = format!("version {}.{}; only 4.0 is read", version.0, version.1);
            return Some(Err(FormatError::unsupported(NAME, 28, what)));
        }
        if !block_size.is_power_of_two()
            || !(4096..=1 << 20).contains(&block_size)
            || block_size.trailing_zeros() != u32::from(log)
        {
            let what = format!("a block size of {block_size} bytes (2^{log})");
            return Some(Err(FormatError::corrupt(NAME, 12, what)));
        }
        match compressor {
            Ok(compressor) => superblock(compressor).map(Ok),
            Err(what) => Some(Err(FormatError::unsupported(NAME, 20, what))),
        }
    }

    fn checked(self, source: &dyn ReadAt) -> Result<Self, FormatError> {
        // Its last byte, not its size: that of a stream is known only at its end.
        let last = self.bytes_used.saturating_sub(1);
        if source.up_to(last, 1)?.is_empty() {
            let length = source.size()?;
            let what = format!(
                "the image has {} bytes, only {length} are here",
                self.bytes_used
            );
            return Err(FormatError::truncated(NAME, length, what));
        }
        let tables = [
            ("id table", 48, self.id_table),
            ("inode table", 64, self.inode_table),
            ("directory table", 72, self.directory_table),
            ("fragment table", 80, self.fragment_table),
        ];
        for (name, at, start) in tables {
            let absent = start == NONE_64 && name == "fragment table" && self.fragments == 0;
            if !absent && !(SIZE..self.bytes_used).contains(&start) {
                let what = format!(
                    "the {name} should begin at byte {start}, outside of the image's {} bytes",
                    self.bytes_used
                );
                return Err(FormatError::corrupt(NAME, at, what));
            }
        }
        if self.inode_table > self.directory_table {
            return Err(FormatError::corrupt(
                NAME,
                64,
                "the inode table lies behind the directory table",
            ));
        }
        Ok(self)
    }
}
