//! Groups: where the inodes are.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::superblock::{Backups, Check, Superblock};
use super::{Ext, NAME};
use crate::format::FormatError;
use crate::format::crc32c::{crc32c, crc32c_without};
use crate::format::field::{le16, le32};

/// Groups whose tables are remembered; 8 TiB have as many.
const KEPT: usize = 1 << 16;
/// The checksum of a descriptor.
const CHECKSUM: usize = 0x1e;

/// Where the tables of inodes of groups begin, as far as they were asked for.
#[derive(Debug, Default)]
pub(super) struct Tables {
    places: Mutex<HashMap<u32, u64>>,
}

impl Ext {
    /// Gives where an inode is.
    ///
    /// Errors with [`FormatError::Corrupt`] for a number that no inode has.
    pub(super) fn inode_at(&self, number: u32) -> Result<u64, FormatError> {
        let superblock = &self.superblock;
        if number == 0 || number > superblock.inodes {
            let what = format!("inode {number} of {}", superblock.inodes);
            return Err(FormatError::corrupt(NAME, 1024, what));
        }
        let group = (number - 1) / superblock.inodes_per_group;
        let index = (number - 1) % superblock.inodes_per_group;
        let table = self.table(group)?;
        Ok(table.saturating_add(u64::from(index) * superblock.inode))
    }

    /// Gives where the table of inodes of a group begins.
    fn table(&self, group: u32) -> Result<u64, FormatError> {
        let places = &self.tables.places;
        let held = places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = held.get(&group) {
            return Ok(*place);
        }
        drop(held);
        let place = self.read_table(group)?;
        let mut held = places.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= KEPT {
            held.clear();
        }
        held.insert(group, place);
        Ok(place)
    }

    /// Source: `struct ext4_group_desc`, `ext4_group_desc_csum`.
    fn read_table(&self, group: u32) -> Result<u64, FormatError> {
        let superblock = &self.superblock;
        let at = descriptor_at(superblock, group).ok_or_else(|| {
            FormatError::corrupt(NAME, 1024, format!("group {group} lies outside"))
        })?;
        let what = "the descriptor of a group";
        let bytes = self.source.fetch(NAME, at, superblock.descriptor, what)?;
        let number = group.to_le_bytes();
        let sum = match superblock.check {
            Check::None => None,
            Check::Crc16 => {
                let sum = crc16(crc16(!0, &superblock.raw_uuid), &number);
                let sum = crc16(sum, bytes.get(..CHECKSUM).unwrap_or_default());
                Some(crc16(sum, bytes.get(CHECKSUM + 2..).unwrap_or_default()))
            }
            Check::Crc32c => {
                let sum = crc32c(superblock.seed, &number);
                let sum = crc32c_without(sum, &bytes, CHECKSUM..CHECKSUM + 2);
                Some((sum & 0xffff) as u16)
            }
        };
        if sum.is_some() && sum != le16(&bytes, CHECKSUM) {
            let what = format!("the checksum of the descriptor of group {group} is wrong");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let low = u64::from(le32(&bytes, 0x8).unwrap_or_default());
        let high = u64::from(le32(&bytes, 0x28).unwrap_or_default());
        let block = high << 32 | low;
        superblock.at(block).ok_or_else(|| {
            let what = format!(
                "the inodes of group {group} in block {block} of {}",
                superblock.blocks
            );
            FormatError::corrupt(NAME, at, what)
        })
    }
}

/// Gives where the descriptor of a group is. Source: `descriptor_loc` in
/// `fs/ext4/super.c`.
fn descriptor_at(superblock: &Superblock, group: u32) -> Option<u64> {
    let per_block = superblock.block / superblock.descriptor;
    let (index, inside) = (u64::from(group) / per_block, u64::from(group) % per_block);
    let block = match superblock.first_meta_group {
        Some(first) if index >= first => {
            let group = index * per_block;
            let mut skip = u64::from(has_backup(superblock.backups, group));
            if superblock.block == 1024 && index == 0 && superblock.first_block == 0 {
                skip += 1;
            }
            superblock.first_block + group * superblock.blocks_per_group + skip
        }
        Some(_) | None => superblock.first_block + 1 + index,
    };
    Some(superblock.at(block)? + inside * superblock.descriptor)
}

/// Tells whether a group begins with a copy of the superblock.
fn has_backup(backups: Backups, group: u64) -> bool {
    let power = |base: u64| {
        let mut value = base;
        while value < group {
            value *= base;
        }
        value == group
    };
    match backups {
        Backups::All => true,
        Backups::Sparse => group < 2 || power(3) || power(5) || power(7),
        Backups::Two(groups) => group == 0 || groups.iter().any(|g| u64::from(*g) == group),
    }
}

/// CRC-16 with the polynomial 0x8005, its lowest power first. Source:
/// `lib/crc16.c` of Linux.
fn crc16(sum: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(sum, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| match sum & 1 {
            1 => sum >> 1 ^ 0xa001,
            _ => sum >> 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_polynomial_is_met() {
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }

    #[test]
    fn copies_of_the_superblock_are_where_they_are() {
        let sparse: Vec<u64> = (0..130)
            .filter(|g| has_backup(Backups::Sparse, *g))
            .collect();
        assert_eq!(sparse, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
        assert!(has_backup(Backups::Two([1, 9]), 9) && !has_backup(Backups::Two([1, 9]), 3));
    }
}
