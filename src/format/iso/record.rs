//! Directory records (ECMA-119 §9.1), and the names that they show.

use super::volume::utf16;
use super::{Iso, NAME, Naming, SECTOR, date};
use crate::format::field::{array, le32};
use crate::format::{FormatError, Piece};

const DIRECTORY: u8 = 0x02;
/// A file that belongs to another one: the fork of an old system.
const ASSOCIATED: u8 = 0x04;
/// More sections of the file follow in records of their own.
const SECTION: u8 = 0x80;
/// Bytes before the name.
const HEADER: usize = 33;
/// Sections of one file at most, as in Linux.
const MAX_SECTIONS: usize = 100;
/// How much of a directory is read at a time.
const PIECE: u64 = 32 * SECTOR;

/// One directory record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Where it is in the image.
    pub(super) at: u64,
    length: u64,
    /// Where its content begins in the image.
    pub(super) start: u64,
    pub(super) size: u64,
    flags: u8,
    pub(super) mtime: i64,
    interleaved: bool,
    name: Vec<u8>,
    /// What lies behind the name, which SUSP uses.
    pub(super) system: Vec<u8>,
}

impl Record {
    /// Reads the record that `bytes` begin with.
    fn read(bytes: &[u8], at: u64, block: u64) -> Result<Self, FormatError> {
        Self::fields(bytes, at, block)
            .ok_or_else(|| FormatError::corrupt(NAME, at, "a directory record is cut"))
    }

    fn fields(bytes: &[u8], at: u64, block: u64) -> Option<Self> {
        let bytes = bytes.get(..usize::from(*bytes.first()?))?;
        let name_length = usize::from(*bytes.get(32)?);
        let name = bytes.get(HEADER..HEADER + name_length)?;
        // A name of an even length is followed by a byte of padding.
        let behind = (HEADER + name_length).next_multiple_of(2);
        let attributes = u64::from(*bytes.get(1)?);
        Some(Self {
            at,
            length: bytes.len() as u64,
            start: (u64::from(le32(bytes, 2)?) + attributes) * block,
            size: u64::from(le32(bytes, 10)?),
            mtime: date::short(array(bytes, 18)?),
            flags: *bytes.get(25)?,
            interleaved: *bytes.get(26)? != 0 || *bytes.get(27)? != 0,
            name: name.to_vec(),
            system: bytes.get(behind..).unwrap_or_default().to_vec(),
        })
    }

    pub(super) fn is_directory(&self) -> bool {
        self.flags & DIRECTORY != 0
    }

    /// Tells whether this is a directory's record of itself.
    pub(super) fn is_own(&self) -> bool {
        self.name == [0]
    }

    fn is_parent(&self) -> bool {
        self.name == [1]
    }

    /// Gives the name that is shown where Rock Ridge gives none, as Linux does
    /// by default: a plain name in lower case, without its version 1; a name of
    /// Joliet as it is, without version and without dots at its end.
    pub(super) fn shown(&self, naming: Naming) -> Vec<u8> {
        match naming {
            Naming::RockRidge | Naming::Plain => plain(&self.name),
            Naming::Joliet => {
                let mut name = utf16(&self.name);
                if name.len() > 2 && name.ends_with(";1") {
                    name.truncate(name.len() - 2);
                }
                while name.len() >= 2 && name.ends_with('.') {
                    name.pop();
                }
                name.into_bytes()
            }
        }
    }
}

/// Source: `isofs_name_translate` in `fs/isofs/dir.c` of Linux.
fn plain(name: &[u8]) -> Vec<u8> {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let version = name
        .strip_suffix(b".;1")
        .or_else(|| name.strip_suffix(b";1"));
    let name = version.unwrap_or(name);
    let shown = name.iter().map(|byte| match byte {
        b';' | b'/' => b'.',
        other => other.to_ascii_lowercase(),
    });
    shown.collect()
}

impl Iso {
    /// Reads the record at a place in the image.
    pub(super) fn record(&self, at: u64) -> Result<Record, FormatError> {
        let bytes = self.source.up_to(at, 255)?;
        Record::read(&bytes, at, self.block)
    }

    /// Reads the record that a directory has of itself.
    pub(super) fn own_record(&self, start: u64) -> Result<Record, FormatError> {
        let record = self.record(start)?;
        if record.is_own() && record.is_directory() {
            return Ok(record);
        }
        let what = "a directory should begin here, and does not";
        Err(FormatError::corrupt(NAME, start, what))
    }

    /// Calls `visit` for each record of a directory, without those of itself
    /// and of its parent, associated files, and the further sections of files.
    pub(super) fn records(
        &self,
        directory: &Record,
        mut visit: impl FnMut(Record) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        if directory.size > self.limits.max_metadata {
            return Err(FormatError::Limit {
                format: NAME,
                offset: directory.at,
                limit: "max_metadata",
                value: self.limits.max_metadata,
                remedy: "no directory in use is that large; look at how this image was made",
            });
        }
        let mut before: Option<Vec<u8>> = None;
        let mut done = 0;
        while done < directory.size {
            let begin = directory.start + done;
            let length = PIECE.min(directory.size - done);
            let bytes = self.source.fetch(NAME, begin, length, "a directory")?;
            self.limits.check_deadline(NAME, begin)?;
            let mut offset = 0;
            while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
                let at = begin + offset as u64;
                let sector_left = usize::try_from(SECTOR - at % SECTOR).unwrap_or(usize::MAX);
                match rest.first() {
                    Some(0) | None => {
                        // No further record fits into this sector.
                        offset += sector_left;
                        continue;
                    }
                    Some(_) => {}
                }
                let sector = rest.get(..sector_left.min(rest.len())).unwrap_or_default();
                let record = Record::read(sector, at, self.block)?;
                offset += usize::from(*rest.first().unwrap_or(&0));
                let continues = before.as_deref() == Some(&record.name);
                before = (record.flags & SECTION != 0).then(|| record.name.clone());
                let hidden = record.is_own() || record.is_parent();
                if !continues && !hidden && record.flags & ASSOCIATED == 0 {
                    visit(record)?;
                }
            }
            done += length;
        }
        Ok(())
    }

    /// Gives where the content of a file is: one piece a section.
    pub(super) fn sections(&self, first: &Record) -> Result<Vec<Piece>, FormatError> {
        let mut sections = Vec::new();
        let mut record = first.clone();
        loop {
            if record.interleaved {
                let what = "an interleaved file; write the image with xorriso";
                return Err(FormatError::unsupported(NAME, record.at, what));
            }
            sections.push(Piece {
                start: Some(record.start),
                length: record.size,
            });
            if record.flags & SECTION == 0 {
                return Ok(sections);
            }
            let next = self.next_section(&record)?;
            if next.name != first.name || next.is_directory() || sections.len() >= MAX_SECTIONS {
                let what = format!(
                    "a file of more than {} sections, or one missing",
                    sections.len()
                );
                return Err(FormatError::corrupt(NAME, record.at, what));
            }
            record = next;
        }
    }

    fn next_section(&self, record: &Record) -> Result<Record, FormatError> {
        let behind = record.at + record.length;
        if behind.is_multiple_of(SECTOR) {
            return self.record(behind);
        }
        match self.source.up_to(behind, 1)?.first() {
            Some(0) => self.record(behind.next_multiple_of(SECTOR)),
            Some(_) | None => self.record(behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_shown_as_linux_shows_them() {
        for (stored, shown) in [
            (&b"BOOTAA64.EFI;1"[..], &b"bootaa64.efi"[..]),
            (b"README.;1", b"readme"),
            (b"OLD.TXT;2", b"old.txt.2"),
            (b"DIR", b"dir"),
            (b"DIR.", b"dir."),
            (b"A/B;1", b"a.b"),
        ] {
            assert_eq!(plain(stored), shown);
        }
    }
}
