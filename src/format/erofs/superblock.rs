//! The superblock, 1024 bytes into the image.

use super::NAME;
use crate::format::crc32c::crc32c_without;
use crate::format::field::{le16, le32, le64};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

/// Where the superblock begins.
const PLACE: u64 = 1024;
/// Bytes of it without extensions.
const SIZE: u64 = 128;

/// Features that a reader may ignore.
mod compat {
    pub(super) const CHECKSUM: u32 = 0x1;
    pub(super) const SHARED_IN_METABOX: u32 = 0x8;
    pub(super) const PLAIN_PREFIXES: u32 = 0x10;
}

/// Features that a reader has to know.
mod incompat {
    pub(super) const ZERO_PADDING: u32 = 0x1;
    /// Big physical clusters as well.
    pub(super) const CONFIGURATIONS: u32 = 0x2;
    pub(super) const CHUNKS: u32 = 0x4;
    /// A second algorithm in one file as well.
    pub(super) const DEVICES: u32 = 0x8;
    pub(super) const TAIL_PACKING: u32 = 0x10;
    /// Shared clusters as well.
    pub(super) const FRAGMENTS: u32 = 0x20;
    pub(super) const PREFIXES: u32 = 0x40;
    pub(super) const WIDE: u32 = 0x80;
    pub(super) const METABOX: u32 = 0x100;
    /// What is read here.
    pub(super) const READ: u32 = ZERO_PADDING
        | CONFIGURATIONS
        | CHUNKS
        | DEVICES
        | TAIL_PACKING
        | FRAGMENTS
        | PREFIXES
        | WIDE;
}

/// What the superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Bytes of a block, 512 to 64 KiB.
    pub block: u64,
    /// Blocks of the image.
    pub blocks: u64,
    /// The number of inodes.
    pub inodes: u64,
    /// The label, escaped; empty where there is none.
    pub label: String,
    /// Seconds since 1970 from which short inodes count.
    pub(super) epoch: i64,
    /// The number of the root.
    pub(super) root: u64,
    /// The number of the file that holds fragments; `None` where there is none.
    pub(super) packed: Option<u64>,
    /// Where inodes begin.
    pub(super) meta: u64,
    /// Where shared extended attributes begin.
    pub(super) xattrs: u64,
    /// How many long prefixes there are, where they begin, and whether they lie
    /// in the image rather than in the file of fragments.
    pub(super) prefixes: (u8, u64, bool),
    /// Whether compressed data end at the end of their cluster, zeros before
    /// them.
    pub(super) zero_padding: bool,
    /// Whether blocks are counted by 48 bits.
    pub(super) wide: bool,
    incompat: u32,
    devices: u16,
}

impl Superblock {
    /// Reads and checks the superblock. Source: `struct erofs_super_block` in
    /// `fs/erofs/erofs_fs.h`.
    ///
    /// Errors with [`FormatError::Corrupt`] where its checksum is wrong or its
    /// sizes make no sense.
    pub fn read(source: &dyn ReadAt) -> Result<Self, FormatError> {
        let bytes = source.fetch(NAME, PLACE, SIZE, "the superblock")?;
        let superblock = Self::fields(&bytes)
            .unwrap_or_else(|| Err(corrupt(0, "the superblock is cut".to_owned())))?;
        if le32(&bytes, 8).is_some_and(|features| features & compat::CHECKSUM != 0) {
            // What is left of the block behind the first KiB, or a block of its own.
            let length = match superblock.block {
                block if block > PLACE => block - PLACE,
                block => block,
            };
            let counted = source.fetch(NAME, PLACE, length, "the superblock's block")?;
            if le32(&bytes, 4) != Some(crc32c_without(!0, &counted, 4..8)) {
                return Err(corrupt(4, "the superblock's checksum is wrong".to_owned()));
            }
        }
        Ok(superblock)
    }

    fn fields(b: &[u8]) -> Option<Result<Self, FormatError>> {
        if le32(b, 0)? != 0xe0f5_e1e2 {
            return Some(Err(corrupt(0, "the magic number is missing".to_owned())));
        }
        let (features, incompat) = (le32(b, 8)?, le32(b, 0x50)?);
        let log = *b.get(12)?;
        if !(9..=16).contains(&log) {
            return Some(Err(corrupt(12, format!("blocks of 2^{log} bytes"))));
        }
        let block = 1u64 << log;
        let wide = incompat & incompat::WIDE != 0;
        let short = u64::from(le16(b, 14)?);
        let long = le64(b, 0x70)?;
        // With the number of the root elsewhere, its old place counts blocks.
        let (root, high) = match wide && long != 0 {
            true => (long, short),
            false => (short, 0),
        };
        let fragments = incompat & incompat::FRAGMENTS != 0;
        let packed = le64(b, 0x60)?;
        let label = b.get(0x40..0x50)?.split(|byte| *byte == 0).next()?;
        if *b.get(0x5a)? != 0 {
            let what = format!(
                "directories in blocks of their own size (2^{})",
                b.get(0x5a)?
            );
            return Some(Err(FormatError::unsupported(NAME, PLACE + 0x5a, what)));
        }
        Some(Ok(Self {
            block,
            blocks: high << 32 | u64::from(le32(b, 0x24)?),
            inodes: le64(b, 16)?,
            label: escape(label),
            epoch: le64(b, 24)?.cast_signed(),
            root,
            packed: (fragments && packed != 0).then_some(packed),
            meta: u64::from(le32(b, 0x28)?) * block,
            xattrs: u64::from(le32(b, 0x2c)?) * block,
            prefixes: (
                if incompat & incompat::PREFIXES != 0 {
                    *b.get(0x5b)?
                } else {
                    0
                },
                u64::from(le32(b, 0x5c)?) * 4,
                features & compat::PLAIN_PREFIXES != 0,
            ),
            zero_padding: incompat & incompat::ZERO_PADDING != 0,
            wide,
            incompat: incompat
                | if features & compat::SHARED_IN_METABOX != 0 {
                    incompat::METABOX
                } else {
                    0
                },
            devices: le16(b, 0x56)?,
        }))
    }

    /// Tells whether bytes lie inside of the image.
    pub(super) fn holds(&self, at: u64, length: u64) -> bool {
        let end = at.checked_add(length);
        end.is_some_and(|end| end.div_ceil(self.block) <= self.blocks)
    }

    /// Errors with [`FormatError::Unsupported`] where a part of the image lies
    /// elsewhere or is stored in a way that is not known here, with
    /// [`FormatError::Truncated`] where its last block is missing.
    pub(super) fn readable(&self, source: &dyn ReadAt) -> Result<(), FormatError> {
        let unsupported =
            |at: u64, what: String| Err(FormatError::unsupported(NAME, PLACE + at, what));
        if self.incompat & incompat::METABOX != 0 {
            return unsupported(
                0x50,
                "compressed metadata; make the image without `metabox`".into(),
            );
        }
        let unknown = self.incompat & !incompat::READ;
        if unknown != 0 {
            return unsupported(
                0x50,
                format!("features that are not known here ({unknown:#x})"),
            );
        }
        // The same bit says that a file may have a second algorithm.
        if self.incompat & incompat::DEVICES != 0 && self.devices > 0 {
            let what = format!(
                "{} further devices, which hold the data of its files",
                self.devices
            );
            return unsupported(0x56, what);
        }
        let last = self
            .blocks
            .checked_mul(self.block)
            .and_then(|size| size.checked_sub(1));
        let Some(last) = last else {
            return Err(corrupt(0x24, format!("{} blocks", self.blocks)));
        };
        if source.up_to(last, 1)?.is_empty() {
            let length = source.size()?;
            let what = format!("the image has {} bytes, only {length} are here", last + 1);
            return Err(FormatError::truncated(NAME, length, what));
        }
        Ok(())
    }
}

fn corrupt(at: u64, what: String) -> FormatError {
    FormatError::corrupt(NAME, PLACE + at, what)
}
