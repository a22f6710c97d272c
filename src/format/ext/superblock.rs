//! The superblock: sizes, features, and whether the file system can be read as
//! it stands.

use super::NAME;
use crate::format::crc32c::crc32c;
use crate::format::field::{array, le16, le32};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

/// Where the superblock begins.
const PLACE: u64 = 1024;
/// Bytes of it.
const SIZE: usize = 1024;
/// Its checksum, the last field.
const CHECKSUM: usize = 1020;

/// Features that a reader may ignore.
mod compat {
    pub(super) const HAS_JOURNAL: u32 = 0x4;
    pub(super) const SPARSE_SUPER2: u32 = 0x200;
}

/// Features that a reader has to know.
mod incompat {
    pub(super) const COMPRESSION: u32 = 0x1;
    pub(super) const FILETYPE: u32 = 0x2;
    pub(super) const RECOVER: u32 = 0x4;
    pub(super) const JOURNAL_DEV: u32 = 0x8;
    pub(super) const META_BG: u32 = 0x10;
    pub(super) const EXTENTS: u32 = 0x40;
    pub(super) const WIDE: u32 = 0x80;
    pub(super) const MMP: u32 = 0x100;
    pub(super) const FLEX_BG: u32 = 0x200;
    pub(super) const EA_INODE: u32 = 0x400;
    pub(super) const DIRDATA: u32 = 0x1000;
    pub(super) const CSUM_SEED: u32 = 0x2000;
    pub(super) const LARGEDIR: u32 = 0x4000;
    pub(super) const INLINE_DATA: u32 = 0x8000;
    pub(super) const ENCRYPT: u32 = 0x1_0000;
    pub(super) const CASEFOLD: u32 = 0x2_0000;
    /// What is read here. Of `ENCRYPT`, all but what is really encrypted; of
    /// `CASEFOLD`, names as they are stored.
    pub(super) const READ: u32 = FILETYPE
        | META_BG
        | EXTENTS
        | WIDE
        | MMP
        | FLEX_BG
        | EA_INODE
        | CSUM_SEED
        | LARGEDIR
        | INLINE_DATA
        | ENCRYPT
        | CASEFOLD;
    /// What ext3 has of these; anything more makes it ext4.
    pub(super) const EXT3: u32 = FILETYPE | RECOVER | META_BG;
}

/// Features that only a writer has to know.
mod ro_compat {
    pub(super) const SPARSE_SUPER: u32 = 0x1;
    pub(super) const GDT_CSUM: u32 = 0x10;
    pub(super) const METADATA_CSUM: u32 = 0x400;
    /// `sparse_super`, `large_file` and trees of directories.
    pub(super) const EXT3: u32 = 0x7;
}

/// Which of the three it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// No journal, and nothing newer.
    Ext2,
    /// A journal, and nothing newer.
    Ext3,
    /// A feature that ext3 does not know.
    Ext4,
}

impl Version {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
        }
    }
}

/// How the descriptors of groups are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// They are not.
    None,
    /// By CRC-16.
    Crc16,
    /// By CRC-32C, as is all other metadata.
    Crc32c,
}

/// What the superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Which of the three it is. The features alone tell, as `blkid` has it.
    pub version: Version,
    /// Bytes of a block, 1 KiB to 64 KiB.
    pub block: u64,
    /// Blocks of the whole file system.
    pub blocks: u64,
    /// The number of inodes.
    pub inodes: u32,
    /// The label, escaped; empty where there is none.
    pub label: String,
    /// The UUID, in lower case.
    pub uuid: String,
    /// Whether blocks are counted by more than 32 bits.
    pub(super) wide: bool,
    /// Bytes of an inode.
    pub(super) inode: u64,
    pub(super) first_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) inodes_per_group: u32,
    /// Bytes of a group's descriptor.
    pub(super) descriptor: u64,
    /// The first block of descriptors that lies in its own group.
    pub(super) first_meta_group: Option<u64>,
    pub(super) backups: Backups,
    pub(super) check: Check,
    /// Where every checksum begins: that of the UUID, or stored.
    pub(super) seed: u32,
    pub(super) raw_uuid: [u8; 16],
    /// The features that keep the file system from being read: told by
    /// [`Superblock::readable`], so that its label can be read all the same.
    incompat: u32,
}

/// Which groups begin with a copy of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backups {
    /// All.
    All,
    /// The powers of 3, 5 and 7.
    Sparse,
    /// These two.
    Two([u32; 2]),
}

impl Superblock {
    /// Reads and checks the superblock. Source: `struct ext4_super_block`.
    ///
    /// Errors with [`FormatError::Corrupt`] where the checksum is wrong or
    /// sizes contradict one another. What keeps the file system from being
    /// read is no error here.
    pub fn read(source: &dyn ReadAt) -> Result<Self, FormatError> {
        let bytes = source.fetch(NAME, PLACE, SIZE as u64, "the superblock")?;
        let superblock = Self::fields(&bytes)
            .unwrap_or_else(|| Err(corrupt(0, "the superblock is cut".to_owned())))?;
        if superblock.check == Check::Crc32c {
            let sum = crc32c(!0, bytes.get(..CHECKSUM).unwrap_or_default());
            if le32(&bytes, CHECKSUM) != Some(sum) {
                return Err(corrupt(
                    CHECKSUM,
                    "the superblock's checksum is wrong".to_owned(),
                ));
            }
        }
        Ok(superblock)
    }

    fn fields(b: &[u8]) -> Option<Result<Self, FormatError>> {
        let wrong = |at, what: String| Some(Err(corrupt(at, what)));
        if le16(b, 0x38)? != 0xef53 {
            return wrong(0x38, "the magic number 0xef53 is missing".to_owned());
        }
        let (features, incompat, ro_compat) = (le32(b, 0x5c)?, le32(b, 0x60)?, le32(b, 0x64)?);
        let old = le32(b, 0x4c)? == 0;
        let (features, incompat, ro_compat) = if old {
            (0, 0, 0)
        } else {
            (features, incompat, ro_compat)
        };
        let log = le32(b, 0x18)?;
        if log > 6 {
            return wrong(0x18, format!("blocks of 2^{log} KiB"));
        }
        let block = 1024u64 << log;
        let inode = if old { 128 } else { u64::from(le16(b, 0x58)?) };
        if !inode.is_power_of_two() || !(128..=block).contains(&inode) {
            return wrong(
                0x58,
                format!("inodes of {inode} bytes in blocks of {block}"),
            );
        }
        let wide = incompat & incompat::WIDE != 0;
        let high = if wide { u64::from(le32(b, 0x150)?) } else { 0 };
        let blocks = high << 32 | u64::from(le32(b, 0x4)?);
        let descriptor = if wide { u64::from(le16(b, 0xfe)?) } else { 32 };
        if !descriptor.is_power_of_two() || descriptor > block || wide && descriptor < 64 {
            return wrong(0xfe, format!("descriptors of groups of {descriptor} bytes"));
        }
        let (blocks_per_group, inodes_per_group) = (u64::from(le32(b, 0x20)?), le32(b, 0x28)?);
        let first_block = u64::from(le32(b, 0x14)?);
        if blocks_per_group == 0 || inodes_per_group == 0 || first_block > 1 {
            let what = format!(
                "groups of {blocks_per_group} blocks and {inodes_per_group} inodes from block {first_block} on"
            );
            return wrong(0x14, what);
        }
        if blocks.checked_mul(block).is_none() {
            return wrong(0x4, format!("{blocks} blocks"));
        }
        let check = if ro_compat & ro_compat::METADATA_CSUM != 0 {
            Check::Crc32c
        } else if ro_compat & ro_compat::GDT_CSUM != 0 {
            Check::Crc16
        } else {
            Check::None
        };
        if check == Check::Crc32c && *b.get(0x175)? != 1 {
            return wrong(
                0x175,
                format!("checksums of the unknown kind {}", b.get(0x175)?),
            );
        }
        let raw_uuid = array(b, 0x68)?;
        let seed = if incompat & incompat::CSUM_SEED != 0 {
            le32(b, 0x270)?
        } else {
            crc32c(!0, &raw_uuid)
        };
        let version = if incompat & !incompat::EXT3 != 0 || ro_compat & !ro_compat::EXT3 != 0 {
            Version::Ext4
        } else if features & compat::HAS_JOURNAL != 0 {
            Version::Ext3
        } else {
            Version::Ext2
        };
        let backups = if features & compat::SPARSE_SUPER2 != 0 {
            Backups::Two([le32(b, 0x24c)?, le32(b, 0x250)?])
        } else if ro_compat & ro_compat::SPARSE_SUPER != 0 {
            Backups::Sparse
        } else {
            Backups::All
        };
        let label = b.get(0x78..0x88)?.split(|byte| *byte == 0).next()?;
        Some(Ok(Self {
            version,
            block,
            blocks,
            inodes: le32(b, 0)?,
            label: escape(label),
            uuid: uuid(&raw_uuid),
            wide,
            inode,
            first_block,
            blocks_per_group,
            inodes_per_group,
            descriptor,
            first_meta_group: (incompat & incompat::META_BG != 0)
                .then(|| le32(b, 0x104).map(u64::from))
                .flatten(),
            backups,
            check,
            seed,
            raw_uuid,
            incompat,
        }))
    }

    /// Errors with [`FormatError::Unsupported`] where what is on the disk is
    /// not what a mounted file system would show: its journal has to be
    /// replayed first, or it has features that are not known here.
    pub(super) fn readable(&self) -> Result<(), FormatError> {
        let unsupported = |what: String| Err(FormatError::unsupported(NAME, PLACE + 0x60, what));
        if self.incompat & incompat::JOURNAL_DEV != 0 {
            return unsupported(
                "it is the journal of another file system, and holds no files".into(),
            );
        }
        if self.incompat & incompat::RECOVER != 0 {
            return unsupported(
                "it was not unmounted: its journal holds changes that are not in their place yet; \
                 replay it with `e2fsck -fy` on a copy, or unmount it before it is copied"
                    .into(),
            );
        }
        let unread = [
            (incompat::COMPRESSION, "compression"),
            (incompat::DIRDATA, "dirdata"),
        ];
        if let Some((_, name)) = unread.iter().find(|(bit, _)| self.incompat & bit != 0) {
            return unsupported(format!("the feature `{name}`"));
        }
        match self.incompat & !incompat::READ {
            0 => Ok(()),
            unknown => unsupported(format!("features that are not known here ({unknown:#x})")),
        }
    }

    /// Tells whether metadata carry CRC-32C checksums.
    pub(super) fn checked(&self) -> bool {
        self.check == Check::Crc32c
    }

    /// Gives where a block begins; `None` of one that lies outside.
    pub(super) fn at(&self, block: u64) -> Option<u64> {
        (block < self.blocks).then(|| block * self.block)
    }
}

fn corrupt(at: usize, what: String) -> FormatError {
    FormatError::corrupt(NAME, PLACE + at as u64, what)
}

/// Writes a UUID as people do.
fn uuid(raw: &[u8; 16]) -> String {
    let value = u128::from_be_bytes(*raw);
    let group = |shift: u32, digits: usize| {
        let part = value >> shift & ((1 << (digits * 4)) - 1);
        format!("{part:0digits$x}")
    };
    [
        group(96, 8),
        group(80, 4),
        group(64, 4),
        group(48, 4),
        group(0, 12),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_in_five_groups() {
        let mut raw = [0; 16];
        raw[0] = 0x1f;
        raw[15] = 0x2e;
        assert_eq!(uuid(&raw), "1f000000-0000-0000-0000-00000000002e");
    }
}
