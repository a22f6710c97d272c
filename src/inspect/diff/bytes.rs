//! Two files byte by byte.

use super::Side;
use crate::format::{FormatError, Limits, ReadAt, Source};

/// How much of each is held at a time.
const PIECE: usize = 128 << 10;

/// Tells whether two sources have the same bytes; it ends at the first that
/// differs, and asks for no size, which of a compressed stream is known only at
/// its end.
///
/// Errors name the side that could not be read.
pub(super) fn equal(a: &Source, b: &Source, limits: &Limits) -> Result<bool, (Side, FormatError)> {
    let mut offset = 0;
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        limits
            .check_deadline("diff", offset)
            .map_err(|error| (Side::A, error))?;
        let read = |side, source: &dyn ReadAt, buffer: &mut [u8]| {
            source
                .read_at(offset, buffer)
                .map_err(|error| (side, error))
        };
        let from_a = read(Side::A, &**a, &mut left)?;
        let from_b = read(Side::B, &**b, &mut right)?;
        if left.get(..from_a) != right.get(..from_b) {
            return Ok(false);
        }
        if from_a < PIECE {
            return Ok(true);
        }
        offset += PIECE as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bytes;
    use std::sync::Arc;

    #[test]
    fn length_and_every_byte_count() {
        let source = |bytes: Vec<u8>| Arc::new(Bytes::new(bytes)) as Source;
        let equal = |a: &[u8], b: &[u8]| {
            equal(&source(a.to_vec()), &source(b.to_vec()), &Limits::default()).unwrap()
        };
        let long = vec![7; 3 * PIECE];
        let mut other = long.clone();
        assert!(equal(&long, &long));
        assert!(!equal(&long, &long[1..]));
        assert!(!equal(&long[..PIECE], &long));
        other[2 * PIECE + 5] = 8;
        assert!(!equal(&long, &other));
        assert!(equal(b"", b""));
    }
}
