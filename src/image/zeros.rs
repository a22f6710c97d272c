//! Zeros, of which disks are full.

/// Tells whether there is nothing but zero bytes.
pub(super) fn is_zeros(bytes: &[u8]) -> bool {
    // The first word alone tells most of what is none; whole words are compared at a time.
    let (words, rest) = bytes.as_chunks::<64>();
    words
        .iter()
        .all(|word| word.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::is_zeros;

    #[test]
    fn one_bit_anywhere_is_seen() {
        let mut bytes = vec![0u8; 1000];
        assert!(is_zeros(&bytes) && is_zeros(&[]));
        for at in [0, 63, 64, 999] {
            bytes[at] = 0x80;
            assert!(!is_zeros(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
