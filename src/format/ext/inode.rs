//! Inodes: 128 bytes of old, and what newer ones have behind them.

use super::{Ext, NAME};
use crate::format::crc32c::{crc32c, crc32c_without};
use crate::format::field::{array, le16, le32};
use crate::format::{Bytes, FileType, FormatError};

/// Bits of an inode's flags. Source: `fs/ext4/ext4.h`.
mod flag {
    pub(super) const ENCRYPTED: u32 = 0x800;
    pub(super) const INDEX: u32 = 0x1000;
    pub(super) const EXTENTS: u32 = 0x8_0000;
    pub(super) const EA_INODE: u32 = 0x20_0000;
    pub(super) const INLINE: u32 = 0x1000_0000;
}

/// Bytes of the part that every inode has.
const BASE: usize = 128;
/// The checksum's lower half, which every inode has, and its upper one.
const CHECKSUM: [usize; 2] = [0x7c, 0x82];

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) number: u32,
    /// Where it is in the file system.
    pub(super) at: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) size: u64,
    pub(super) nlink: u32,
    flags: u32,
    /// Sixty bytes: a map of blocks, extents, a link's target, a device or the
    /// first bytes of the content.
    pub(super) block: [u8; 60],
    /// The block of its extended attributes; 0 stands for none.
    pub(super) xattr_block: u64,
    /// What lies behind the fields: the extended attributes in the inode.
    pub(super) rest: Bytes,
    /// Where checksums of what belongs to it begin.
    pub(super) seed: u32,
}

impl Inode {
    /// Reads an inode. Source: `struct ext4_inode`, `ext4_inode_csum`.
    ///
    /// Errors with [`FormatError::Corrupt`] where its checksum is wrong or it
    /// is in use by no file.
    pub(super) fn read(ext: &Ext, number: u32) -> Result<Self, FormatError> {
        let at = ext.inode_at(number)?;
        let bytes = ext
            .source
            .fetch(NAME, at, ext.superblock.inode, "an inode")?;
        let inode = Self::fields(ext, number, at, &bytes)
            .ok_or_else(|| FormatError::corrupt(NAME, at, format!("inode {number} is cut")))?;
        inode.check(ext, &bytes)?;
        let unused = inode.mode == 0 || inode.nlink == 0 && !inode.holds_attribute();
        if unused {
            let what = format!("inode {number} is named and not in use");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        Ok(inode)
    }

    fn fields(ext: &Ext, number: u32, at: u64, b: &Bytes) -> Option<Self> {
        let wide = |low: usize, high: usize| {
            Some(u32::from(le16(b, high)?) << 16 | u32::from(le16(b, low)?))
        };
        let extra = match b.len() {
            0..=BASE => 0,
            _ => usize::from(le16(b, BASE)?),
        };
        // Signed, and two bits more than 32 where the inode has them.
        let mut mtime = i64::from(le32(b, 0x10)?.cast_signed());
        if extra >= 12 {
            mtime += i64::from(le32(b, 0x88)? & 3) << 32;
        }
        let generation = le32(b, 0x64)?;
        let seed = crc32c(ext.superblock.seed, &number.to_le_bytes());
        let rest = (BASE + extra).min(b.len());
        Some(Self {
            number,
            at,
            mode: u32::from(le16(b, 0)?),
            uid: wide(0x2, 0x78)?,
            gid: wide(0x18, 0x7a)?,
            mtime,
            size: u64::from(le32(b, 0x6c)?) << 32 | u64::from(le32(b, 0x4)?),
            nlink: u32::from(le16(b, 0x1a)?),
            flags: le32(b, 0x20)?,
            block: array(b, 0x28)?,
            xattr_block: match ext.superblock.wide {
                true => u64::from(le16(b, 0x76)?) << 32 | u64::from(le32(b, 0x68)?),
                false => u64::from(le32(b, 0x68)?),
            },
            rest: if extra == 0 {
                Bytes::default()
            } else {
                b.slice(rest..b.len())?
            },
            seed: crc32c(seed, &generation.to_le_bytes()),
        })
    }

    fn check(&self, ext: &Ext, bytes: &Bytes) -> Result<(), FormatError> {
        let extra = le16(bytes, BASE)
            .filter(|_| bytes.len() > BASE)
            .unwrap_or_default();
        if usize::from(extra) > bytes.len().saturating_sub(BASE) || !extra.is_multiple_of(4) {
            return Err(self.corrupt(format!("{extra} bytes behind the first 128")));
        }
        if !ext.superblock.checked() {
            return Ok(());
        }
        let [low, high] = CHECKSUM;
        let wide = extra >= 4;
        let base = bytes.get(..BASE).unwrap_or_default();
        let mut sum = crc32c_without(self.seed, base, low..low + 2);
        let rest = bytes.get(BASE..).unwrap_or_default();
        sum = match wide {
            true => crc32c_without(sum, rest, high - BASE..high - BASE + 2),
            false => crc32c(sum, rest),
        };
        let stored = u32::from(le16(bytes, low).unwrap_or_default());
        let right = match wide {
            true => u32::from(le16(bytes, high).unwrap_or_default()) << 16 | stored == sum,
            false => stored == sum & 0xffff,
        };
        if right {
            return Ok(());
        }
        Err(self.corrupt("its checksum is wrong"))
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::of_mode(self.mode)
    }

    /// Tells whether its content lies in the inode itself.
    pub(super) fn is_inline(&self) -> bool {
        self.flags & flag::INLINE != 0
    }

    /// Tells whether its blocks are found through extents.
    pub(super) fn has_extents(&self) -> bool {
        self.flags & flag::EXTENTS != 0
    }

    /// Tells whether the directory has a tree of hashes beside its names.
    pub(super) fn is_indexed(&self) -> bool {
        self.flags & flag::INDEX != 0
    }

    /// Tells whether it is no file, but the value of an extended attribute.
    pub(super) fn holds_attribute(&self) -> bool {
        self.flags & flag::EA_INODE != 0
    }

    /// Gives the target of a link that is short enough to lie where the map of
    /// blocks would be. Source: `ext4_inode_is_fast_symlink`.
    pub(super) fn fast_target(&self) -> Option<&[u8]> {
        let fast = !self.is_inline() && !self.has_extents();
        let length = usize::try_from(self.size).ok()?;
        self.block.get(..length).filter(|_| fast && length < 60)
    }

    /// Gives a device's numbers: sixteen bits of old, or thirty-two. Source:
    /// `old_decode_dev` and `new_decode_dev` in `linux/kdev_t.h`.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.kind(), FileType::CharDevice | FileType::BlockDevice) {
            return None;
        }
        let (old, new) = (le32(&self.block, 0)?, le32(&self.block, 4)?);
        Some(if old != 0 {
            (old >> 8 & 0xff, old & 0xff)
        } else {
            ((new & 0xf_ff00) >> 8, new & 0xff | new >> 12 & 0xf_ff00)
        })
    }

    /// Errors with [`FormatError::Unsupported`] where names or content can only
    /// be read with a key.
    pub(super) fn plain(&self) -> Result<(), FormatError> {
        if self.flags & flag::ENCRYPTED == 0 {
            return Ok(());
        }
        let what = format!(
            "inode {} is encrypted; without its key nothing of it can be read",
            self.number
        );
        Err(FormatError::unsupported(NAME, self.at, what))
    }

    pub(super) fn corrupt(&self, what: impl AsRef<str>) -> FormatError {
        let what = format!("inode {}: {}", self.number, what.as_ref());
        FormatError::corrupt(NAME, self.at, what)
    }
}
