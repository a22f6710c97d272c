//! Reading files of this machine, bounded, for kinds.

use super::ProbeError;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// Where it is missing, no regular file, too large or not UTF-8.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, ProbeError> {
    String::from_utf8(read(path, limit)?).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        ProbeError::new(format!(
            "{} is not text: byte {offset} is not UTF-8",
            path.display()
        ))
    })
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// Where it is missing, no regular file or too large.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ProbeError> {
    let said = |e: std::io::Error| unreadable(path, &e);
    let meta = fs::metadata(path).map_err(said)?;
    if !meta.is_file() {
        return Err(ProbeError::new(format!("{} is not a file", path.display())));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(said)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > limit {
        let limit = crate::model::size::show_size(limit);
        return Err(ProbeError::new(format!(
            "{} is larger than {limit}",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Says that a path cannot be read, with the remedy where the path may be meant from elsewhere.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> ProbeError {
    let said = ProbeError::new(format!("{}: {error}", path.display()));
    match error.kind() {
        ErrorKind::NotFound if path.is_relative() => said.remedy(
            "relative paths start at the working directory; `--root DIR` starts them elsewhere",
        ),
        _ => said,
    }
}
