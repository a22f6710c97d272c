//! Directories: short entries, and the long names before them.

use jiff::civil::DateTime;

use super::boot::Root;
use super::{Fat, NAME, ROOT, chain};
use crate::format::field::{array, le16, le32};
use crate::format::node::escape;
use crate::format::tree::Child;
use crate::format::{FileType, FormatError, Metadata, Piece};

/// Bytes of one entry.
pub(super) const ENTRY: usize = 32;
const READ_ONLY: u8 = 0x01;
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// The attributes of an entry that is a part of a long name.
const LONG: u8 = 0x0f;

/// A short entry.
#[derive(Debug, Clone)]
pub(super) struct Short {
    name: [u8; 11],
    attributes: u8,
    /// Bits of Windows NT: base or extension are in lower case.
    lower: u8,
    modified: (u16, u16),
    pub(super) cluster: u32,
    pub(super) size: u32,
}

impl Short {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let high = u32::from(le16(bytes, 20)?);
        Some(Self {
            name: array(bytes, 0)?,
            attributes: *bytes.get(11)?,
            lower: *bytes.get(12)?,
            modified: (le16(bytes, 24)?, le16(bytes, 22)?),
            cluster: high << 16 | u32::from(le16(bytes, 26)?),
            size: le32(bytes, 28)?,
        })
    }

    pub(super) fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }

    pub(super) fn metadata(&self) -> Metadata {
        let kind = if self.is_directory() {
            FileType::Directory
        } else {
            FileType::File
        };
        let size = if self.is_directory() { 0 } else { self.size };
        let mut meta = Metadata::plain(kind, u64::from(size));
        if self.attributes & READ_ONLY != 0 {
            meta.mode &= !0o222;
        }
        meta.mtime = seconds(self.modified).unwrap_or(0);
        meta
    }

    /// Writes `NAME    TXT` as `NAME.TXT`.
    fn name(&self) -> Vec<u8> {
        let (base, extension) = self.name.split_at(8);
        let part = |bytes: &[u8], bit: u8| {
            let bytes = bytes.trim_ascii_end();
            if self.lower & bit == 0 {
                bytes.to_vec()
            } else {
                bytes.to_ascii_lowercase()
            }
        };
        let mut name = part(base, 0x08);
        // A name that really begins with 0xE5, which marks what is deleted.
        if let Some(first) = name.first_mut().filter(|first| **first == 0x05) {
            *first = 0xe5;
        }
        let extension = part(extension, 0x10);
        if !extension.is_empty() {
            name.push(b'.');
            name.extend(extension);
        }
        name
    }

    /// The checksum by which a long name knows its short entry (§7.2).
    fn checksum(&self) -> u8 {
        let sum = |sum: u8, byte: &u8| sum.rotate_right(1).wrapping_add(*byte);
        self.name.iter().fold(0, sum)
    }
}

/// Gives the seconds since 1970 of a date and a time (§6.2).
fn seconds((date, time): (u16, u16)) -> Option<i64> {
    let number = |n: u16| i8::try_from(n).ok();
    let when = DateTime::new(
        i16::try_from(1980 + (date >> 9)).ok()?,
        number(date >> 5 & 15)?,
        number(date & 31)?,
        number(time >> 11)?,
        number(time >> 5 & 63)?,
        number((time & 31) * 2)?,
        0,
    );
    let when = when.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(when.timestamp().as_second())
}

/// A long name that is being read, its last part first.
#[derive(Default)]
struct Long {
    units: Vec<u16>,
    /// The number of the part that has to come next.
    next: u8,
    checksum: u8,
}

impl Long {
    /// Takes one part (§7): thirteen units of UTF-16.
    fn take(&mut self, entry: &[u8]) {
        let (Some(order), Some(checksum)) = (entry.first(), entry.get(13)) else {
            return;
        };
        let number = order & 0x3f;
        if order & 0x40 != 0 {
            *self = Self {
                units: Vec::new(),
                next: number,
                checksum: *checksum,
            };
        }
        if number == 0 || number > 20 || number != self.next || *checksum != self.checksum {
            *self = Self::default();
            return;
        }
        let ranges = [1..11, 14..26, 28..32];
        let part = ranges
            .into_iter()
            .flat_map(|range| entry.get(range).unwrap_or_default().chunks_exact(2))
            .filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes));
        let mut units: Vec<u16> = part.collect();
        units.append(&mut self.units);
        self.units = units;
        self.next -= 1;
    }

    /// Gives the name where it is whole and belongs to this entry.
    fn of(self, short: &Short) -> Option<Vec<u8>> {
        if self.units.is_empty() || self.next != 0 || self.checksum != short.checksum() {
            return None;
        }
        let end = self.units.iter().position(|unit| *unit == 0);
        let units = self.units.get(..end.unwrap_or(self.units.len()))?;
        let name = String::from_utf16_lossy(units).into_bytes();
        (!name.is_empty()).then_some(name)
    }
}

/// Gives where the entries of a directory are.
fn place(fat: &Fat, node: u64) -> Result<Vec<Piece>, FormatError> {
    if node != ROOT {
        return chain::directory(fat, fat.short(node)?.cluster);
    }
    match fat.boot.root {
        Root::Cluster(first) => chain::directory(fat, first),
        Root::Region(start, length) => Ok(vec![Piece {
            start: Some(start),
            length,
        }]),
    }
}

/// Calls `visit` for each entry that is in use, with its place and long name,
/// until it answers `false`.
fn each(
    fat: &Fat,
    node: u64,
    mut visit: impl FnMut(u64, &Short, Option<Vec<u8>>) -> bool,
) -> Result<(), FormatError> {
    let mut long = Long::default();
    for piece in place(fat, node)? {
        let start = piece.start.unwrap_or_default();
        let bytes = fat.source.fetch(NAME, start, piece.length, "a directory")?;
        for (index, entry) in bytes.chunks_exact(ENTRY).enumerate() {
            match entry.first() {
                Some(0) | None => return Ok(()),
                Some(0xe5) => {
                    long = Long::default();
                    continue;
                }
                Some(_) => {}
            }
            if entry.get(11).is_some_and(|a| a & 0x3f == LONG) {
                long.take(entry);
                continue;
            }
            let name = std::mem::take(&mut long);
            let Some(short) = Short::read(entry) else {
                continue;
            };
            let name = name.of(&short);
            if !visit(start + (index * ENTRY) as u64, &short, name) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Lists a directory without `.`, `..` and the volume's label.
pub(super) fn children(fat: &Fat, node: u64) -> Result<Vec<Child>, FormatError> {
    let mut children = Vec::new();
    each(fat, node, |at, short, long| {
        let dots = short.name.starts_with(b".       ") || short.name.starts_with(b"..      ");
        if short.attributes & LABEL == 0 && !dots {
            let name = long.unwrap_or_else(|| short.name());
            children.push(Child { name, node: at });
        }
        true
    })?;
    Ok(children)
}

/// Finds the volume's label in a directory.
pub(super) fn label(fat: &Fat, node: u64) -> Result<Option<String>, FormatError> {
    let mut label = None;
    each(fat, node, |_, short, _| {
        if short.attributes & LABEL != 0 {
            label = Some(escape(short.name.trim_ascii_end()));
        }
        label.is_none()
    })?;
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(name: &[u8; 11], lower: u8) -> Short {
        Short {
            name: *name,
            attributes: 0,
            lower,
            modified: (0x58d7, 0x6000),
            cluster: 0,
            size: 0,
        }
    }

    #[test]
    fn short_names_are_written_as_people_do() {
        assert_eq!(short(b"BOOTAA64EFI", 0).name(), b"BOOTAA64.EFI");
        assert_eq!(short(b"LOADER     ", 0x08).name(), b"loader");
        assert_eq!(short(b"A       TXT", 0x10).name(), b"A.txt");
    }

    #[test]
    fn times_are_seconds_of_utc() {
        // 2024-06-23 12:00:00
        assert_eq!(short(b"A          ", 0).metadata().mtime, 1_719_144_000);
        assert_eq!(seconds((0, 0)), None);
    }
}
