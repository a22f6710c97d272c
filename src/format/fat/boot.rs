//! The boot sector: where the tables and the data are.

use super::NAME;
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

/// Bits of an entry of the allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// FAT12.
    Twelve,
    /// FAT16.
    Sixteen,
    /// FAT32, of which 28 bits count.
    ThirtyTwo,
}

impl Width {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Twelve => "fat12",
            Self::Sixteen => "fat16",
            Self::ThirtyTwo => "fat32",
        }
    }
}

/// What the boot sector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Which of the three it is. The count of clusters alone tells (§3.5).
    pub width: Width,
    /// Bytes of a sector.
    pub sector: u64,
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Clusters of data.
    pub clusters: u32,
    /// Bytes of the whole file system.
    pub size: u64,
    /// The label in the boot sector, without the blanks at its end.
    pub label: String,
    /// The serial number, as `A1B2-C3D4`.
    pub serial: String,
    /// Where the first allocation table begins, and its bytes.
    pub(super) table: (u64, u64),
    /// Where the root directory is: a region of its own, or a cluster.
    pub(super) root: Root,
    /// Where cluster 2, the first one, begins.
    pub(super) data: u64,
}

/// Where the root directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// In a region of its own: where it begins, its bytes.
    Region(u64, u64),
    /// In a chain of clusters that begins here.
    Cluster(u32),
}

impl Boot {
    pub(super) fn read(source: &dyn ReadAt) -> Result<Self, FormatError> {
        let bytes = source.fetch(NAME, 0, 512, "the boot sector")?;
        Self::fields(&bytes).unwrap_or_else(|| Err(corrupt(0, "the boot sector is cut")))
    }

    fn fields(b: &[u8]) -> Option<Result<Self, FormatError>> {
        let sector = u64::from(le16(b, 11)?);
        let per_cluster = u64::from(*b.get(13)?);
        let reserved = u64::from(le16(b, 14)?);
        let tables = u64::from(*b.get(16)?);
        let root_entries = u64::from(le16(b, 17)?);
        let total = match le16(b, 19)? {
            0 => u64::from(le32(b, 32)?),
            small => u64::from(small),
        };
        let small_table = u64::from(le16(b, 22)?);
        let table_sectors = match small_table {
            0 => u64::from(le32(b, 36)?),
            small => small,
        };
        let wrong = |at, what: String| Some(Err(corrupt(at, what)));
        if !sector.is_power_of_two() || !(512..=4096).contains(&sector) {
            return wrong(11, format!("sectors of {sector} bytes"));
        }
        if !per_cluster.is_power_of_two() {
            return wrong(13, format!("clusters of {per_cluster} sectors"));
        }
        if reserved == 0 || tables == 0 || table_sectors == 0 {
            let what =
                format!("{reserved} reserved sectors, {tables} tables of {table_sectors} sectors");
            return wrong(14, what);
        }
        // All of these are 32-bit numbers times small ones: nothing overflows 64 bits.
        let root_sectors = (root_entries * 32).div_ceil(sector);
        let before = reserved + tables * table_sectors + root_sectors;
        let Some(data_sectors) = total.checked_sub(before) else {
            let what = format!("{before} sectors before the data, of {total} in all");
            return wrong(32, what);
        };
        let Ok(clusters) = u32::try_from(data_sectors / per_cluster) else {
            return wrong(32, format!("{data_sectors} sectors of data"));
        };
        let width = match clusters {
            0..4085 => Width::Twelve,
            4085..65525 => Width::Sixteen,
            _ => Width::ThirtyTwo,
        };
        let needed = match width {
            Width::Twelve => (u64::from(clusters) + 2) * 3 / 2,
            Width::Sixteen => (u64::from(clusters) + 2) * 2,
            Width::ThirtyTwo => (u64::from(clusters) + 2) * 4,
        };
        let table = (reserved * sector, table_sectors * sector);
        if table.1 < needed {
            let what = format!(
                "a table of {} bytes for {clusters} clusters, which take {needed}",
                table.1
            );
            return wrong(22, what);
        }
        // FAT32 keeps the root in clusters, whatever the count of clusters says: it has no other.
        let (root, extra) = if small_table == 0 {
            (Root::Cluster(le32(b, 44)?), 64)
        } else {
            let start = (reserved + tables * table_sectors) * sector;
            (Root::Region(start, root_entries * 32), 36)
        };
        let width = if small_table == 0 {
            Width::ThirtyTwo
        } else {
            width
        };
        let (serial, label) = extended(b, extra).unwrap_or_default();
        Some(Ok(Self {
            width,
            sector,
            cluster: per_cluster * sector,
            clusters,
            size: total * sector,
            label,
            serial,
            table,
            root,
            data: before * sector,
        }))
    }

    /// Gives where a cluster begins.
    pub(super) fn cluster_at(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|i| *i < self.clusters)?;
        Some(self.data + u64::from(index) * self.cluster)
    }
}

/// Reads serial number and label behind the extended boot signature.
fn extended(b: &[u8], at: usize) -> Option<(String, String)> {
    if !matches!(b.get(at + 2)?, 0x28 | 0x29) {
        return None;
    }
    let serial = le32(b, at + 3)?;
    let label = b.get(at + 7..at + 18)?.trim_ascii_end();
    let label = if label == b"NO NAME" { b"" } else { label };
    let serial = format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff);
    Some((serial, escape(label)))
}

fn corrupt(at: u64, what: impl Into<String>) -> FormatError {
    FormatError::corrupt(NAME, at, what.into())
}
