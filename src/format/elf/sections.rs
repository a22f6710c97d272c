//! The section headers of an ELF file, and its sections as a tree: a module's
//! `.modinfo`, a program's `.note.gnu.build-id`.
//!
//! Source: System V gABI, "Sections". A file of 65,280 sections or more keeps
//! their number in the size of the first header, and the index of the section
//! of names in its link.

use goblin::elf::header::Header;
use goblin::elf::section_header::{SHN_XINDEX, SHT_NOBITS, SHT_NULL, SectionHeader};

use super::{Elf, NAME, context};
use crate::format::names::Names;
use crate::format::node::{Tally, escape};
use crate::format::tree::Visit;
use crate::format::{
    Bytes, Entry, FileType, FormatError, Limits, Metadata, Pieces, ReadAt, Source, Tree,
};

/// Sections of one file. A kernel built with a section for each function has
/// tens of thousands.
const MAX_SECTIONS: u64 = 1 << 18;
/// Bytes of all names of sections.
const MAX_NAMES: u64 = 16 << 20;
/// Bytes of one name.
const MAX_LABEL: usize = 4096;

/// The section headers with their names.
#[derive(Debug)]
pub(in crate::format) struct Table {
    headers: Vec<SectionHeader>,
    names: Bytes,
    /// Where the last section, or the table itself, ends.
    end: u64,
}

impl Table {
    /// Reads the headers and the section of names.
    ///
    /// Errors: [`FormatError::Truncated`] where the file ends before them,
    /// [`FormatError::Corrupt`] where they contradict themselves,
    /// [`FormatError::Limit`] beyond 262,144 sections and 16 MiB of names.
    pub(in crate::format) fn read(file: &(impl ReadAt + ?Sized)) -> Result<Self, FormatError> {
        let header = Elf::header(file)?;
        if header.e_shoff == 0 {
            return Ok(Self {
                headers: Vec::new(),
                names: Bytes::default(),
                end: 0,
            });
        }
        let ctx = context(&header)?;
        let size = SectionHeader::size(ctx) as u64;
        if u64::from(header.e_shentsize) != size {
            let what = format!("section headers of {} bytes", header.e_shentsize);
            return Err(FormatError::corrupt(NAME, header.e_shoff, what));
        }
        let read = |count: u64| {
            let bytes = file.fetch(NAME, header.e_shoff, count * size, "section headers")?;
            SectionHeader::parse_from(&bytes, 0, usize::try_from(count).unwrap_or(0), ctx)
                .map_err(|error| FormatError::corrupt(NAME, header.e_shoff, error.to_string()))
        };
        let (count, names) = counted(&header, &read)?;
        if count > MAX_SECTIONS {
            return Err(FormatError::Limit {
                format: NAME,
                offset: header.e_shoff,
                limit: "sections",
                value: MAX_SECTIONS,
                remedy: "no program in use has that many",
            });
        }
        let headers = if count == 0 { Vec::new() } else { read(count)? };
        let end = |section: &SectionHeader| match has_bytes(section) {
            true => section.sh_offset.saturating_add(section.sh_size),
            false => 0,
        };
        let end = headers.iter().map(end).max().unwrap_or(0);
        let end = end.max(header.e_shoff.saturating_add(count * size));
        let names = match headers.get(names) {
            Some(section) if has_bytes(section) => {
                let (at, length) = (section.sh_offset, section.sh_size);
                if length > MAX_NAMES {
                    let what = format!("the names of its sections take {length} bytes");
                    return Err(FormatError::corrupt(NAME, at, what));
                }
                file.fetch(NAME, at, length, "the names of the sections")?
            }
            Some(_) | None => Bytes::default(),
        };
        Ok(Self {
            headers,
            names,
            end,
        })
    }

    /// Gives where the last section, or the table itself, ends in the file.
    pub(in crate::format) fn end(&self) -> u64 {
        self.end
    }

    /// Gives place and size of the first section of a name that has bytes.
    pub(in crate::format) fn find(&self, name: &[u8]) -> Option<(u64, u64)> {
        let named = |section: &&SectionHeader| self.label(section) == name && has_bytes(section);
        let section = self.headers.iter().find(named)?;
        Some((section.sh_offset, section.sh_size))
    }

    /// Gives a section's name as it is stored; empty where it has none.
    fn label(&self, section: &SectionHeader) -> &[u8] {
        let name = self.names.get(section.sh_name..).unwrap_or_default();
        let name = name.get(..name.len().min(MAX_LABEL)).unwrap_or_default();
        name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// Gives the number of sections, and the index of the one with their names.
fn counted(
    header: &Header,
    read: &dyn Fn(u64) -> Result<Vec<SectionHeader>, FormatError>,
) -> Result<(u64, usize), FormatError> {
    let (count, names) = (u64::from(header.e_shnum), u32::from(header.e_shstrndx));
    let (more, elsewhere) = (count == 0, names == SHN_XINDEX);
    let first = match more || elsewhere {
        true => read(1)?.into_iter().next(),
        false => None,
    };
    let count = first.as_ref().filter(|_| more).map_or(count, |s| s.sh_size);
    let names = first.filter(|_| elsewhere).map_or(names, |s| s.sh_link);
    Ok((count, usize::try_from(names).unwrap_or(usize::MAX)))
}

/// Says whether a section has bytes in the file; `.bss` has none.
fn has_bytes(section: &SectionHeader) -> bool {
    !matches!(section.sh_type, SHT_NOBITS | SHT_NULL)
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The name by which an address leads to it, different from all others.
    pub name: String,
    /// The name in the table.
    pub label: String,
    /// Its type (`sh_type`).
    pub kind: u32,
    /// Its flags (`sh_flags`).
    pub flags: u64,
    /// Where its bytes begin in the file.
    pub start: u64,
    /// Its bytes in the file; 0 of one that has none, whatever it takes in
    /// memory. A compressed section counts as it is stored.
    pub size: u64,
}

/// An ELF file as a tree of its sections. They are no files: nothing descends
/// into them that is not told to.
#[derive(Debug)]
pub struct Sections {
    source: Source,
    sections: Vec<Section>,
}

impl Sections {
    /// Reads the section headers.
    ///
    /// Errors as the reading of an ELF file does, with
    /// [`FormatError::Truncated`] also where a section ends behind the file, and
    /// with [`FormatError::Limit`] where the names outgrow `limits`.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let table = Table::read(&*source)?;
        let mut names = Names::default();
        let mut tally = Tally::default();
        let mut sections = Vec::new();
        for header in &table.headers {
            // The first header is no section; others may have been made none.
            if header.sh_type == SHT_NULL {
                continue;
            }
            let label = escape(table.label(header));
            let name = names.unique(match label.replace('/', "_").as_str() {
                "" | "." | ".." => "section".to_owned(),
                name => name.to_owned(),
            });
            tally.take(limits, NAME, header.sh_offset, name.len())?;
            let size = if has_bytes(header) { header.sh_size } else { 0 };
            sections.push(Section {
                name,
                label,
                kind: header.sh_type,
                flags: header.sh_flags,
                start: header.sh_offset,
                size,
            });
        }
        let ends = |section: &Section| section.start.saturating_add(section.size);
        let stored = sections.iter().filter(|section| section.size > 0);
        if let Some(section) = stored.max_by_key(|section| ends(section))
            && source.up_to(ends(section) - 1, 1)?.is_empty()
        {
            let what = format!(
                "section `{}` has {} bytes from byte {}",
                section.label, section.size, section.start
            );
            return Err(FormatError::truncated(NAME, source.size()?, what));
        }
        Ok(Self { source, sections })
    }

    /// Gives the sections in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }
}

impl Tree for Sections {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let entries = self.sections.iter().enumerate();
        entries
            .map(|(index, section)| Entry {
                path: section.name.clone(),
                meta: Metadata::plain(FileType::File, section.size),
                inode: index as u64,
            })
            .try_for_each(visit)
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let index = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        match self.sections.get(index) {
            Some(section) => Ok(Pieces::range(&self.source, section.start, section.size)),
            None => Err(FormatError::corrupt(NAME, 0, "no such section")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn own_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn the_sections_of_the_test_program_itself() {
        let source = Arc::new(Bytes::new(own_program()));
        let elf = Sections::open(source, &Limits::default()).unwrap();
        let found = elf.lookup(".interp").unwrap().unwrap();
        let path = Tree::open(&elf, &found).unwrap().up_to(0, 100).unwrap();
        assert!(path.starts_with(b"/lib"), "{path:?}");
        let nothing = elf.lookup(".bss").unwrap().unwrap();
        assert_eq!(nothing.meta.size, 0);
        let label = |section: &Section| section.label.clone();
        assert!(
            elf.sections()
                .iter()
                .all(|section| !label(section).is_empty())
        );
    }

    #[test]
    fn a_file_whose_table_is_cut_is_an_error() {
        let bytes = own_program();
        for cut in [40, 64, 4096, bytes.len() / 2, bytes.len() - 1] {
            let source = Arc::new(Bytes::new(bytes[..cut].to_vec()));
            assert!(Sections::open(source, &Limits::default()).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_section_behind_the_end_is_an_error_whatever_one_without_bytes_says() {
        let mut bytes = own_program();
        let table = u64::from_le_bytes(bytes[40..48].try_into().unwrap());
        let table = usize::try_from(table).unwrap();
        let mut changed = [false, false];
        for at in (table..bytes.len() - 63).step_by(64) {
            // Bytes of the program, and `.bss`.
            let (field, value, which) = match bytes[at + 4] {
                1 if !changed[0] => (32, 1u64 << 40, 0),
                8 => (24, u64::MAX - 5, 1),
                _ => continue,
            };
            bytes[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
            changed[which] = true;
        }
        assert_eq!(changed, [true, true]);
        let source = Arc::new(Bytes::new(bytes));
        let error = Sections::open(source, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
    }

    #[test]
    fn a_number_of_sections_that_is_in_the_first_header_is_found_there() {
        let mut bytes = own_program();
        let plain = Table::read(&bytes[..]).unwrap();
        let at = |bytes: &[u8], from: usize, width: usize| {
            let number = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            bytes[from..from + width].iter().rev().fold(0, number)
        };
        let (table, count, names) = (at(&bytes, 40, 8), at(&bytes, 60, 2), at(&bytes, 62, 2));
        bytes[60..64].copy_from_slice(&[0, 0, 0xff, 0xff]);
        let first = usize::try_from(table).unwrap();
        bytes[first + 32..first + 40].copy_from_slice(&count.to_le_bytes());
        bytes[first + 40..first + 44].copy_from_slice(&(names as u32).to_le_bytes());
        let other = Table::read(&bytes[..]).unwrap();
        assert_eq!(plain.headers.len(), other.headers.len());
        assert_eq!(plain.names[..], other.names[..]);
        bytes[first + 32..first + 40].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = Table::read(&bytes[..]).unwrap_err();
        assert!(error.to_string().contains("sections"), "{error}");
    }
}
