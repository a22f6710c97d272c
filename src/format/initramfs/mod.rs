//! An initramfs: segments one after another, each a cpio archive, each
//! compressed in its own way or not at all.
//!
//! Source: `unpack_to_rootfs` in `init/initramfs.c` of Linux. The kernel skips
//! zero bytes, then takes either a raw archive or one compressed member, and
//! goes on to the end of the file; what it does not know ends the boot with
//! "invalid magic at start of compressed archive". A reader that stops at the
//! first `TRAILER!!!` sees the first segment only.

mod listing;
mod scan;

use super::cpio::{self, Entry};
use super::window::{Input, Slice};
use super::{Budget, Bytes, Compression, Content, FormatError, Limits, Source};
pub use listing::{Extent, Outline};
use scan::{Part, Scan, caveat, not_a_segment};

const NAME: &str = "initramfs";

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its place in the file, from 0.
    pub index: usize,
    /// Where it begins in the file.
    pub offset: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes in the file.
    pub size: u64,
    /// The bytes it decodes to.
    pub decoded_size: u64,
    /// Archives inside it; a raw segment is one archive.
    pub archives: usize,
    /// Entries of all its archives.
    pub entries: usize,
    /// What the kernel says about this segment, where it refuses what is read
    /// here.
    pub caveat: Option<&'static str>,
    data: Bytes,
}

impl Segment {
    /// Gives the decoded segment.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

/// An entry and the segment that it came from.
#[derive(Debug, Clone)]
pub struct Located {
    /// The index of its segment.
    pub segment: usize,
    /// The entry; its offsets count from the start of the decoded segment.
    pub entry: Entry,
}

/// A whole initramfs, decoded.
#[derive(Debug, Clone)]
pub struct Initramfs {
    segments: Vec<Segment>,
    entries: Vec<Located>,
    padding: u64,
}

impl Initramfs {
    /// Decodes every segment of a file.
    ///
    /// Offsets in errors count from the start of the file, except inside a
    /// compressed segment, which the error then names. Errors:
    /// [`FormatError::Truncated`] for an empty or cut file,
    /// [`FormatError::Corrupt`] for data that are no segment,
    /// [`FormatError::Limit`] beyond `limits`.
    pub fn read(source: &Source, limits: &Limits) -> Result<Self, FormatError> {
        let size = source.size()?;
        if size == 0 {
            return Err(FormatError::truncated(NAME, 0, "the file is empty"));
        }
        let mut budget = Budget::new(limits, size);
        let mut found = Scan::default();
        found.run(source, limits, &mut budget)?;
        if found.parts.is_empty() {
            return Err(nothing_but_zeros());
        }
        let decoded = found.decode(source, &mut budget)?;

        let mut initramfs = Self {
            segments: Vec::new(),
            entries: Vec::new(),
            padding: found.padding,
        };
        let mut reader = cpio::Reader::default();
        for (part, data) in found.parts.iter().zip(decoded) {
            initramfs.push(part, data, &mut reader, limits)?;
        }
        Ok(initramfs)
    }

    /// Lists the entries of every segment, in the order of the file, without
    /// keeping anything that is decoded for it. It takes as long as decoding;
    /// [`Initramfs::read`] takes several times that, because it touches as much
    /// memory.
    ///
    /// `None` says that the file cannot be listed in this way, because a
    /// segment's compression has no decoder that goes piece by piece, or
    /// because something is wrong, which [`Initramfs::read`] then says in full.
    #[must_use]
    pub fn list(source: &Source, limits: &Limits) -> Option<Vec<Located>> {
        Self::outline(source, limits).map(|outline| outline.entries)
    }

    /// Lists the entries as [`Initramfs::list`] does, and tells where the
    /// segments lie, so that each can be decoded by itself.
    #[must_use]
    pub fn outline(source: &Source, limits: &Limits) -> Option<Outline> {
        listing::list(source, limits).ok().flatten()
    }

    /// Says from the first bytes of a file that it is no initramfs, so that a
    /// disk image need not be read to its end to be refused.
    pub fn check_start(start: &[u8]) -> Result<(), FormatError> {
        match Content::detect(start) {
            Content::Compressed(_)
            | Content::Cpio
            | Content::CpioCrc
            | Content::CpioOdc
            | Content::CpioBinary
            | Content::ZstdSkippable
            | Content::Empty => Ok(()),
            // Zero bytes before the first segment are padding.
            Content::Unknown if start.starts_with(&[0]) => Ok(()),
            Content::Squashfs
            | Content::Elf
            | Content::Zboot
            | Content::Arm64Image
            | Content::RiscvImage
            | Content::BzImage
            | Content::Pe
            | Content::Tar
            | Content::Gpt
            | Content::Mbr
            | Content::Iso
            | Content::Fat
            | Content::Ext
            | Content::Erofs
            | Content::Xfs
            | Content::Wasm
            | Content::Unknown => Err(not_a_segment(start, 0)),
        }
    }

    /// Gives all segments in the order of the file.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Gives all entries of all segments in the order of the file. A path may
    /// be there more than once: the kernel lets the last one win.
    #[must_use]
    pub fn entries(&self) -> &[Located] {
        &self.entries
    }

    /// Gives the zero bytes between and behind the segments.
    #[must_use]
    pub fn padding(&self) -> u64 {
        self.padding
    }

    /// Finds the entry that the kernel leaves at `path` (without leading `/`).
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Located> {
        self.entries
            .iter()
            .rev()
            .find(|located| located.entry.path == path)
    }

    /// Gives the content of an entry, in place.
    #[must_use]
    pub fn content(&self, located: &Located) -> Bytes {
        self.segments
            .get(located.segment)
            .and_then(|segment| segment.data.slice(located.entry.data.clone()))
            .unwrap_or_default()
    }

    /// Gives the bytes of all decoded segments together.
    #[must_use]
    pub fn decoded_size(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.decoded_size)
            .sum()
    }

    fn push(
        &mut self,
        part: &Part,
        data: Bytes,
        reader: &mut cpio::Reader,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        let index = self.segments.len();
        let before = self.entries.len();
        let archives = archives(&mut Slice::new(&data, 0), reader, limits).map_err(|error| {
            if part.compression == Compression::None {
                return error.at(part.offset as u64);
            }
            let name = part.compression.name();
            error.inside(format!("segment {index} ({name} at byte {})", part.offset))
        })?;
        let count = archives.len();
        for archive in archives {
            let located = |entry| Located {
                segment: index,
                entry,
            };
            self.entries
                .extend(archive.entries.into_iter().map(located));
        }
        self.segments.push(Segment {
            index,
            offset: part.offset as u64,
            compression: part.compression,
            size: part.length as u64,
            decoded_size: data.len() as u64,
            archives: count,
            entries: self.entries.len() - before,
            caveat: caveat(part),
            data,
        });
        Ok(())
    }
}

fn nothing_but_zeros() -> FormatError {
    FormatError::corrupt(NAME, 0, "nothing but zero bytes, no segment")
}

/// Reads the archives of one decoded segment, with the zeros between them.
fn archives(
    input: &mut impl Input,
    reader: &mut cpio::Reader,
    limits: &Limits,
) -> Result<Vec<cpio::Archive>, FormatError> {
    let mut archives = Vec::new();
    loop {
        input.skip_zeros()?;
        if input.peek(1)?.is_empty() {
            break;
        }
        archives.push(reader.stream(input, limits)?);
    }
    if archives.is_empty() {
        return Err(FormatError::truncated(
            "cpio",
            input.offset() as u64,
            "the segment holds no archive",
        ));
    }
    Ok(archives)
}

#[cfg(test)]
mod tests {
    use super::super::cpio::tests::{finish, put};
    use super::*;
    use std::sync::Arc;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut archive = Vec::new();
        for name in names {
            put(&mut archive, name, 0o100_644, (1, 1), name.as_bytes());
        }
        finish(archive)
    }

    fn read(input: Vec<u8>) -> Result<Initramfs, FormatError> {
        let source: Source = Arc::new(Bytes::new(input));
        let (read, listed) = (
            Initramfs::read(&source, &Limits::default()),
            Initramfs::list(&source, &Limits::default()),
        );
        let paths = |list: &[Located]| -> Vec<_> {
            let path = |l: &Located| (l.segment, l.entry.clone());
            list.iter().map(path).collect()
        };
        match &read {
            Ok(read) => assert_eq!(listed.map(|l| paths(&l)), Some(paths(read.entries()))),
            Err(_) => assert!(listed.is_none()),
        }
        read
    }

    #[test]
    fn every_segment_is_read_whatever_its_compression() {
        let mut input = archive(&["microcode"]);
        input.resize(input.len().next_multiple_of(512), 0);
        let second = zstd::encode_all(&archive(&["init", "rootfs.sqsh"])[..], 3).unwrap();
        let offset = input.len() as u64;
        input.extend_from_slice(&second);
        input.extend_from_slice(&zstd::encode_all(&archive(&["0.sqsh", "init"])[..], 3).unwrap());
        input.extend_from_slice(&[0; 7]);
        let initramfs = read(input).unwrap();
        let [raw, base, _extensions] = initramfs.segments() else {
            panic!("three segments")
        };
        assert_eq!((raw.compression, raw.entries), (Compression::None, 1));
        assert_eq!((base.offset, base.entries), (offset, 2));
        assert_eq!(initramfs.entries().len(), 5);
        let init = initramfs.find("init").unwrap();
        assert_eq!(init.segment, 2, "the last one wins");
        assert_eq!(&*initramfs.content(init), b"init");
    }

    #[test]
    fn each_segment_can_be_decoded_by_itself() {
        let packed = zstd::encode_all(&archive(&["init"])[..], 3).unwrap();
        let mut input = packed.clone();
        input.resize(input.len().next_multiple_of(512), 0);
        let raw = input.len();
        input.extend_from_slice(&archive(&["late"]));
        read(input.clone()).unwrap();
        let source: Source = Arc::new(Bytes::new(input.clone()));
        let outline = Initramfs::outline(&source, &Limits::default()).unwrap();
        let extent = |offset: usize, length: usize, compression| Extent {
            offset: offset as u64,
            length: length as u64,
            compression,
        };
        assert_eq!(
            outline.extents,
            [
                extent(0, packed.len(), Compression::Zstd),
                extent(raw, input.len() - raw, Compression::None),
            ]
        );
        let late = &outline.entries[1];
        assert_eq!(input[raw..][late.entry.data.clone()], *b"late");
    }

    #[test]
    fn a_compressed_segment_may_hold_several_archives() {
        let both = [archive(&["a"]), vec![0; 64], archive(&["b"])].concat();
        let initramfs = read(zstd::encode_all(&both[..], 3).unwrap()).unwrap();
        assert_eq!(initramfs.segments()[0].archives, 2);
        assert!(initramfs.find("b").is_some());
    }

    #[test]
    fn garbage_behind_a_segment_is_named_with_its_offset() {
        let mut input = archive(&["a"]);
        let offset = input.len();
        input.extend_from_slice(b"garbage!");
        let error = read(input).unwrap_err();
        assert!(
            error.to_string().contains(&format!(
                "initramfs: broken at byte {offset}: unknown data (67 61"
            )),
            "{error}"
        );
    }

    #[test]
    fn an_archive_that_outlasts_its_frame_is_an_error_that_names_the_segment() {
        let whole = archive(&["a", "b"]);
        let mut input = archive(&["first"]);
        let offset = input.len();
        input.extend_from_slice(&zstd::encode_all(&whole[..150], 3).unwrap());
        let error = read(input).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!(
                "in segment 1 (zstd at byte {offset}): cpio: cut short"
            )),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_never_an_empty_initramfs() {
        assert!(read(Vec::new()).is_err());
        assert!(read(vec![0; 4096]).is_err());
        assert!(read(zstd::encode_all(&[0u8; 64][..], 3).unwrap()).is_err());
    }

    #[test]
    fn a_bomb_is_stopped_by_what_the_file_may_decode_to() {
        let limits = Limits {
            free_decoded: 1 << 20,
            ..Limits::default()
        };
        let bomb = zstd::encode_all(&vec![0u8; 8 << 20][..], 3).unwrap();
        let bomb: Source = Arc::new(Bytes::new(bomb));
        assert!(Initramfs::list(&bomb, &limits).is_none());
        let error = Initramfs::read(&bomb, &limits).unwrap_err();
        assert!(error.to_string().contains("max_decoded"), "{error}");
    }
}
