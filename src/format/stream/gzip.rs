//! gzip: RFC 1952.

use super::{Member, drain};
use crate::format::{Budget, FormatError};

/// Decodes one gzip member; its CRC-32 and length are verified.
pub(super) fn member(input: &[u8], budget: &mut Budget) -> Result<Member, FormatError> {
    let mut decoder = flate2::bufread::GzDecoder::new(input);
    let data = drain("gzip", input, &mut decoder, budget)?;
    let consumed = input.len() - decoder.into_inner().len();
    Ok(Member { data, consumed })
}
