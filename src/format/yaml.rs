//! YAML documents of a known shape, for readers of Talos's files.

use serde::de::DeserializeOwned;

use super::{FormatError, Limits};

/// Such documents are a few kilobytes; hundreds of extensions with long
/// descriptions fit into this.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Reads one document. Keys that the type does not know are passed over,
/// because Talos adds some with its versions.
///
/// Errors: [`FormatError::Corrupt`] for what is not YAML of this shape, at the
/// byte where that shows, and for a key that is there twice;
/// [`FormatError::Truncated`] for an empty file; [`FormatError::Limit`] above
/// 1 MiB. Aliases that grow without measure are refused by the parser.
pub(super) fn read<T: DeserializeOwned>(
    name: &'static str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<T, FormatError> {
    limits.check_deadline(name, 0)?;
    let text = text(name, bytes)?;
    if text.trim().is_empty() {
        return Err(FormatError::truncated(name, 0, "the file is empty"));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let offset = offset_of_line(text, usize::try_from(line).unwrap_or(1));
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default();
        FormatError::corrupt(name, offset as u64, format!("line {line}: {message}"))
    })
}

/// Takes bytes as text of at most 1 MiB.
pub(super) fn text<'b>(name: &'static str, bytes: &'b [u8]) -> Result<&'b str, FormatError> {
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::Limit {
            format: name,
            offset: MAX_BYTES as u64,
            limit: "bytes of a document",
            value: MAX_BYTES as u64,
            remedy: "look at what wrote it; such a file is a few kilobytes",
        });
    }
    std::str::from_utf8(bytes)
        .map_err(|error| FormatError::corrupt(name, error.valid_up_to() as u64, "not UTF-8 text"))
}

fn offset_of_line(text: &str, line: usize) -> usize {
    text.split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum()
}
