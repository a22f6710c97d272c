//! System use areas: the entries behind a name in a directory record, and the
//! continuation areas that they lead to.
//!
//! Source: System Use Sharing Protocol 1.12, §4 and §5.

use super::{Iso, NAME, SECTOR};
use crate::format::field::le32;
use crate::format::{Bytes, FormatError};

/// Continuation areas of one record at most, as in Linux.
const MAX_AREAS: usize = 32;
/// Signature, length and version.
const HEADER: usize = 4;

/// One entry.
pub(super) struct Field<'a> {
    pub(super) signature: [u8; 2],
    /// What follows signature, length and version.
    pub(super) data: &'a [u8],
    /// Where the area is in the image, for errors.
    pub(super) at: u64,
}

impl Field<'_> {
    /// Reads a number that is stored in both byte orders.
    pub(super) fn number(&self, offset: usize) -> Result<u32, FormatError> {
        le32(self.data, offset).ok_or_else(|| self.broken("it is too short"))
    }

    /// Reads one byte.
    pub(super) fn byte(&self, offset: usize) -> Result<u8, FormatError> {
        let byte = self.data.get(offset).copied();
        byte.ok_or_else(|| self.broken("it is too short"))
    }

    pub(super) fn broken(&self, what: &str) -> FormatError {
        let name = crate::format::node::escape(&self.signature);
        FormatError::corrupt(
            NAME,
            self.at,
            format!("the system use entry `{name}`: {what}"),
        )
    }
}

impl Iso {
    /// Calls `visit` for each entry of an area that begins at byte `at` of the
    /// image, and of the areas in which it goes on.
    ///
    /// Errors where an entry ends behind its area, and where the areas do not
    /// end.
    pub(super) fn fields(
        &self,
        area: &[u8],
        at: u64,
        mut visit: impl FnMut(&Field<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let mut next = one(area, at, &mut visit)?;
        for _ in 0..MAX_AREAS {
            let Some(place) = next else { return Ok(()) };
            let (area, at) = self.area(place, at)?;
            next = one(&area, at, &mut visit)?;
        }
        match next {
            None => Ok(()),
            Some(_) => {
                let what = format!("more than {MAX_AREAS} continuation areas, or a circle of them");
                Err(FormatError::corrupt(NAME, at, what))
            }
        }
    }

    /// Fetches a continuation area, which lies inside of one block.
    fn area(&self, place: Place, from: u64) -> Result<(Bytes, u64), FormatError> {
        let (offset, length) = (u64::from(place.offset), u64::from(place.length));
        if offset + length > SECTOR {
            let what = format!("a continuation area of {length} bytes at byte {offset} of a block");
            return Err(FormatError::corrupt(NAME, from, what));
        }
        let at = u64::from(place.block) * self.block + offset;
        let bytes = self.source.fetch(NAME, at, length, "a continuation area")?;
        Ok((bytes, at))
    }
}

/// Where a continuation area is.
struct Place {
    block: u32,
    offset: u32,
    length: u32,
}

/// Goes through one area; gives where it goes on.
fn one(
    area: &[u8],
    at: u64,
    visit: &mut impl FnMut(&Field<'_>) -> Result<(), FormatError>,
) -> Result<Option<Place>, FormatError> {
    let mut next = None;
    let mut rest = area;
    // There may be padding at the end.
    while let [a, b, length, _, ..] = *rest {
        if [a, b] == [0, 0] || [a, b] == *b"ST" {
            break;
        }
        let length = usize::from(length);
        let entry = rest.get(HEADER..length);
        let field = Field {
            signature: [a, b],
            data: entry.unwrap_or_default(),
            at,
        };
        if entry.is_none() {
            return Err(field.broken("it does not end inside of its area"));
        }
        if field.signature == *b"CE" {
            next = Some(Place {
                block: field.number(0)?,
                offset: field.number(8)?,
                length: field.number(16)?,
            });
        } else {
            visit(&field)?;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(next)
}
