//! The partition table of a disk, whichever form it has.

use std::collections::HashMap;

use super::field::le16;
use super::node::escape;
use super::{FormatError, Limits, ReadAt, gpt, mbr};

/// The two forms of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A GUID partition table.
    Gpt,
    /// The older form, in the first sector.
    Mbr,
}

impl TableKind {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Mbr => "mbr",
        }
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The name by which an address leads to it: the label, or `part3`; of
    /// several with one label the later ones are `EFI#2`, `EFI#3`.
    pub name: String,
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its label, empty where the table has none for it.
    pub label: String,
    /// Its type: a GUID in lower case, or `0x0c`.
    pub kind: String,
    /// Its own GUID; `None` in a table of the older form.
    pub uuid: Option<String>,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
    /// The attribute bits of a GPT entry; the boot flag of an MBR entry.
    pub attributes: u64,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its form.
    pub kind: TableKind,
    /// Bytes of a sector, by which the table counts.
    pub sector: u64,
    /// The disk's own GUID, or its 32-bit signature.
    pub disk: String,
    /// The partitions in the order of the table.
    pub partitions: Vec<Partition>,
}

/// Reads the partition table of a disk.
///
/// A GPT counts where its primary header is sound; a disk whose primary header
/// is broken is an error, and never read from its backup in silence, because
/// firmware would not do so either. Errors: [`FormatError::Corrupt`] where a
/// table contradicts itself, [`FormatError::Truncated`] where the disk ends
/// before it.
pub fn read(source: &dyn ReadAt, limits: &Limits) -> Result<Table, FormatError> {
    let mut table = match gpt::Header::find(source)? {
        Some(header) => {
            let partitions = header.partitions(source, limits)?;
            Table {
                kind: TableKind::Gpt,
                sector: header.sector,
                disk: header.disk.clone(),
                partitions,
            }
        }
        None => mbr::read(source)?,
    };
    name(&mut table.partitions);
    Ok(table)
}

/// Tells whether the first sector says that a GPT follows (type 0xEE).
pub(super) fn is_protective(sector: &[u8]) -> bool {
    le16(sector, 510) == Some(0xaa55)
        && (0..4).any(|index| sector.get(450 + index * 16) == Some(&0xee))
}

/// Gives each partition a name that leads to no other.
fn name(partitions: &mut [Partition]) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for partition in partitions {
        let label = partition.label.replace('/', "_");
        let plain = if label.is_empty() || label == "." || label == ".." {
            format!("part{}", partition.number)
        } else {
            escape(label.as_bytes())
        };
        let count = seen.entry(plain.clone()).or_default();
        *count += 1;
        partition.name = match *count {
            1 => plain,
            more => format!("{plain}#{more}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_a_name_of_its_own() {
        let partition = |number, label: &str| Partition {
            name: String::new(),
            number,
            label: label.to_owned(),
            kind: String::new(),
            uuid: None,
            start: 0,
            size: 0,
            attributes: 0,
        };
        let mut list = [
            partition(1, "EFI"),
            partition(2, ""),
            partition(3, "EFI"),
            partition(7, "a/b"),
        ];
        name(&mut list);
        let names: Vec<_> = list.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["EFI", "part2", "EFI#2", "a_b"]);
    }
}
