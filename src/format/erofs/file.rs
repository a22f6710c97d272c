//! The content of a compressed file, extent by extent.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::decode::decode;
use super::inode::Inode;
use super::map::{Data, Extent, Map};
use super::{Erofs, NAME};
use crate::format::{Bytes, FormatError, ReadAt, Source};

/// Decoded extents that a file keeps: an ELF file's start, where its headers
/// and names are, and that of its dynamic section.
const OF_A_FILE: (usize, usize) = (2, 4 << 20);
/// Those that an image keeps of its file of fragments, in which many small
/// files have a part.
const OF_FRAGMENTS: (usize, usize) = (16, 16 << 20);

/// The extents that were decoded last: so many, and so many bytes of them.
#[derive(Debug)]
pub(super) struct Recent {
    held: Mutex<Vec<(Extent, Bytes)>>,
    most: (usize, usize),
}

impl Recent {
    fn new(most: (usize, usize)) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            most,
        })
    }

    /// Makes what an image keeps of its file of fragments.
    pub(super) fn of_fragments() -> Arc<Self> {
        Self::new(OF_FRAGMENTS)
    }

    fn find(&self, offset: u64) -> Option<(Extent, Bytes)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let covers = |(extent, _): &&(Extent, Bytes)| {
            offset
                .checked_sub(extent.start)
                .is_some_and(|skip| skip < extent.length)
        };
        held.iter().find(covers).cloned()
    }

    fn keep(&self, extent: Extent, bytes: Bytes) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, room) = self.most;
        let size = |held: &[(Extent, Bytes)]| held.iter().map(|(_, b)| b.len()).sum::<usize>();
        while !held.is_empty() && (held.len() >= most || size(&held) + bytes.len() > room) {
            held.remove(0);
        }
        held.push((extent, bytes));
    }
}

/// An open compressed file.
#[derive(Debug)]
pub(super) struct File {
    map: Map,
    size: u64,
    /// The file of fragments, opened when this one turns out to have a part in
    /// it.
    packed: OnceLock<Result<Source, FormatError>>,
    /// It is the file of fragments itself.
    is_packed: bool,
    recent: Arc<Recent>,
}

impl File {
    /// Opens a file.
    pub(super) fn open(erofs: &Erofs, inode: &Inode) -> Result<Self, FormatError> {
        let is_packed = Some(inode.number) == erofs.superblock().packed;
        Ok(Self {
            map: Map::open(erofs, inode)?,
            size: inode.size,
            packed: OnceLock::new(),
            is_packed,
            recent: match is_packed {
                true => Arc::clone(erofs.fragments()),
                false => Recent::new(OF_A_FILE),
            },
        })
    }

    /// Reads as much of one extent as there is, and room for it.
    fn piece(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        if let Some((extent, bytes)) = self.recent.find(offset) {
            return Ok(copy(&bytes, offset - extent.start, buffer));
        }
        let inode = self.map.inode();
        self.map.erofs().limits().check_deadline(NAME, inode.at)?;
        let extent = self.map.extent(offset)?;
        let skip = offset - extent.start;
        let length = usize::try_from(extent.length - skip).unwrap_or(usize::MAX);
        let length = length.min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        match extent.data {
            Data::Hole => part.fill(0),
            Data::Fragment(start) => {
                let from = start.saturating_add(skip);
                if self.packed()?.read_at(from, part)? < length {
                    let what = "a part behind the end of the file of fragments";
                    return Err(inode.corrupt(what));
                }
            }
            Data::Stored(_) | Data::Interlaced(_) | Data::Compressed { .. } => {
                let bytes = Bytes::new(self.decoded(&extent)?);
                let copied = copy(&bytes, skip, part);
                self.recent.keep(extent, bytes);
                return Ok(copied);
            }
        }
        Ok(length)
    }

    /// Gives the file of fragments.
    fn packed(&self) -> Result<&Source, FormatError> {
        let opened = self.packed.get_or_init(|| {
            let erofs = self.map.erofs();
            let number = erofs.superblock().packed.filter(|_| !self.is_packed);
            let none = || {
                self.map
                    .inode()
                    .corrupt("a part in a file of fragments that is not there")
            };
            erofs.content(&Inode::read(erofs, number.ok_or_else(none)?)?)
        });
        opened.as_ref().map_err(Clone::clone)
    }

    /// Decodes an extent that is in the image itself.
    fn decoded(&self, extent: &Extent) -> Result<Vec<u8>, FormatError> {
        let erofs = self.map.erofs();
        let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
        let (place, algorithm) = match extent.data {
            Data::Hole | Data::Fragment(_) => return Ok(Vec::new()),
            Data::Stored(place) | Data::Interlaced(place) => (place, None),
            Data::Compressed {
                place,
                algorithm,
                partial,
            } => (place, Some((algorithm, partial))),
        };
        let stored = erofs
            .source()
            .fetch(NAME, place.at, place.length, "the data of a file")?;
        if let Some((algorithm, partial)) = algorithm {
            let padded = erofs.superblock().zero_padding;
            let said = |what| format!("the data of inode {}: {what}", self.map.inode().number);
            return decode(algorithm, &stored, length, partial, padded)
                .map_err(|what| FormatError::corrupt(NAME, place.at, said(what)));
        }
        let mut data = stored.to_vec();
        if let Data::Interlaced(_) = extent.data {
            let skip = usize::try_from(extent.start % erofs.superblock().block).unwrap_or_default();
            let skip = Some(skip).filter(|skip| *skip <= data.len());
            let skip =
                skip.ok_or_else(|| self.map.inode().corrupt("data that begin behind their end"))?;
            data.rotate_left(skip);
        }
        data.truncate(length);
        Ok(data)
    }
}

/// Copies what lies from `skip` on; gives the number of bytes.
fn copy(bytes: &[u8], skip: u64, buffer: &mut [u8]) -> usize {
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let from = bytes.get(skip..).unwrap_or_default();
    let length = from.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

impl ReadAt for File {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..most).filter(|rest| !rest.is_empty()) {
            let read = self.piece(offset.saturating_add(done as u64), rest)?;
            if read == 0 {
                return Err(self.map.inode().corrupt("an extent of no bytes"));
            }
            done += read;
        }
        Ok(done)
    }
}
