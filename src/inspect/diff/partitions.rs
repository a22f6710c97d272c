//! Two partition tables, and what lies on a disk before the partitions.

use super::{Difference, Options, Side};
use crate::format::partition::{Partition, Table, TableKind};
use crate::format::{FormatError, Limits, Source, partitions};
use crate::model::Sha256Digest;
use crate::model::size::show_size;

/// What boot loaders lay before the first partition is within this.
const MAX_BEFORE: u64 = 1 << 20;

/// Gives what two disks say differently of themselves.
///
/// Errors name the side that could not be read.
pub(super) fn differences(
    disks: [&Source; 2],
    options: &Options,
    limits: &Limits,
) -> Result<Vec<Difference>, (Side, FormatError)> {
    let read =
        |side, source: &Source| partitions::read(&**source, limits).map_err(|error| (side, error));
    let (a, b) = (read(Side::A, disks[0])?, read(Side::B, disks[1])?);
    let mut found = Vec::new();
    found.extend(Difference::both(
        "partition table",
        a.kind.name(),
        b.kind.name(),
    ));
    found.extend(Difference::both("sector size", a.sector, b.sector));
    if options.ids {
        found.extend(Difference::both("disk id", &a.disk, &b.disk));
    }
    tables(&a, &b, options, &mut found);
    if options.content && a.kind == b.kind && a.sector == b.sector {
        let before = |side, source, table| before(source, table).map_err(|error| (side, error));
        let (a, b) = (
            before(Side::A, disks[0], &a)?,
            before(Side::B, disks[1], &b)?,
        );
        for ((field, a), (_, b)) in a.into_iter().zip(b) {
            found.extend(Difference::both(field, a, b));
        }
    }
    Ok(found)
}

fn tables(a: &Table, b: &Table, options: &Options, found: &mut Vec<Difference>) {
    let find =
        |table: &Table, name: &str| table.partitions.iter().find(|p| p.name == name).cloned();
    let mut names: Vec<&str> = Vec::new();
    for partition in a.partitions.iter().chain(&b.partitions) {
        if !names.contains(&partition.name.as_str()) {
            names.push(&partition.name);
        }
    }
    for name in names {
        let field = format!("partition {name}");
        match (find(a, name), find(b, name)) {
            (Some(a), Some(b)) => partition(&field, &a, &b, options, found),
            (a, b) => {
                let said = |p: Option<Partition>| p.map(|p| about(&p));
                found.extend(Difference::of(&field, said(a), said(b)));
            }
        }
    }
}

fn partition(
    field: &str,
    a: &Partition,
    b: &Partition,
    options: &Options,
    found: &mut Vec<Difference>,
) {
    let mut differ = |what: &str, a: String, b: String| {
        found.extend(Difference::both(&format!("{field} {what}"), a, b));
    };
    differ("number", a.number.to_string(), b.number.to_string());
    differ("type", a.kind.clone(), b.kind.clone());
    differ("start", a.start.to_string(), b.start.to_string());
    differ("size", a.size.to_string(), b.size.to_string());
    differ(
        "attributes",
        format!("{:#x}", a.attributes),
        format!("{:#x}", b.attributes),
    );
    if options.ids {
        let id = |p: &Partition| p.uuid.clone().unwrap_or_default();
        differ("id", id(a), id(b));
    }
}

fn about(partition: &Partition) -> String {
    format!(
        "{} at {}, type {}",
        show_size(partition.size),
        show_size(partition.start),
        partition.kind
    )
}

/// Digests what lies before the first partition and is no table: the boot code
/// of the first sector, and the gap in which a boot loader may go on.
fn before(source: &Source, table: &Table) -> Result<[(&'static str, String); 2], FormatError> {
    let code = source.up_to(0, 440)?;
    let start = match (table.kind, table.sector) {
        (TableKind::Mbr, sector) => sector,
        // The protective sector, the header and 128 entries of 128 bytes.
        (TableKind::Gpt, sector) => 2 * sector + (16 << 10),
    };
    let first = table.partitions.iter().map(|p| p.start).min();
    let end = first.unwrap_or_default().min(MAX_BEFORE);
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or_default();
    let gap = source.up_to(start, length)?;
    // Gaps of different lengths are the same where nothing is in them.
    let used = gap
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let gap = gap.get(..used).unwrap_or_default();
    let digest = |bytes: &[u8]| format!("sha256:{}", Sha256Digest::of(bytes));
    Ok([
        ("boot code", digest(&code)),
        ("bytes before the first partition", digest(gap)),
    ])
}
