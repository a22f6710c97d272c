//! gzip whose blocks are stored as they are: where in it the bytes lie that it decompresses to.
//!
//! What is packed in it can then be read from its place, without a decoder and without a copy.
//!
//! Source: RFC 1952, section 2.3; RFC 1951, section 3.2.4.

use super::{FormatError, Piece, Pieces, Source};
use std::sync::Arc;

const NAME: &str = "gzip";
/// The header: magic, deflate, no flags; time, level and system say nothing of the content.
const HEADER: u64 = 10;
/// The checksum and the length behind the last block.
const END: u64 = 8;
/// Blocks of one file: 64 GiB of full ones.
const MAX_BLOCKS: usize = 1 << 20;
/// Bytes of a block's head: its kind, its length, and that inverted.
const HEAD: usize = 5;

/// Finds the stored bytes; `None` where a block is compressed, or the header has more in it than it
/// must.
///
/// The checksum at the end is not looked at: whoever relies on the bytes has a digest of them.
///
/// # Errors
/// Where it is cut, contradicts itself, goes on behind its end, or has more blocks than there is a
/// reason for.
pub fn stored(source: &Source) -> Result<Option<Pieces>, FormatError> {
    let size = source.size()?;
    let mut head = [0; HEADER as usize];
    let read = source.read_at(0, &mut head)?;
    if read < head.len() {
        return Err(FormatError::truncated(NAME, read as u64, "the header"));
    }
    if head[..4] != [0x1f, 0x8b, 8, 0] {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    let mut at = HEADER;
    // Blocks of nothing count as well: each is looked at.
    let mut blocks = 0;
    loop {
        let mut block = [0; HEAD];
        if source.read_at(at, &mut block)? < HEAD {
            return Err(FormatError::truncated(NAME, at, "the head of a block"));
        }
        let [kind, low, high, not_low, not_high] = block;
        // The two bits of the type are zero; those behind them fill the byte.
        if kind & 0b110 != 0 {
            return Ok(None);
        }
        if (not_low, not_high) != (!low, !high) {
            let what = "the length of a stored block and its complement differ";
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let length = u64::from(u16::from_le_bytes([low, high]));
        let start = at + HEAD as u64;
        at = start + length;
        if at > size {
            return Err(FormatError::truncated(NAME, start, "a stored block"));
        }
        if length > 0 {
            pieces.push(Piece {
                start: Some(start),
                length,
            });
        }
        blocks += 1;
        if blocks > MAX_BLOCKS {
            return Err(FormatError::Limit {
                format: NAME,
                offset: at,
                limit: "stored blocks",
                value: MAX_BLOCKS as u64,
                remedy: "make it with full blocks, or compress it",
            });
        }
        if kind & 1 == 1 {
            break;
        }
    }
    match size - at {
        END => Ok(Some(Pieces::new(Arc::clone(source), pieces))),
        0..END => Err(FormatError::truncated(NAME, at, "the checksum and length")),
        _ => {
            let what = "something stands behind the end";
            Err(FormatError::corrupt(NAME, at + END, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Bytes, ReadAt};

    /// Packs blocks as they are.
    fn packed(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 0xff];
        for (number, block) in blocks.iter().enumerate() {
            let length = u16::try_from(block.len()).unwrap();
            // What fills the first byte is nobody's.
            bytes.push(u8::from(number + 1 == blocks.len()) | 0xf8);
            bytes.extend(length.to_le_bytes());
            bytes.extend((!length).to_le_bytes());
            bytes.extend(*block);
        }
        bytes.extend([0; 8]);
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<Option<Vec<u8>>, FormatError> {
        let source: Source = Arc::new(Bytes::new(bytes));
        let pieces = stored(&source)?;
        pieces
            .map(|p| p.up_to(0, 1000).map(|b| b.to_vec()))
            .transpose()
    }

    #[test]
    fn stored_blocks_are_read_from_their_place() {
        assert_eq!(
            read(packed(&[b"ab", b"", b"cde"])),
            Ok(Some(b"abcde".to_vec()))
        );
        assert_eq!(read(packed(&[b""])), Ok(Some(Vec::new())));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, &[7; 999]).unwrap();
        assert_eq!(read(encoder.finish().unwrap()), Ok(Some(vec![7; 999])));
    }

    #[test]
    fn what_is_compressed_or_broken_is_told() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &[7; 999]).unwrap();
        assert_eq!(read(encoder.finish().unwrap()), Ok(None));
        let mut named = packed(&[b"ab"]);
        named[3] = 8;
        assert_eq!(read(named), Ok(None));
        let good = packed(&[b"ab", b"cde"]);
        for length in 0..good.len() {
            let error = read(good[..length].to_vec()).unwrap_err();
            assert!(
                matches!(error, FormatError::Truncated { .. }),
                "{length}: {error}"
            );
        }
        let said = |bytes: Vec<u8>| read(bytes).unwrap_err().to_string();
        let mut other = good.clone();
        other[13] ^= 1;
        assert!(said(other).contains("complement"));
        assert!(said([&good[..], b"x"].concat()).contains("behind the end"));
        assert_eq!(read(b"plain text of no kind".to_vec()), Ok(None));
        // Of nothing as of something.
        let nothing = said(packed(&vec![&b""[..]; MAX_BLOCKS + 1]));
        assert!(nothing.contains("stored blocks"), "{nothing}");
    }
}
