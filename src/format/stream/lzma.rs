//! LZMA "alone", the format of LZMA Utils: thirteen bytes of header, then one
//! LZMA stream. It has no checksum.
//!
//! Source: `doc/lzma-file-format.txt` of XZ Utils.

use std::io::BufRead;

use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;

use super::xz::MEMORY;
use crate::format::FormatError;
use crate::format::field::le32;

const NAME: &str = "lzma";
/// What a decoder takes beside the dictionary, at most.
const BESIDE: u64 = 1 << 20;

/// Says beforehand that a dictionary is larger than any in use.
pub(super) fn check(input: &[u8]) -> Result<(), FormatError> {
    let dictionary = le32(input, 1).map_or(0, u64::from);
    if dictionary <= MEMORY - BESIDE {
        return Ok(());
    }
    Err(FormatError::Limit {
        format: NAME,
        offset: 1,
        limit: "lzma dictionary",
        value: MEMORY,
        remedy: "compress with `lzma -9` or less, or a dictionary of 64 MiB at most",
    })
}

/// Reads one LZMA stream piece by piece.
pub(super) fn reader<R: BufRead>(input: R) -> Result<XzDecoder<R>, FormatError> {
    let stream = Stream::new_lzma_decoder(MEMORY);
    let stream = stream.map_err(|error| FormatError::io(NAME, 0, error.to_string()))?;
    Ok(XzDecoder::new_stream(input, stream))
}
