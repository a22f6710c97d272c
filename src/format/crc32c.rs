//! CRC-32C, by which file systems check their metadata.
//!
//! Source: RFC 3720 appendix B.4 (the Castagnoli polynomial); `lib/crc32.c` of
//! Linux for the form without the inversions at both ends.

/// The polynomial, its lowest power first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ POLYNOMIAL
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// Goes on with a checksum over more bytes. It begins with all bits set, and
/// nothing is inverted at the end.
#[must_use]
pub(super) fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        TABLE[usize::from(low ^ byte)] ^ sum >> 8
    })
}

/// Goes on with a checksum over bytes of which those in `hole` count as zeros:
/// the field in which the checksum itself is.
#[must_use]
pub(super) fn crc32c_without(sum: u32, bytes: &[u8], hole: std::ops::Range<usize>) -> u32 {
    let end = hole.end.min(bytes.len());
    let start = hole.start.min(end);
    let sum = crc32c(sum, bytes.get(..start).unwrap_or_default());
    let sum = (start..end).fold(sum, |sum, _| crc32c(sum, &[0]));
    crc32c(sum, bytes.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_polynomial_is_met() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(
            crc32c_without(!0, b"12xx56789", 2..4),
            crc32c(!0, b"12\0\x0056789")
        );
        assert_eq!(crc32c_without(!0, b"12", 1..9), crc32c(!0, b"1\0"));
    }
}
