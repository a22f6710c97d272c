//! A range of a shared buffer, and the way readers fetch bytes.

use std::fmt::Debug;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::FormatError;

/// A range of a shared, immutable buffer.
///
/// Cloning and slicing copy nothing, so a squashfs image inside a decoded
/// segment is read where it lies.
#[derive(Clone, Default)]
pub struct Bytes {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// Takes a buffer over, without a copy.
    #[must_use]
    pub fn new(buffer: Vec<u8>) -> Self {
        let range = 0..buffer.len();
        Self {
            buffer: Arc::new(buffer),
            range,
        }
    }

    /// Gives the part `range` of this part, or `None` where it does not lie
    /// inside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.range.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(Self {
            buffer: Arc::clone(&self.buffer),
            range: start..start + range.len(),
        })
    }
}

impl Bytes {
    /// Gives the buffer back, where nobody else reads it.
    #[must_use]
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        Arc::into_inner(self.buffer)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // The range is inside the buffer from the start and only ever narrows.
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(buffer: Vec<u8>) -> Self {
        Self::new(buffer)
    }
}

impl Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

/// Something whose bytes can be fetched from any place in it.
///
/// It lets a reader of headers look at a file inside a compressed image while
/// only the blocks that it touches are decoded.
pub trait ReadAt: Send + Sync + Debug {
    /// Gives the number of bytes. Of a compressed stream that does not announce
    /// it, all has to be decoded to know, so readers ask only where they must.
    fn size(&self) -> Result<u64, FormatError>;

    /// Fills the start of `buffer` with the bytes from `offset` on and gives
    /// their number, which is smaller than the buffer only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError>;

    /// Gives bytes without a copy where they lie in memory as they are.
    fn slice_at(&self, _offset: u64, _length: usize) -> Option<Bytes> {
        None
    }

    /// Gives all bytes from the first to the last as a stream, where that costs
    /// less than fetching them from their places; its errors come as those of a
    /// [`Reader`].
    fn stream(&self) -> Option<Box<dyn io::Read + Send>> {
        None
    }

    /// Gives up to `length` bytes from `offset`, fewer only at the end.
    ///
    /// What is allocated grows with what is really there, so a length out of a
    /// hostile header costs nothing.
    fn up_to(&self, offset: u64, length: usize) -> Result<Bytes, FormatError> {
        if let Some(bytes) = self.slice_at(offset, length) {
            return Ok(bytes);
        }
        let mut buffer = Vec::new();
        while buffer.len() < length {
            let held = buffer.len();
            buffer.resize(held + PIECE.min(length - held), 0);
            let space = buffer.get_mut(held..).unwrap_or_default();
            let wanted = space.len();
            let read = self.read_at(offset.saturating_add(held as u64), space)?;
            if read < wanted {
                buffer.truncate(held + read);
                break;
            }
        }
        Ok(Bytes::new(buffer))
    }

    /// Gives exactly `length` bytes from `offset`; an error in the name of
    /// `format` says what was missing otherwise.
    fn fetch(
        &self,
        format: &'static str,
        offset: u64,
        length: u64,
        what: &str,
    ) -> Result<Bytes, FormatError> {
        let missing = |end| {
            FormatError::truncated(
                format,
                end,
                format!("{what} ({length} bytes from byte {offset})"),
            )
        };
        let wanted = usize::try_from(length).map_err(|_| missing(offset))?;
        let bytes = self.up_to(offset, wanted)?;
        if bytes.len() < wanted {
            return Err(missing(self.size()?));
        }
        Ok(bytes)
    }
}

/// Bytes that are shared between whoever reads them.
pub type Source = Arc<dyn ReadAt>;

/// A source read from front to back. Its errors come as [`io::Error`], with the
/// [`FormatError`] kept inside.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    offset: u64,
}

impl Reader {
    /// Begins at the first byte.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, offset: 0 }
    }

    /// Goes on at another byte.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.offset, buffer);
        let read = read.map_err(io::Error::other)?;
        self.offset = self.offset.saturating_add(read as u64);
        Ok(read)
    }
}

/// Reads a source from its first byte to its last, in the way that costs least.
#[must_use]
pub fn whole(source: &Source) -> Box<dyn io::Read + Send> {
    match source.stream() {
        Some(stream) => stream,
        None => Box::new(Reader::new(Source::clone(source))),
    }
}

/// Gives the reader's own error out of one that a [`Reader`] or a decoder over
/// it gave; `None` where the fault is another's.
#[must_use]
pub fn source_error(error: &io::Error) -> Option<&FormatError> {
    error.get_ref()?.downcast_ref()
}

/// How much is asked for at a time where it is not known what is there.
const PIECE: usize = 1 << 20;

impl ReadAt for [u8] {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..))
            .unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }
}

impl ReadAt for Bytes {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        self.deref().read_at(offset, buffer)
    }

    fn slice_at(&self, offset: u64, length: usize) -> Option<Bytes> {
        let start = usize::try_from(offset).ok()?.min(self.len());
        self.slice(start..start.saturating_add(length).min(self.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_slices_stay_inside() {
        let bytes = Bytes::new((0..10).collect());
        let part = bytes.slice(2..8).unwrap();
        assert_eq!(&*part, &[2, 3, 4, 5, 6, 7]);
        assert_eq!(&*part.slice(1..3).unwrap(), &[3, 4]);
        assert!(part.slice(0..7).is_none());
    }

    #[test]
    fn a_fetch_past_the_end_allocates_nothing_and_says_what_was_missing() {
        let error = [0u8; 4]
            .fetch("elf", 2, u64::MAX - 2, "program headers")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("elf: cut short at byte 4: program headers"),
            "{error}"
        );
    }
}
