//! Extended attributes: a table of sets, each of which many inodes may share.
//!
//! Source: `struct squashfs_xattr_*` in `squashfs_fs.h`, `xattr.c` and
//! `xattr_id.c` of Linux.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::metadata::Cursor;
use super::{Inner, NAME, NONE_32, NONE_64};
use crate::format::node::escape;
use crate::format::{FormatError, Xattrs};

/// The value lies elsewhere in the table, and other sets share it.
const OUT_OF_LINE: u16 = 0x100;
/// Bytes of a value at most: Linux's `XATTR_SIZE_MAX`.
const MAX_VALUE: u32 = 1 << 16;
/// Attributes of one set at most.
const MAX_COUNT: u32 = 1024;
/// Bytes of sets that an image keeps decoded.
const KEPT: usize = 16 << 20;

/// The sets that were decoded, with their bytes.
#[derive(Debug, Default)]
pub(super) struct XattrCache {
    sets: Mutex<(usize, HashMap<u32, Xattrs>)>,
}

impl Inner {
    /// Gives the set of an inode; [`NONE_32`] stands for none.
    ///
    /// Errors with [`FormatError::Corrupt`] for a set that is not in the table,
    /// a prefix that is none of the three, and values over 64 KiB.
    pub(super) fn xattrs(&self, index: u32) -> Result<Xattrs, FormatError> {
        if index == NONE_32 {
            return Ok(Xattrs::default());
        }
        let sets = &self.xattrs.sets;
        let held = sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = held.1.get(&index) {
            return Ok(Xattrs::clone(set));
        }
        drop(held);
        let set = self.read_xattrs(index)?;
        let bytes: usize = set
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let mut held = sets.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 + bytes > KEPT {
            *held = (0, HashMap::new());
        }
        held.0 += bytes;
        held.1.insert(index, Xattrs::clone(&set));
        Ok(set)
    }

    fn read_xattrs(&self, index: u32) -> Result<Xattrs, FormatError> {
        let table = self.superblock.xattr_table;
        let corrupt = |what: String| FormatError::corrupt(NAME, table, what);
        if table == NONE_64 {
            return Err(corrupt(format!(
                "an inode has the extended attributes {index}, and the image has no table of them"
            )));
        }
        let header = self
            .data
            .fetch(NAME, table, 16, "the table of extended attributes")?;
        let start = super::super::field::le64(&header, 0).unwrap_or(NONE_64);
        let sets = super::super::field::le32(&header, 8).unwrap_or_default();
        if index >= sets {
            return Err(corrupt(format!(
                "extended attributes {index} of {sets} sets"
            )));
        }
        let what = "table of extended attributes";
        let [low, high, count, _size] =
            self.indexed::<16, 4>(table.saturating_add(16), u64::from(index), what)?;
        if count > MAX_COUNT {
            return Err(corrupt(format!("{count} extended attributes of one inode")));
        }
        let reference = u64::from(high) << 32 | u64::from(low);
        let mut cursor = self.at_reference(start, reference)?;
        let mut set = Vec::new();
        for _ in 0..count {
            set.push(self.read_xattr(&mut cursor, start)?);
        }
        set.sort();
        Ok(set.into())
    }

    fn read_xattr(
        &self,
        cursor: &mut Cursor<'_>,
        start: u64,
    ) -> Result<(String, Vec<u8>), FormatError> {
        let kind = cursor.u16()?;
        let prefix = match kind & 0xff {
            0 => "user.",
            1 => "trusted.",
            2 => "security.",
            other => {
                let what = format!("an extended attribute with the unknown prefix {other}");
                return Err(FormatError::corrupt(NAME, cursor.position(), what));
            }
        };
        let length = cursor.u16()?;
        let name = cursor.bytes(usize::from(length))?;
        let value = if kind & OUT_OF_LINE == 0 {
            value(cursor)?
        } else {
            let _size = cursor.u32()?;
            let reference = cursor.u64()?;
            value(&mut self.at_reference(start, reference)?)?
        };
        Ok((format!("{prefix}{}", escape(&name)), value))
    }

    fn at_reference(&self, start: u64, reference: u64) -> Result<Cursor<'_>, FormatError> {
        let block = start.saturating_add(reference >> 16);
        Cursor::new(self, block, reference & 0xffff)
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, FormatError> {
    let size = cursor.u32()?;
    if size > MAX_VALUE {
        let what = format!("an extended attribute of {size} bytes; 65536 is the most");
        return Err(FormatError::corrupt(NAME, cursor.position(), what));
    }
    cursor.bytes(size as usize)
}
