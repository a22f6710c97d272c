//! The list of extents that takes the place of an index in newer images.
//!
//! Source: `struct z_erofs_extent` and `z_erofs_map_blocks_ext` of `fs/erofs`.

use super::NAME;
use super::inode::Inode;
use super::map::{Data, Extent, Map, Place};
use crate::format::FormatError;
use crate::format::field::{le32, le64};

/// The part of a record's first word that counts bytes.
const LENGTH: u32 = (2 << 20) - 1;
/// The data decode to more than the extent has.
const PARTIAL: u32 = 1 << 27;
/// Where the number of the algorithm begins, counted from 1; 0 stands for none.
const ALGORITHM: u32 = 28;

/// Bytes of a list of short records whose lengths have to be added up.
const MAX_ADDED: u64 = 1 << 20;

/// The list of one file.
#[derive(Debug)]
pub(super) struct Extents {
    /// Where the first record is.
    start: u64,
    /// Bytes of a record: 4, 8, 16 or 32.
    record: u64,
    count: u64,
    /// An extent of a short record has so many bytes, as a power of two.
    bits: u32,
    /// The last extent is in the file of fragments.
    fragment: bool,
    size: u64,
}

/// A record: where the extent begins and its data are.
struct Record {
    start: u64,
    word: u32,
    at: u64,
}

impl Extents {
    /// Prepares the list behind the header that ends at byte `end`.
    pub(super) fn new(
        inode: &Inode,
        end: u64,
        count: u64,
        advise: u16,
        bits: u32,
        fragment: bool,
    ) -> Self {
        let record = 4u64 << (advise >> 1 & 3);
        Self {
            start: end.next_multiple_of(record),
            record,
            count,
            bits,
            fragment,
            size: inode.size,
        }
    }

    /// Finds the extent that a byte of the file belongs to.
    pub(super) fn find(&self, map: &Map, offset: u64) -> Result<Extent, FormatError> {
        let (record, end, last) = match self.record {
            4 | 8 => self.short(map, offset)?,
            _ => self.long(map, offset)?,
        };
        let extent = |data| Extent {
            start: record.start,
            length: end - record.start,
            data,
        };
        if last && self.fragment {
            let high = if self.record > 4 { record.at << 32 } else { 0 };
            return Ok(extent(Data::Fragment(high | u64::from(record.word))));
        }
        let place = Place {
            at: record.at,
            length: u64::from(record.word & LENGTH),
        };
        if place.length == 0 {
            return Ok(extent(Data::Hole));
        }
        let block = map.erofs().superblock().block;
        Ok(extent(match record.word >> ALGORITHM {
            0 if map.is_interlaced() && (place.at | place.length).is_multiple_of(block) => {
                Data::Interlaced(place)
            }
            0 => Data::Stored(place),
            algorithm => Data::Compressed {
                place,
                algorithm: map.algorithm((algorithm - 1) as u8)?,
                partial: record.word & PARTIAL != 0,
            },
        }))
    }

    /// Short records say nothing of where extents begin: all are of one size.
    fn short(&self, map: &Map, offset: u64) -> Result<(Record, u64, bool), FormatError> {
        let number = offset >> self.bits;
        let start = number << self.bits;
        let last = (number + 1) << self.bits >= self.size;
        let end = ((number + 1) << self.bits).min(self.size);
        if self.record == 8 {
            let bytes = self.bytes(map, self.start.saturating_add(number.saturating_mul(8)), 8)?;
            let record = Record {
                start,
                word: le32(&bytes, 0).unwrap_or_default(),
                at: u64::from(le32(&bytes, 4).unwrap_or_default()),
            };
            return Ok((record, end, last));
        }
        // Their data lie one after another: those before have to be added up.
        let bytes = self.bytes(map, self.start, 8)?;
        let mut at = le64(&bytes, 0).unwrap_or_default();
        // For each of them anew: such lists are made of small files only.
        if number.saturating_mul(4) > MAX_ADDED {
            return Err(map
                .inode()
                .unsupported("a list of extents that is too long to be added up"));
        }
        let bytes = self.bytes(map, self.start.saturating_add(8), (number + 1) * 4)?;
        let mut word = 0;
        for entry in bytes.chunks_exact(4) {
            at = at.saturating_add(u64::from(word & LENGTH));
            word = le32(entry, 0).unwrap_or_default();
        }
        Ok((Record { start, word, at }, end, last))
    }

    /// Long records are in the order of the file.
    fn long(&self, map: &Map, offset: u64) -> Result<(Record, u64, bool), FormatError> {
        let (mut low, mut high) = (0, self.count);
        let mut end = self.size;
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.record(map, middle)?;
            if record.start > offset {
                end = end.min(record.start);
                high = middle;
            } else {
                low = middle + 1;
                found = Some(record);
            }
        }
        let record =
            found.ok_or_else(|| map.inode().corrupt("no extent where one has to begin"))?;
        if end <= offset {
            return Err(map.inode().corrupt("extents that are not in order"));
        }
        Ok((record, end, low >= self.count))
    }

    fn record(&self, map: &Map, number: u64) -> Result<Record, FormatError> {
        let at = self
            .start
            .saturating_add(number.saturating_mul(self.record));
        let bytes = self.bytes(map, at, self.record)?;
        let word = |at| le32(&bytes, at).unwrap_or_default();
        // Records of sixteen bytes end before the upper half of where they begin.
        let high = if self.record > 16 { word(16) } else { 0 };
        Ok(Record {
            start: u64::from(high) << 32 | u64::from(word(12)),
            word: word(0),
            at: u64::from(word(8)) << 32 | u64::from(word(4)),
        })
    }

    fn bytes(&self, map: &Map, at: u64, length: u64) -> Result<crate::format::Bytes, FormatError> {
        map.erofs()
            .source()
            .fetch(NAME, at, length, "a list of extents")
    }
}
