//! Inodes, in 32 or 64 bytes.

use super::{Erofs, NAME};
use crate::format::field::{le16, le32, le64};
use crate::format::{FileType, FormatError};

/// Bytes of an inode's place: a number counts them.
const SLOT: u64 = 32;

/// How the content of an inode is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One after another, from this block on; `None` where there is nothing but
    /// zeros.
    Plain(Option<u64>),
    /// The same, its last part behind the inode.
    Inline(u64),
    /// Compressed, with an index of eight bytes for each logical cluster, or a
    /// list of extents.
    Full,
    /// Compressed, with an index of two or four bytes for each logical cluster.
    Compact,
    /// In chunks, found through a list of them: its format.
    Chunks(u16),
}

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) number: u64,
    /// Where it is in the image.
    pub(super) at: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) size: u64,
    pub(super) nlink: u32,
    pub(super) layout: Layout,
    /// Where extended attributes begin, and their bytes.
    pub(super) xattrs: (u64, u64),
    raw: u32,
}

impl Inode {
    /// Reads an inode. Source: `struct erofs_inode_compact` and
    /// `struct erofs_inode_extended`.
    pub(super) fn read(erofs: &Erofs, number: u64) -> Result<Self, FormatError> {
        let meta = erofs.superblock().meta;
        let at = number
            .checked_mul(SLOT)
            .and_then(|offset| offset.checked_add(meta));
        let at = at.ok_or_else(|| FormatError::corrupt(NAME, meta, format!("inode {number}")))?;
        let start = erofs.source().fetch(NAME, at, SLOT, "an inode")?;
        let extended = start.first().is_some_and(|format| format & 1 == 1);
        let bytes = match extended {
            true => erofs.source().fetch(NAME, at, 2 * SLOT, "an inode")?,
            false => start,
        };
        Self::fields(erofs, number, at, extended, &bytes).unwrap_or_else(|| {
            Err(FormatError::corrupt(
                NAME,
                at,
                format!("inode {number} is cut"),
            ))
        })
    }

    fn fields(
        erofs: &Erofs,
        number: u64,
        at: u64,
        extended: bool,
        b: &[u8],
    ) -> Option<Result<Self, FormatError>> {
        let (format, mode) = (le16(b, 0)?, u32::from(le16(b, 4)?));
        let kind = FileType::of_mode(mode);
        let corrupt = |what: String| {
            Some(Err(FormatError::corrupt(
                NAME,
                at,
                format!("inode {number}: {what}"),
            )))
        };
        if format >> 5 != 0 {
            return corrupt(format!("the unknown format {format:#x}"));
        }
        if kind == FileType::Unknown {
            return corrupt(format!("the mode {mode:#o} is of no file"));
        }
        let (raw, half) = (le32(b, 16)?, u64::from(le16(b, 6)?));
        // A short inode has one field for the number of its names and the high half of its block.
        let single = !extended && kind != FileType::Directory && format & 0x10 != 0;
        let wide = erofs.superblock().wide && (extended || single);
        let block = if wide {
            half << 32 | u64::from(raw)
        } else {
            u64::from(raw)
        };
        let none = if wide {
            (1 << 48) - 1
        } else {
            u64::from(u32::MAX)
        };
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain((block != none).then_some(block)),
            1 => Layout::Full,
            2 => Layout::Inline(block),
            3 => Layout::Compact,
            4 => Layout::Chunks((raw & 0xffff) as u16),
            other => return corrupt(format!("the unknown layout {other}")),
        };
        let size = if extended {
            le64(b, 8)?
        } else {
            u64::from(le32(b, 8)?)
        };
        let xattr = match u64::from(le16(b, 2)?) {
            0 => 0,
            count => 12 + (count - 1) * 4,
        };
        let length = if extended { 2 * SLOT } else { SLOT };
        Some(Ok(Self {
            number,
            at,
            mode,
            uid: if extended {
                le32(b, 24)?
            } else {
                u32::from(le16(b, 24)?)
            },
            gid: if extended {
                le32(b, 28)?
            } else {
                u32::from(le16(b, 26)?)
            },
            mtime: match extended {
                true => le64(b, 32)?.cast_signed(),
                false => erofs
                    .superblock()
                    .epoch
                    .wrapping_add(i64::from(le32(b, 12)?)),
            },
            size,
            nlink: match (extended, single) {
                (true, _) => le32(b, 44)?,
                (false, true) => 1,
                (false, false) => u32::from(le16(b, 6)?),
            },
            layout,
            xattrs: (at + length, xattr),
            raw,
        }))
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::of_mode(self.mode)
    }

    /// Gives where the fields and the extended attributes end, and what belongs
    /// to the layout begins.
    pub(super) fn end(&self) -> u64 {
        self.xattrs.0.saturating_add(self.xattrs.1)
    }

    /// Gives a device's numbers. Source: `new_decode_dev` in `linux/kdev_t.h`.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        let device = matches!(self.kind(), FileType::CharDevice | FileType::BlockDevice);
        let major = (self.raw & 0xf_ff00) >> 8;
        let minor = self.raw & 0xff | self.raw >> 12 & 0xf_ff00;
        device.then_some((major, minor))
    }

    pub(super) fn corrupt(&self, what: impl AsRef<str>) -> FormatError {
        let what = format!("inode {}: {}", self.number, what.as_ref());
        FormatError::corrupt(NAME, self.at, what)
    }

    pub(super) fn unsupported(&self, what: impl AsRef<str>) -> FormatError {
        let what = format!("inode {}: {}", self.number, what.as_ref());
        FormatError::unsupported(NAME, self.at, what)
    }
}
