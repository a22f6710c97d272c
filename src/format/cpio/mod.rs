//! cpio archives in the two forms that the kernel unpacks: `newc` (070701) and
//! `crc` (070702).
//!
//! Source: `Documentation/driver-api/early-userspace/buffer-format.rst` and
//! `init/initramfs.c` of Linux. One call reads one archive, up to its
//! `TRAILER!!!`; what follows is the caller's to look at, because an initramfs
//! holds many.

mod header;

use std::collections::HashMap;
use std::ops::Range;

use super::node::{Tally, escape};
use super::window::{Input, PEEK, Slice};
use super::{FileType, FormatError, Limits, Metadata};
use header::{Header, too_long, until_nul};

const NAME: &str = "cpio";
const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path in tdg's form (see [`crate::format::node::normalise`]); empty for the root.
    pub path: String,
    /// The name as it is stored, where that differs from `path`.
    pub raw_name: Option<Vec<u8>>,
    /// Whether a component of the name is `..`.
    pub escapes: bool,
    /// Mode, owner, size and so on. The size of a hard link is that of the
    /// file it names, whichever of its entries carries the data.
    pub meta: Metadata,
    /// Device number (major, minor) and inode number, which tell hard links.
    pub inode: (u32, u32, u32),
    /// Where the entry's header begins in the buffer.
    pub offset: usize,
    /// Where its content lies in the buffer.
    pub data: Range<usize>,
}

/// One archive, read to its trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// All entries in the order of the archive, the trailer left out.
    pub entries: Vec<Entry>,
    /// Where the archive ends in the buffer, the trailer's padding included.
    pub end: usize,
}

/// Counts what has been read, across the archives of one subject.
#[derive(Debug, Default)]
pub struct Reader {
    tally: Tally,
}

impl Reader {
    /// Reads the archive that begins at `start` of `buffer`; all offsets count
    /// from the start of the buffer. Errors as [`Reader::stream`].
    pub fn archive(
        &mut self,
        buffer: &[u8],
        start: usize,
        limits: &Limits,
    ) -> Result<Archive, FormatError> {
        self.stream(&mut Slice::new(buffer, start), limits)
    }

    /// Reads the archive that comes next, wherever it comes from, and takes it.
    /// The content of files is stepped over.
    ///
    /// Errors: [`FormatError::Truncated`] where the input ends before the
    /// trailer, [`FormatError::Corrupt`] for a header that is none, a name
    /// without its end or a checksum that does not match,
    /// [`FormatError::Unsupported`] for the older kinds of cpio, and
    /// [`FormatError::Limit`] for too many or too long names.
    pub fn stream(
        &mut self,
        input: &mut impl Input,
        limits: &Limits,
    ) -> Result<Archive, FormatError> {
        let start = input.offset();
        let mut entries = Vec::new();
        loop {
            let offset = input.offset();
            let header = Header::read(input.peek(HEADER)?, offset)?;
            input.skip(HEADER)?;
            let name = name(input, header.name_size, limits)?;
            align(input, start)?;
            let content = Content::take(input, &header, &name, limits)?;
            align(input, start)?;
            if name == TRAILER {
                link(&mut entries);
                return Ok(Archive {
                    entries,
                    end: input.offset(),
                });
            }
            self.tally.take(limits, NAME, offset as u64, name.len())?;
            entries.push(header.entry(&name, content)?);
        }
    }
}

/// What is known of an entry's content once it has been stepped over.
struct Content {
    range: Range<usize>,
    /// The sum of its bytes, where the header has one to compare.
    sum: Option<u32>,
    /// The target of a symbolic link.
    target: Option<Vec<u8>>,
}

impl Content {
    /// Takes the content that comes next.
    fn take(
        input: &mut impl Input,
        header: &Header,
        name: &[u8],
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        let (at, size) = (input.offset(), header.size as usize);
        let mut content = Self {
            range: at..at.saturating_add(size),
            sum: None,
            target: None,
        };
        let mut taken = 0;
        if header.is_link() {
            if size > limits.max_path {
                return Err(too_long(header.offset, limits));
            }
            content.target = Some(input.peek(size)?.to_vec());
        } else if header.is_checked() {
            let mut sum = 0u32;
            while taken < size {
                let part = input.peek((size - taken).min(PEEK))?;
                let add = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(*byte));
                sum = part.iter().fold(sum, add);
                let part = part.len();
                if part == 0 {
                    break;
                }
                taken += input.skip(part)?;
            }
            content.sum = Some(sum);
        }
        taken += input.skip(size - taken)?;
        if taken < size {
            let what = format!(
                "`{}` says that it has {size} bytes, only {taken} are left",
                escape(name)
            );
            return Err(FormatError::truncated(NAME, header.offset as u64, what));
        }
        Ok(content)
    }
}

/// Gives all links of one file its content. `newc` stores it with the last of
/// them; the kernel lets whichever entry has a body write it.
fn link(entries: &mut [Entry]) {
    let is_link = |entry: &Entry| entry.meta.kind == FileType::File && entry.meta.nlink > 1;
    let mut bodies: HashMap<(u32, u32, u32), Range<usize>> = HashMap::new();
    for entry in entries
        .iter()
        .filter(|entry| is_link(entry) && !entry.data.is_empty())
    {
        bodies.insert(entry.inode, entry.data.clone());
    }
    if bodies.is_empty() {
        return;
    }
    for entry in entries.iter_mut().filter(|entry| is_link(entry)) {
        if let Some(body) = bodies.get(&entry.inode) {
            entry.data = body.clone();
            entry.meta.size = body.len() as u64;
        }
    }
}

/// Takes a name, which must end with a NUL inside its announced size.
fn name(input: &mut impl Input, size: u32, limits: &Limits) -> Result<Vec<u8>, FormatError> {
    let (at, size) = (input.offset(), size as usize);
    if size > limits.max_path.min(PEEK) {
        return Err(too_long(at, limits));
    }
    let bytes = input.peek(size)?;
    if bytes.len() < size {
        let end = (at + bytes.len()) as u64;
        return Err(FormatError::truncated(NAME, end, "a name does not end"));
    }
    if bytes.last() != Some(&0) {
        let what = "a name without a NUL at its end";
        return Err(FormatError::corrupt(NAME, at as u64, what));
    }
    let name = until_nul(bytes).to_vec();
    input.skip(size)?;
    Ok(name)
}

/// Goes on to a multiple of four bytes, counted from the archive's start.
fn align(input: &mut impl Input, start: usize) -> Result<(), FormatError> {
    let length = input.offset() - start;
    input.skip(length.next_multiple_of(4) - length)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes one `newc` entry: (name, mode, nlink, ino, content).
    pub(crate) fn put(archive: &mut Vec<u8>, name: &str, mode: u32, link: (u32, u32), data: &[u8]) {
        let (nlink, ino) = link;
        let fields = [
            ino,
            mode,
            0,
            0,
            nlink,
            0,
            data.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        archive.extend_from_slice(b"070701");
        for field in fields {
            archive.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        archive.extend_from_slice(name.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }

    pub(crate) fn finish(mut archive: Vec<u8>) -> Vec<u8> {
        put(&mut archive, "TRAILER!!!", 0, (1, 0), b"");
        archive
    }

    fn read(buffer: &[u8]) -> Result<Archive, FormatError> {
        Reader::default().archive(buffer, 0, &Limits::default())
    }

    #[test]
    fn hard_links_share_the_content_of_the_last() {
        let mut archive = Vec::new();
        put(&mut archive, "./a", 0o100_644, (2, 9), b"");
        put(&mut archive, "b", 0o100_644, (2, 9), b"hello");
        let archive = read(&finish(archive)).unwrap();
        assert_eq!(archive.entries[0].meta.size, 5);
        assert_eq!(archive.entries[0].data, archive.entries[1].data);
        assert_eq!(archive.entries[0].raw_name.as_deref(), Some(&b"./a"[..]));
    }

    #[test]
    fn every_cut_is_an_error_with_its_offset() {
        let mut archive = Vec::new();
        put(&mut archive, "init", 0o100_755, (1, 1), b"#!/bin/sh\n");
        let whole = finish(archive);
        assert!(read(&whole).is_ok());
        for cut in 0..whole.len() - 3 {
            let error = read(&whole[..cut]).unwrap_err();
            assert!(
                matches!(error, FormatError::Truncated { .. }),
                "cut at {cut}: {error}"
            );
        }
    }

    #[test]
    fn an_absurd_size_is_an_error_not_an_allocation() {
        let mut archive = Vec::new();
        put(&mut archive, "init", 0o100_755, (1, 1), b"x");
        archive[54..62].copy_from_slice(b"ffffffff");
        let error = read(&archive).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cpio: cut short at byte 0: `init` says that it has 4294967295 bytes, only 4 are left; build or fetch the file again"
        );
    }

    #[test]
    fn broken_headers_say_where() {
        let mut archive = Vec::new();
        put(&mut archive, "init", 0o100_755, (1, 1), b"");
        archive[20] = b'x';
        let error = read(&archive).unwrap_err();
        assert!(error.to_string().contains("broken at byte 14"), "{error}");
        let error = read(b"070707000001").unwrap_err();
        assert!(error.to_string().contains("-H newc"), "{error}");
    }
}
