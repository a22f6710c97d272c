//! The partition table of a disk, whichever form it has.

use super::names::Names;
use super::node::escape;
use super::partition::{Partition, Table, TableKind};
use super::{FormatError, Limits, ReadAt, gpt, mbr};

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

/// Gives each partition a name that leads to no other.
fn name(partitions: &mut [Partition]) {
    let mut names = Names::default();
    for partition in partitions {
        let label = partition.label.replace('/', "_");
        let plain = if label.is_empty() || label == "." || label == ".." {
            format!("part{}", partition.number)
        } else {
            escape(label.as_bytes())
        };
        partition.name = names.unique(plain);
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
