//! A file made of ranges of another: a partition, a section, the extents of a file.

use std::sync::Arc;

use super::{Bytes, FormatError, Limits, ReadAt, Source};

/// One range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the source; `None` for a hole, which reads as zeros.
    pub start: Option<u64>,
    /// Its bytes.
    pub length: u64,
}

/// Ranges of a source, one after another, read as one file.
#[derive(Debug)]
pub struct Pieces {
    source: Source,
    /// Each piece with the offset at which it begins in the file, ascending.
    pieces: Vec<(u64, Piece)>,
    size: u64,
    limits: Limits,
}

impl Pieces {
    /// Joins pieces. Whether the source has those bytes shows when they are
    /// read: what lies behind its end is [`FormatError::Truncated`].
    #[must_use]
    pub fn new(source: Source, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut joined = Self::within(source, &Limits::default());
        pieces.into_iter().for_each(|piece| joined.push(piece));
        joined
    }

    /// Begins with no piece. Reading keeps the deadline of `limits`: a hole of
    /// many terabytes takes no space in a hostile image.
    #[must_use]
    pub(super) fn within(source: Source, limits: &Limits) -> Self {
        Self {
            source,
            pieces: Vec::new(),
            size: 0,
            limits: limits.clone(),
        }
    }

    /// Puts a piece behind the others; neighbours become one.
    pub(super) fn push(&mut self, piece: Piece) {
        if piece.length == 0 {
            return;
        }
        let next = |last: &Piece| match (last.start, piece.start) {
            (None, None) => true,
            (Some(last_start), Some(start)) => last_start.checked_add(last.length) == Some(start),
            (Some(_), None) | (None, Some(_)) => false,
        };
        match self.pieces.last_mut() {
            Some((_, last)) if next(last) => {
                last.length = last.length.saturating_add(piece.length);
            }
            Some(_) | None => self.pieces.push((self.size, piece)),
        }
        self.size = self.size.saturating_add(piece.length);
    }

    /// Gives the number of pieces, neighbours joined.
    pub(super) fn count(&self) -> usize {
        self.pieces.len()
    }

    /// Cuts the file to `size` bytes, or fills it up to them with a hole.
    pub(super) fn resize(&mut self, size: u64) {
        if size >= self.size {
            let length = size - self.size;
            self.push(Piece {
                start: None,
                length,
            });
            return;
        }
        let kept = self.pieces.partition_point(|(begin, _)| *begin < size);
        self.pieces.truncate(kept);
        if let Some((begin, last)) = self.pieces.last_mut() {
            last.length = last.length.min(size - *begin);
        }
        self.size = size;
    }

    /// Gives one range of a source as a file of its own.
    #[must_use]
    pub fn range(source: &Source, start: u64, length: u64) -> Source {
        let piece = Piece {
            start: Some(start),
            length,
        };
        Arc::new(Self::new(Arc::clone(source), [piece]))
    }

    /// Finds the piece at `offset`, and how far into it that is.
    fn at(&self, offset: u64) -> Option<(Piece, u64)> {
        let index = self.pieces.partition_point(|(begin, _)| *begin <= offset);
        let (begin, piece) = self.pieces.get(index.checked_sub(1)?)?;
        let skip = offset - begin;
        (skip < piece.length).then_some((*piece, skip))
    }
}

/// Finds ranges that share bytes, each given as name, start and size, and names
/// them in pairs, as `EFI and META`. Each range is held against the one before
/// it that reaches furthest.
pub fn overlaps<'n>(ranges: impl IntoIterator<Item = (&'n str, u64, u64)>) -> Vec<String> {
    let mut sorted: Vec<(&str, u64, u64)> = ranges.into_iter().filter(|r| r.2 > 0).collect();
    sorted.sort_by_key(|(_, start, _)| *start);
    let mut found = Vec::new();
    let mut furthest: Option<(&str, u64)> = None;
    for (name, start, size) in sorted {
        if let Some((before, end)) = furthest
            && end > start
        {
            found.push(format!("{before} and {name}"));
        }
        let end = start.saturating_add(size);
        if furthest.is_none_or(|(_, before)| before < end) {
            furthest = Some((name, end));
        }
    }
    found
}

impl ReadAt for Pieces {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some((piece, skip)) = self.at(offset.saturating_add(done as u64)) else {
                break;
            };
            let length = usize::try_from(piece.length - skip)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let part = rest.get_mut(..length).unwrap_or_default();
            match piece.start {
                None => {
                    self.limits.check_deadline("data", offset)?;
                    part.fill(0);
                }
                Some(start) => {
                    let from = start.saturating_add(skip);
                    let read = self.source.read_at(from, part)?;
                    if read < length {
                        let what = format!("{length} bytes from byte {from}");
                        return Err(FormatError::truncated("data", from + read as u64, what));
                    }
                }
            }
            done += length;
        }
        Ok(done)
    }

    fn slice_at(&self, offset: u64, length: usize) -> Option<Bytes> {
        let length = length.min(usize::try_from(self.size.saturating_sub(offset)).ok()?);
        let (piece, skip) = self.at(offset)?;
        if piece.length - skip < length as u64 {
            return None;
        }
        let bytes = self
            .source
            .slice_at(piece.start?.checked_add(skip)?, length)?;
        // A source that ends early is an error that reading tells.
        (bytes.len() == length).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Arc::new(Bytes::new((0..100).collect()))
    }

    #[test]
    fn pieces_read_as_one_file_and_holes_as_zeros() {
        let piece = |start, length| Piece { start, length };
        let file = Pieces::new(
            source(),
            [
                piece(Some(10), 2),
                piece(Some(12), 1),
                piece(None, 2),
                piece(Some(50), 3),
            ],
        );
        assert_eq!(file.size(), Ok(8));
        assert_eq!(
            &*file.up_to(0, 100).unwrap(),
            &[10, 11, 12, 0, 0, 50, 51, 52]
        );
        assert_eq!(&*file.up_to(4, 2).unwrap(), &[0, 50]);
        assert_eq!(file.pieces.len(), 3, "neighbours are joined");
    }

    #[test]
    fn ranges_that_share_bytes_are_named_also_where_one_is_inside_another() {
        let ranges = [("c", 50, 10), ("a", 0, 100), ("b", 10, 10), ("d", 100, 1)];
        assert_eq!(overlaps(ranges), ["a and b", "a and c"]);
        assert!(overlaps([("a", 0, 4), ("b", 2, 0), ("c", 4, u64::MAX)]).is_empty());
    }

    #[test]
    fn a_file_is_cut_or_filled_up_to_its_size() {
        let some = |start, length| Piece {
            start: Some(start),
            length,
        };
        let mut file = Pieces::new(source(), [some(10, 4), some(50, 4)]);
        file.resize(10);
        assert_eq!(
            &*file.up_to(0, 100).unwrap(),
            &[10, 11, 12, 13, 50, 51, 52, 53, 0, 0]
        );
        file.resize(6);
        assert_eq!(&*file.up_to(0, 100).unwrap(), &[10, 11, 12, 13, 50, 51]);
        file.resize(4);
        assert_eq!((file.size(), file.count()), (Ok(4), 1));
    }

    #[test]
    fn what_lies_behind_the_source_is_an_error() {
        let file = Pieces::range(&source(), 90, 20);
        assert!(file.up_to(0, 20).is_err());
        assert_eq!(file.up_to(0, 10).unwrap().len(), 10);
    }
}
