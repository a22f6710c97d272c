//! Files with holes, in the four forms in which GNU tar stores them.
//!
//! Source: the GNU tar manual, "Storing Sparse Files": the old form in the
//! header, and the PAX forms 0.0, 0.1 and 1.0.

use super::header::{BLOCK, Block, NAME, number, part};
use super::pax::decimal;
use crate::format::{FormatError, Piece};

/// What PAX records say about the holes of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Map {
    major: u64,
    /// The size of the file with its holes.
    size: Option<u64>,
    /// The file's own name; the header holds a made-up one.
    pub(super) name: Option<Vec<u8>>,
    /// Offsets and lengths, in turn.
    numbers: Vec<u64>,
}

impl Map {
    /// Takes one record, its prefix `GNU.sparse.` removed; `None` says that the
    /// value is none.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"major" => self.major = decimal(value)?,
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()).filter(|name| !name.contains(&0)),
            b"offset" | b"numbytes" => self.numbers.push(decimal(value)?),
            b"map" => {
                let parts = value.split(|byte| *byte == b',');
                self.numbers = parts.map(decimal).collect::<Option<_>>()?;
            }
            // The number of regions is what they are; there is no minor version but 0.
            b"numblocks" | b"minor" => {
                decimal::<u64>(value)?;
            }
            _ => {}
        }
        Some(())
    }

    /// Tells whether the regions stand in front of the content (the form 1.0).
    pub(super) fn in_content(&self) -> bool {
        self.major > 0
    }

    /// Gives the regions and the size of the file.
    pub(super) fn regions(&self, offset: u64) -> Result<(Vec<Region>, u64), FormatError> {
        if self.major > 1 {
            let what = format!("sparse files of the form {}", self.major);
            return Err(FormatError::unsupported(NAME, offset, what));
        }
        let size = self.size.ok_or_else(|| {
            FormatError::corrupt(NAME, offset, "a sparse file does not say its size")
        })?;
        let regions = paired(&self.numbers, offset)?;
        Ok((regions, size))
    }
}

/// One run of bytes that are there: where it belongs, and how long it is.
pub(super) type Region = (u64, u64);

fn paired(numbers: &[u64], offset: u64) -> Result<Vec<Region>, FormatError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        let what = "a region of a sparse file has no length";
        return Err(FormatError::corrupt(NAME, offset, what));
    }
    Ok(pairs.iter().map(|[at, length]| (*at, *length)).collect())
}

/// Reads the regions that a header of the old form holds, or a block that goes
/// on with them; gives whether another such block follows.
pub(super) fn of_block(
    block: &Block,
    first: bool,
    offset: u64,
    regions: &mut Vec<Region>,
) -> Result<bool, FormatError> {
    let (start, count, more) = if first { (386, 4, 482) } else { (0, 21, 504) };
    for index in 0..count {
        let at = start + index * 24;
        let field = |at: usize| {
            let value = number(part(block, at, 12), offset + at as u64, "a sparse region")?;
            u64::try_from(value).map_err(|_| {
                FormatError::corrupt(NAME, offset + at as u64, "a sparse region is negative")
            })
        };
        // An entry that is not filled in ends the list.
        if part(block, at, 24).iter().all(|byte| *byte == 0) {
            break;
        }
        regions.push((field(at)?, field(at + 12)?));
    }
    Ok(block.get(more).is_some_and(|flag| *flag != 0))
}

/// Gives the size that a header of the old form says, holes included.
pub(super) fn size_of_block(block: &Block, offset: u64) -> Result<u64, FormatError> {
    let size = number(part(block, 483, 12), offset + 483, "the size with holes")?;
    u64::try_from(size)
        .map_err(|_| FormatError::corrupt(NAME, offset + 483, "the size with holes is negative"))
}

/// Reads regions as text, as the form 1.0 has them in front of the content:
/// their number, then offsets and lengths, one a line, padded to a block.
#[derive(Debug, Default)]
pub(super) struct Text {
    count: Option<u64>,
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl Text {
    /// Takes one block; gives whether the list ended in it.
    pub(super) fn take(&mut self, block: &Block, offset: u64) -> Result<bool, FormatError> {
        let broken = |at| {
            let what = "the list of a sparse file's regions is broken";
            FormatError::corrupt(NAME, offset + at as u64, what)
        };
        for (at, byte) in block.iter().enumerate() {
            if self.complete() {
                // What follows is padding.
                return Ok(true);
            }
            if *byte != b'\n' {
                self.digits.push(*byte);
                if self.digits.len() > 20 {
                    return Err(broken(at));
                }
                continue;
            }
            let value = decimal(&self.digits).ok_or_else(|| broken(at))?;
            self.digits.clear();
            match self.count {
                None => self.count = Some(value),
                Some(_) => self.numbers.push(value),
            }
        }
        Ok(self.complete())
    }

    fn complete(&self) -> bool {
        let held = self.numbers.len() as u64;
        self.count
            .is_some_and(|count| count.checked_mul(2) == Some(held))
    }

    /// Gives the number of regions that there are to be.
    pub(super) fn count(&self) -> u64 {
        self.count.unwrap_or(0)
    }

    /// Gives the regions.
    pub(super) fn regions(&self, offset: u64) -> Result<Vec<Region>, FormatError> {
        paired(&self.numbers, offset)
    }
}

/// Lays regions whose bytes are stored one after another from `start` on out as
/// a file of `size` bytes.
///
/// Errors with [`FormatError::Corrupt`] where regions overlap, leave the file,
/// or are not the `stored` bytes.
pub(super) fn lay_out(
    regions: &[Region],
    size: u64,
    start: u64,
    stored: u64,
) -> Result<Box<[Piece]>, FormatError> {
    let broken = |what: &str| {
        let what = format!("the regions of a sparse file {what}");
        FormatError::corrupt(NAME, start, what)
    };
    let mut pieces = Vec::with_capacity(regions.len().saturating_mul(2));
    let (mut end, mut used) = (0u64, 0u64);
    for (at, length) in regions {
        let hole = at
            .checked_sub(end)
            .ok_or_else(|| broken("are out of order"))?;
        pieces.push(Piece {
            start: None,
            length: hole,
        });
        pieces.push(Piece {
            start: start.checked_add(used),
            length: *length,
        });
        let next = at.checked_add(*length).filter(|next| *next <= size);
        end = next.ok_or_else(|| broken("lie behind its end"))?;
        used = used.saturating_add(*length);
    }
    if used != stored {
        let what = format!("are {used} bytes, and {stored} are stored");
        return Err(broken(&what));
    }
    pieces.push(Piece {
        start: None,
        length: size - end,
    });
    pieces.retain(|piece| piece.length > 0);
    Ok(pieces.into_boxed_slice())
}

/// Gives how many bytes content takes in an archive, whole blocks.
pub(super) fn padded(size: u64, offset: u64) -> Result<u64, FormatError> {
    size.checked_next_multiple_of(BLOCK as u64)
        .filter(|padded| padded.checked_add(offset).is_some())
        .ok_or_else(|| FormatError::corrupt(NAME, offset, format!("a size of {size} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_become_pieces_with_holes_between() {
        let pieces = lay_out(&[(10, 5), (20, 0), (30, 2)], 40, 1000, 7).unwrap();
        let shown: Vec<_> = pieces.iter().map(|p| (p.start, p.length)).collect();
        assert_eq!(
            shown,
            [
                (None, 10),
                (Some(1000), 5),
                (None, 5),
                (None, 10),
                (Some(1005), 2),
                (None, 8)
            ]
        );
        assert!(
            lay_out(&[(10, 5), (12, 1)], 40, 0, 6).is_err(),
            "out of order"
        );
        assert!(lay_out(&[(38, 5)], 40, 0, 5).is_err(), "behind the end");
        assert!(lay_out(&[(0, 5)], 40, 0, 6).is_err(), "other bytes stored");
        assert!(lay_out(&[(u64::MAX, 2)], u64::MAX, 0, 2).is_err());
    }

    #[test]
    fn a_list_as_text_ends_where_it_says() {
        let mut block = [0; BLOCK];
        block[..10].copy_from_slice(b"1\n512\n700\n");
        let mut text = Text::default();
        assert!(text.take(&block, 0).unwrap());
        assert_eq!(text.regions(0).unwrap(), [(512, 700)]);
        block[..10].copy_from_slice(b"9\n512\n700\n");
        assert!(
            Text::default().take(&block, 0).is_err(),
            "NULs are no number"
        );
        block[..3].copy_from_slice(b"0\n\0");
        assert!(Text::default().take(&block, 0).unwrap());
    }
}
