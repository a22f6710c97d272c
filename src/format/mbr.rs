//! Partition tables of the older form, with the chain of logical partitions.
//!
//! Source: UEFI specification 2.10, §5.2.1; the chain of extended boot records
//! as `block/partitions/msdos.c` of Linux reads it.

use super::field::{array, le16, le32};
use super::partition::{Partition, Table, TableKind};
use super::{FormatError, ReadAt};

const NAME: &str = "mbr";
const SECTOR: u64 = 512;
/// Records that a chain has at most, as in Linux.
const MAX_LOGICAL: u32 = 100;
/// Types of a partition that holds others.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// Reads the table in the first sector.
///
/// Errors with [`FormatError::Corrupt`] where there is none, and where the
/// chain of logical partitions leads round in a circle or does not end.
pub fn read(source: &dyn ReadAt) -> Result<Table, FormatError> {
    let sector = source.fetch(NAME, 0, SECTOR, "the first sector")?;
    if le16(&sector, 510) != Some(0xaa55) {
        let what = "no partition table: the first sector does not end in 55 aa";
        return Err(FormatError::corrupt(NAME, 510, what));
    }
    let mut partitions = Vec::new();
    for number in 1..=4 {
        let Some(entry) = Entry::read(&sector, number - 1) else {
            continue;
        };
        if EXTENDED.contains(&entry.kind) {
            logical(source, entry.first, &mut partitions)?;
        } else {
            partitions.push(entry.partition(number, 0));
        }
    }
    partitions.sort_by_key(|partition: &Partition| partition.number);
    let signature = le32(&sector, 440).unwrap_or_default();
    Ok(Table {
        kind: TableKind::Mbr,
        sector: SECTOR,
        disk: format!("0x{signature:08x}"),
        partitions,
    })
}

struct Entry {
    flag: u8,
    kind: u8,
    first: u32,
    sectors: u32,
}

impl Entry {
    /// Reads an entry of the table; `None` where it is unused.
    fn read(sector: &[u8], index: u32) -> Option<Self> {
        let at = 446 + index as usize * 16;
        let bytes: [u8; 16] = array(sector, at)?;
        let [flag, _, _, _, kind, ..] = bytes;
        let entry = Self {
            flag,
            kind,
            first: le32(&bytes, 8)?,
            sectors: le32(&bytes, 12)?,
        };
        (entry.kind != 0 && entry.sectors != 0).then_some(entry)
    }

    fn partition(&self, number: u32, base: u32) -> Partition {
        Partition {
            name: String::new(),
            number,
            label: String::new(),
            kind: format!("0x{:02x}", self.kind),
            uuid: None,
            start: (u64::from(base) + u64::from(self.first)) * SECTOR,
            size: u64::from(self.sectors) * SECTOR,
            attributes: u64::from(self.flag),
        }
    }
}

/// Follows the chain of extended boot records: each has one partition, and
/// where the next record is, counted from the first.
fn logical(
    source: &dyn ReadAt,
    extended: u32,
    partitions: &mut Vec<Partition>,
) -> Result<(), FormatError> {
    let mut record = extended;
    let mut number = 5;
    for _ in 0..MAX_LOGICAL {
        let at = u64::from(record) * SECTOR;
        let sector = source.fetch(NAME, at, SECTOR, "an extended boot record")?;
        if le16(&sector, 510) != Some(0xaa55) {
            let what = "an extended boot record does not end in 55 aa";
            return Err(FormatError::corrupt(NAME, at, what));
        }
        if let Some(entry) = Entry::read(&sector, 0) {
            partitions.push(entry.partition(number, record));
            number += 1;
        }
        let Some(next) = Entry::read(&sector, 1) else {
            return Ok(());
        };
        record = extended.saturating_add(next.first);
    }
    let what = "the chain of logical partitions does not end";
    Err(FormatError::corrupt(
        NAME,
        u64::from(extended) * SECTOR,
        what,
    ))
}
