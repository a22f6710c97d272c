//! A compressed stream as a source of the bytes that it decodes to.

use std::sync::Arc;

use crate::format::{Budget, Bytes, Compression, FormatError, Limits, Source, stream};

/// Gives what a compressed source decodes to.
pub fn decoded(
    source: &Source,
    compression: Compression,
    limits: &Limits,
) -> Result<Source, FormatError> {
    let size = source.size()?;
    let input = source.up_to(0, usize::try_from(size).unwrap_or(usize::MAX))?;
    let mut budget = Budget::new(limits, size);
    let data = stream::decode_all(compression, &input, &mut budget)?;
    Ok(Arc::new(Bytes::new(data)))
}
