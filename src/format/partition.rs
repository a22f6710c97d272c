//! What partition tables of both forms have in common.

use super::field::le16;

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

/// Tells whether the first sector says that a GPT follows (type 0xEE).
pub(super) fn is_protective(sector: &[u8]) -> bool {
    le16(sector, 510) == Some(0xaa55)
        && (0..4).any(|index| sector.get(450 + index * 16) == Some(&0xee))
}
