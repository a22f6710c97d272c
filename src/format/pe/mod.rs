//! The sections of a PE file as a tree: of a UKI, its kernel, its initramfs and
//! its command line.
//!
//! Sources: Microsoft PE and COFF specification, "COFF File Header", "Optional
//! Header" and "Section Table"; the UAPI group's "Unified Kernel Image"
//! specification. A name may stand in the table more than once (a UKI has a
//! `.cmdline` for each profile): the later ones are `.cmdline#2`, `.cmdline#3`.

mod certificate;

pub use certificate::Certificate;

use super::field::{le16, le32};
use super::names::Names;
use super::node::escape;
use super::tree::Visit;
use super::{Entry, FileType, FormatError, Metadata, Pieces, ReadAt, Source, Tree};

const NAME: &str = "pe";
/// Sections that a file may have; Windows' loader knows no more either.
const MAX_SECTIONS: u16 = 96;
const HEADER: u64 = 40;
/// Bytes of a section that is read as text; a command line in use has hundreds,
/// the list of an image's packages thousands.
const MAX_TEXT: u64 = 64 << 10;

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The name by which an address leads to it, different from all others.
    pub name: String,
    /// The name in the table.
    pub label: String,
    /// Where its bytes begin in the file.
    pub start: u64,
    /// Its bytes: those in memory, as the stub reads them, without the padding
    /// of the file.
    pub size: u64,
    /// Its bytes in the file, padding included (`SizeOfRawData`).
    pub stored: u64,
    /// Where a loader puts it, counted from the start of the image in memory
    /// (`VirtualAddress`).
    pub address: u64,
    /// Its bytes in memory (`VirtualSize`); those that the file does not hold
    /// are zeros.
    pub memory: u64,
}

/// The headers of a PE file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The machine of the COFF header, such as 0xaa64.
    pub machine: u16,
    /// What the program runs under, such as 10, an EFI application; absent
    /// where there is no optional header.
    pub subsystem: Option<u16>,
    /// The sections in the order of the table.
    pub sections: Vec<Section>,
    /// Where the table of certificates lies in the file and how long it is;
    /// absent where the headers name none.
    certificates: Option<(u64, u64)>,
}

/// A PE file and its section table.
#[derive(Debug)]
pub struct Pe {
    source: Source,
    headers: Headers,
}

impl Pe {
    /// Reads headers and section table; errors as [`Headers::read`].
    pub fn open(source: Source) -> Result<Self, FormatError> {
        let headers = Headers::read(&*source)?;
        Ok(Self { source, headers })
    }

    /// Gives the headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Gives the sections in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.headers.sections
    }

    /// Gives the certificates, in the order of their table; none of a file that
    /// is not signed. What they hold is not looked at.
    ///
    /// Errors where the table ends behind the file or contradicts itself.
    pub fn certificates(&self) -> Result<Vec<Certificate>, FormatError> {
        match self.headers.certificates {
            Some((start, size)) => certificate::read(&*self.source, start, size),
            None => Ok(Vec::new()),
        }
    }

    /// Reads a section of text; see [`Section::text`].
    pub fn text(&self, section: &Section) -> Result<Vec<u8>, FormatError> {
        section.text(&*self.source)
    }

    /// Opens the bytes of a section.
    #[must_use]
    pub fn content(&self, section: &Section) -> Source {
        Pieces::range(&self.source, section.start, section.size)
    }

    fn entry(index: usize, section: &Section) -> Entry {
        Entry {
            path: section.name.clone(),
            meta: Metadata::plain(FileType::File, section.size),
            inode: index as u64,
        }
    }
}

/// Names a COFF machine as Talos and Debian do. Source: "Machine Types".
#[must_use]
pub fn arch(machine: u16) -> &'static str {
    match machine {
        0xaa64 => "arm64",
        0x8664 => "amd64",
        0x014c => "i386",
        0x01c0 | 0x01c2 | 0x01c4 => "arm",
        0x5032 => "riscv32",
        0x5064 => "riscv64",
        0x6232 => "loongarch32",
        0x6264 => "loongarch64",
        _ => "unknown",
    }
}

impl Headers {
    /// Reads the headers and the section table.
    ///
    /// Errors with [`FormatError::Corrupt`] where the signature is missing or a
    /// table has more than 96 sections, and with [`FormatError::Truncated`]
    /// where a section ends behind the file.
    pub fn read(source: &(impl ReadAt + ?Sized)) -> Result<Self, FormatError> {
        let start = source.fetch(NAME, 0, 64, "the DOS header")?;
        let at = u64::from(le32(&start, 0x3c).unwrap_or_default());
        let coff = source.fetch(NAME, at, 24, "the PE headers")?;
        if !coff.starts_with(b"PE\0\0") {
            let what = "the PE signature is missing";
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let field = |offset| le16(&coff, offset).unwrap_or_default();
        let count = field(6);
        if count > MAX_SECTIONS {
            let what = format!("{count} sections; {MAX_SECTIONS} is the most");
            return Err(FormatError::corrupt(NAME, at + 6, what));
        }
        let optional = source.fetch(NAME, at + 24, u64::from(field(20)), "the optional header")?;
        let headers = at + 24 + optional.len() as u64;
        let length = u64::from(count) * HEADER;
        let bytes = source.fetch(NAME, headers, length, "the section table")?;
        let mut names = Names::default();
        let mut sections = Vec::new();
        for header in bytes.chunks_exact(40) {
            let mut section = section(header, &mut names);
            section.trim(&start);
            check_end(source, &section)?;
            sections.push(section);
        }
        Ok(Self {
            machine: field(4),
            subsystem: le16(&optional, 68),
            sections,
            certificates: certificate::directory(&optional),
        })
    }
}

impl Section {
    /// Reads a section of text, up to its first NUL, where systemd's stub stops
    /// as well.
    ///
    /// Errors with [`FormatError::Corrupt`] above 64 KiB.
    pub fn text(&self, source: &(impl ReadAt + ?Sized)) -> Result<Vec<u8>, FormatError> {
        if self.size > MAX_TEXT {
            let (name, size) = (&self.label, self.size);
            let what = format!("section `{name}` has {size} bytes of text; {MAX_TEXT} is the most");
            return Err(FormatError::corrupt(NAME, self.start, what));
        }
        let what = format!("section `{}`", self.label);
        let bytes = source.fetch(NAME, self.start, self.size, &what)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(text.to_vec())
    }

    /// Of an EFI zboot kernel, cuts the section down to the compressed kernel
    /// that is in it: the linker puts its size behind it (`linux/pe.h`,
    /// `drivers/firmware/efi/libstub/Makefile.zboot`).
    fn trim(&mut self, start: &[u8]) {
        let payload = le32(start, 8).zip(le32(start, 12));
        let zboot = start.get(4..8) == Some(b"zimg");
        if let Some((at, size)) = payload.filter(|_| zboot) {
            let (at, size) = (u64::from(at), u64::from(size));
            if at == self.start && size < self.size {
                self.size = size;
            }
        }
    }
}

fn section(header: &[u8], names: &mut Names) -> Section {
    let label = header.get(..8).unwrap_or_default();
    let label = label.split(|byte| *byte == 0).next().unwrap_or_default();
    let label = escape(label).replace('/', "_");
    let name = names.unique(match label.as_str() {
        "" | "." | ".." => "section".to_owned(),
        label => label.to_owned(),
    });
    let field = |offset| u64::from(le32(header, offset).unwrap_or_default());
    let (memory, stored) = (field(8), field(16));
    Section {
        name,
        label,
        start: field(20),
        // Object files leave the size in memory at 0.
        size: if memory == 0 {
            stored
        } else {
            memory.min(stored)
        },
        stored,
        address: field(12),
        memory,
    }
}

/// Errors where a section ends behind the file, without asking for its size,
/// which of a compressed file is known only at its end.
fn check_end(source: &(impl ReadAt + ?Sized), section: &Section) -> Result<(), FormatError> {
    let Some(last) = section.size.checked_sub(1) else {
        return Ok(());
    };
    if source.up_to(section.start + last, 1)?.is_empty() {
        let what = format!(
            "section `{}` has {} bytes from byte {}",
            section.label, section.size, section.start
        );
        return Err(FormatError::truncated(NAME, source.size()?, what));
    }
    Ok(())
}

impl Tree for Pe {
    fn format(&self) -> &'static str {
        let linux = |section: &Section| section.label == ".linux";
        if self.sections().iter().any(linux) {
            "uki"
        } else {
            NAME
        }
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let entries = self.sections().iter().enumerate();
        entries
            .map(|(index, section)| Self::entry(index, section))
            .try_for_each(visit)
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let index = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        match self.sections().get(index) {
            Some(section) => Ok(self.content(section)),
            None => Err(FormatError::corrupt(NAME, 0, "no such section")),
        }
    }
}

#[cfg(test)]
pub(in crate::format) mod tests {
    use super::*;
    use crate::format::Bytes;
    use std::sync::Arc;

    pub(in crate::format) fn file(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = vec![0u8; 64];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 64;
        file.extend_from_slice(b"PE\0\0\x64\xaa");
        file.extend_from_slice(&(sections.len() as u16).to_le_bytes());
        file.resize(64 + 24, 0);
        let mut at = file.len() + sections.len() * 40;
        for (name, content) in sections {
            let mut header = [0u8; 40];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[16..20].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[20..24].copy_from_slice(&(at as u32).to_le_bytes());
            file.extend_from_slice(&header);
            at += content.len();
        }
        sections
            .iter()
            .for_each(|(_, content)| file.extend_from_slice(content));
        file
    }

    #[test]
    fn repeated_names_are_kept_apart() {
        let bytes = file(&[(".linux", b"k"), (".cmdline", b"one"), (".cmdline", b"two")]);
        let pe = Pe::open(Arc::new(Bytes::new(bytes))).unwrap();
        assert_eq!((pe.format(), pe.headers().machine), ("uki", 0xaa64));
        let entry = pe.lookup(".cmdline#2").unwrap().unwrap();
        assert_eq!(
            &*Tree::open(&pe, &entry).unwrap().up_to(0, 9).unwrap(),
            b"two"
        );
    }

    #[test]
    fn a_cut_anywhere_is_an_error() {
        let bytes = file(&[(".linux", b"kernel"), (".cmdline", b"one")]);
        for cut in 0..bytes.len() {
            let source = Arc::new(Bytes::new(bytes[..cut].to_vec()));
            assert!(Pe::open(source).is_err(), "cut at {cut}");
        }
    }
}
