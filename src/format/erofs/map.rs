//! The extents of a compressed file: which of its bytes decode out of which
//! bytes of the image.
//!
//! Source: `zmap.c` of `fs/erofs`.

use super::extents::Extents;
use super::index::{Cluster, Index, Role};
use super::inode::{Inode, Layout};
use super::{Erofs, NAME};
use crate::format::FormatError;
use crate::format::field::{le16, le32, le64};

/// Bytes of compressed data at most, as Linux has it.
const MAX_STORED: u64 = 1 << 20;
/// Bytes that they decode to at most.
pub(super) const MAX_DECODED: u64 = 12 << 20;

/// Bits of a header's advice.
mod advise {
    pub(super) const EXTENTS: u16 = 0x1;
    pub(super) const INLINE: u16 = 0x8;
    pub(super) const INTERLACED: u16 = 0x10;
    pub(super) const FRAGMENT: u16 = 0x20;
}

/// How the data of an extent are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// A bare lz4 block.
    Lz4,
    /// MicroLZMA: an LZMA stream without its header.
    Lzma,
    /// A bare deflate stream.
    Deflate,
    /// A zstd frame.
    Zstd,
}

/// Where the bytes of an extent are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// They are zeros.
    Hole,
    /// In the file of fragments, from here on.
    Fragment(u64),
    /// Stored as they are.
    Stored(Place),
    /// Stored as they are, beginning as far into the block as the extent begins
    /// into one of the file's, and going on at the block's start.
    Interlaced(Place),
    /// Compressed.
    Compressed {
        place: Place,
        algorithm: Algorithm,
        /// They decode to more than the extent has.
        partial: bool,
    },
}

/// A part of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// A run of a file's bytes that decode at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins in the file.
    pub(super) start: u64,
    /// Its bytes.
    pub(super) length: u64,
    pub(super) data: Data,
}

/// The way to the extents of one file.
#[derive(Debug)]
pub(super) struct Map {
    erofs: Erofs,
    inode: Inode,
    form: Form,
    interlaced: bool,
    algorithms: [u8; 2],
    /// The last extent's own place: where it begins, and its data.
    tail: Option<(u64, Data)>,
}

#[derive(Debug)]
enum Form {
    /// All of it is in the file of fragments.
    Fragment(u64),
    Index(Index),
    Extents(Extents),
}

impl Map {
    /// Reads the header of a compressed file's index.
    pub(super) fn open(erofs: &Erofs, inode: &Inode) -> Result<Self, FormatError> {
        // So that the ends of clusters and extents can be counted.
        if inode.size >> 56 != 0 {
            return Err(inode.corrupt(format!("a size of {} bytes", inode.size)));
        }
        let at = inode.end().next_multiple_of(8);
        let header = erofs
            .source()
            .fetch(NAME, at, 8, "the header of an index")?;
        let whole = le64(&header, 0).unwrap_or_default();
        let mut map = Self {
            erofs: erofs.clone(),
            inode: inode.clone(),
            form: Form::Fragment(whole & !(1 << 63)),
            interlaced: false,
            algorithms: [0; 2],
            tail: None,
        };
        if whole >> 63 == 1 {
            return Ok(map);
        }
        let advise = le16(&header, 4).unwrap_or_default();
        let [algorithms, clusters] = [6, 7].map(|at| header.get(at).copied().unwrap_or_default());
        map.interlaced = advise & advise::INTERLACED != 0;
        map.algorithms = [algorithms & 15, algorithms >> 4];
        let bits = erofs.superblock().block.trailing_zeros() + u32::from(clusters & 15);
        if bits > 24 {
            return Err(inode.unsupported(format!("logical clusters of 2^{bits} bytes")));
        }
        if inode.layout == Layout::Full && advise & advise::EXTENTS != 0 {
            let low = u64::from(le32(&header, 0).unwrap_or_default());
            let high = u64::from(le16(&header, 6).unwrap_or_default());
            let fragment = advise & advise::FRAGMENT != 0;
            let list = Extents::new(inode, at + 8, high << 32 | low, advise, bits, fragment);
            map.form = Form::Extents(list);
            return Ok(map);
        }
        let index = Index::new(erofs, inode, at + 8, bits, advise);
        if inode.layout == Layout::Compact && index.big == [true, false] {
            return Err(inode.corrupt("big clusters of one algorithm only"));
        }
        map.form = Form::Index(index);
        map.tail = map.find_tail(advise, &header)?;
        Ok(map)
    }

    /// Finds out where the data of the last extent are, where they are not in
    /// blocks of their own.
    fn find_tail(&self, advise: u16, header: &[u8]) -> Result<Option<(u64, Data)>, FormatError> {
        let Form::Index(index) = &self.form else {
            return Ok(None);
        };
        let Some(last) = self.inode.size.checked_sub(1) else {
            return Ok(None);
        };
        if advise & advise::FRAGMENT != 0 {
            let (_, start, head) = self.head(index, last)?;
            let low = u64::from(le32(header, 0).unwrap_or_default());
            // A full index has room for the upper half.
            let high = if self.inode.layout == Layout::Full {
                head.block
            } else {
                0
            };
            return Ok(Some((start, Data::Fragment(high << 32 | low))));
        }
        let length = u64::from(le16(header, 2).unwrap_or_default());
        if advise & advise::INLINE == 0 || length == 0 {
            return Ok(None);
        }
        let (_, start, head) = self.head(index, last)?;
        let at = index.cluster(last >> index.bits)?.end;
        let block = self.erofs.superblock().block;
        if at % block + length > block {
            return Err(self
                .inode
                .corrupt("compressed data behind it that reach into another block"));
        }
        let data = self.data(&head, Place { at, length })?;
        Ok(Some((start, data)))
    }

    /// Finds the extent that a byte of the file belongs to.
    ///
    /// Errors with [`FormatError::Corrupt`] where the index contradicts itself,
    /// with [`FormatError::Unsupported`] for extents larger than Linux reads.
    pub(super) fn extent(&self, offset: u64) -> Result<Extent, FormatError> {
        let extent = match &self.form {
            Form::Fragment(start) => Extent {
                start: 0,
                length: self.inode.size,
                data: Data::Fragment(*start),
            },
            Form::Extents(list) => list.find(self, offset)?,
            Form::Index(index) => self.indexed(index, offset)?,
        };
        let (place, decoded) = match extent.data {
            Data::Hole | Data::Fragment(_) => return Ok(extent),
            Data::Stored(place) | Data::Interlaced(place) => (place, place.length),
            Data::Compressed { place, .. } => (place, MAX_DECODED),
        };
        let stored = place.length;
        if stored > MAX_STORED {
            let what = format!("{stored} bytes of data at once; {MAX_STORED} is the most");
            return Err(self.inode.unsupported(what));
        }
        if !self.erofs.superblock().holds(place.at, stored) {
            let what = format!("{stored} bytes of data from byte {} on", place.at);
            return Err(self.inode.corrupt(what));
        }
        if extent.length > decoded {
            let what = format!("{} bytes out of data for {decoded}", extent.length);
            return Err(self.inode.corrupt(what));
        }
        Ok(extent)
    }

    fn indexed(&self, index: &Index, offset: u64) -> Result<Extent, FormatError> {
        let (number, start, head) = self.head(index, offset)?;
        let end = self.end(index, number)?;
        if end <= offset {
            return Err(index.broken(number));
        }
        let data = match self.tail {
            Some((tail, data)) if tail == start => data,
            Some(_) | None => {
                let length = self.blocks(index, number, &head)?;
                let block = self.erofs.superblock().block;
                let (at, length) = (head.block * block, length * block);
                self.data(&head, Place { at, length })?
            }
        };
        Ok(Extent {
            start,
            length: end - start,
            data,
        })
    }

    /// Finds the head of the extent that a byte belongs to: its cluster, where
    /// the extent begins, and what the index says of it.
    fn head(&self, index: &Index, offset: u64) -> Result<(u64, u64, Cluster), FormatError> {
        let first = offset >> index.bits;
        let mut number = first;
        loop {
            let cluster = index.cluster(number)?;
            let start = (number << index.bits) + cluster.offset;
            let back = match cluster.role {
                Role::Body => cluster.back,
                Role::Plain | Role::Head(_) if start <= offset => {
                    return Ok((number, start, cluster));
                }
                Role::Plain | Role::Head(_) => 1,
            };
            let next = number.checked_sub(back).filter(|_| back > 0);
            // What lies further back cannot decode as far as here.
            number = next
                .filter(|next| (first - next) << index.bits <= MAX_DECODED)
                .ok_or_else(|| index.broken(number))?;
        }
    }

    /// Gives where the extent that begins in cluster `head` ends.
    fn end(&self, index: &Index, head: u64) -> Result<u64, FormatError> {
        let mut number = head;
        loop {
            number += 1;
            if number << index.bits >= self.inode.size {
                return Ok(self.inode.size);
            }
            // How far away the next head is would be told, but not by every version of mkfs.
            let cluster = index.cluster(number)?;
            if cluster.role != Role::Body {
                return Ok(((number << index.bits) + cluster.offset).min(self.inode.size));
            }
            if (number - head) << index.bits > MAX_DECODED {
                return Err(index.broken(head));
            }
        }
    }

    /// Gives the blocks that the data of a head take.
    fn blocks(&self, index: &Index, number: u64, head: &Cluster) -> Result<u64, FormatError> {
        let big = match head.role {
            Role::Head(0) => index.big[0],
            Role::Head(_) | Role::Plain | Role::Body => index.big[1],
        };
        if !big || (number + 1) << index.bits >= self.inode.size {
            return Ok(1);
        }
        let next = index.cluster(number + 1)?;
        match (next.role, next.blocks) {
            (Role::Body, Some(blocks)) if blocks > 0 => Ok(blocks),
            (Role::Body, _) => Err(index.broken(number + 1)),
            (Role::Plain | Role::Head(_), _) => Ok(1),
        }
    }

    fn data(&self, head: &Cluster, place: Place) -> Result<Data, FormatError> {
        let which = match head.role {
            Role::Plain if self.interlaced => return Ok(Data::Interlaced(place)),
            Role::Plain | Role::Body => return Ok(Data::Stored(place)),
            Role::Head(which) => self.algorithms.get(which).copied().unwrap_or_default(),
        };
        Ok(Data::Compressed {
            place,
            algorithm: self.algorithm(which)?,
            partial: head.partial,
        })
    }

    /// Names an algorithm by its number.
    pub(super) fn algorithm(&self, number: u8) -> Result<Algorithm, FormatError> {
        match number {
            0 => Ok(Algorithm::Lz4),
            1 => Ok(Algorithm::Lzma),
            2 => Ok(Algorithm::Deflate),
            3 => Ok(Algorithm::Zstd),
            other => Err(self
                .inode
                .unsupported(format!("compression algorithm {other}"))),
        }
    }

    /// Tells whether what is stored as it is may begin inside of its block.
    pub(super) fn is_interlaced(&self) -> bool {
        self.interlaced
    }

    pub(super) fn erofs(&self) -> &Erofs {
        &self.erofs
    }

    pub(super) fn inode(&self) -> &Inode {
        &self.inode
    }
}
