//! A range of a shared buffer, and the way readers fetch bytes.

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

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

/// Something whose bytes can be fetched from any place in it.
///
/// It lets a reader of headers look at a file inside a compressed image while
/// only the blocks that it touches are decoded.
pub trait ReadAt {
    /// Gives the number of bytes.
    fn size(&self) -> u64;

    /// Fills the start of `buffer` with the bytes from `offset` on and gives
    /// their number, which is smaller than the buffer only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError>;

    /// Fetches exactly `length` bytes from `offset`; an error in the name of
    /// `format` says what was missing otherwise. Nothing is allocated for a
    /// length that the source does not have.
    fn fetch(
        &self,
        format: &'static str,
        offset: u64,
        length: u64,
        what: &str,
    ) -> Result<Vec<u8>, FormatError> {
        let missing = || {
            FormatError::truncated(
                format,
                self.size(),
                format!("{what} ({length} bytes from byte {offset})"),
            )
        };
        if offset
            .checked_add(length)
            .is_none_or(|end| end > self.size())
        {
            return Err(missing());
        }
        let length = usize::try_from(length).map_err(|_| missing())?;
        let mut buffer = vec![0; length];
        if self.read_at(offset, &mut buffer)? < length {
            return Err(missing());
        }
        Ok(buffer)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
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
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        self.deref().read_at(offset, buffer)
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
