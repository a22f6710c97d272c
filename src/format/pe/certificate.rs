//! The table of certificates behind the sections of a signed PE file.
//!
//! Sources: Microsoft PE and COFF specification, "Optional Header Data
//! Directories" and "The Attribute Certificate Table"; UEFI 2.10 §32.2.2. The
//! signatures themselves (PKCS #7) are not looked at.

use super::NAME;
use crate::format::field::{le16, le32};
use crate::format::{FormatError, ReadAt};

/// Certificates that a file may have; signing tools write one or two.
const MAX_CERTIFICATES: usize = 64;
/// Length, revision and type come before what is in it.
const HEADER: u64 = 8;

/// One entry of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it is: 2 is a PKCS #7 signature (Authenticode).
    pub kind: u16,
    /// Where it begins in the file, its header included.
    pub start: u64,
    /// Its bytes, its header included.
    pub size: u64,
}

impl Certificate {
    /// Tells whether it is an Authenticode signature, the only kind that UEFI
    /// firmware takes for Secure Boot beside hashes.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        self.kind == 2
    }
}

/// Finds the place of the table in an optional header. `None` where the header
/// is of neither known form, ends before the directory, or names no table.
pub(super) fn directory(optional: &[u8]) -> Option<(u64, u64)> {
    const CERTIFICATES: usize = 4;
    let directories = match le16(optional, 0)? {
        0x10b => 96,
        0x20b => 112,
        _ => return None,
    };
    let count = le32(optional, directories - 4)?;
    if count as usize <= CERTIFICATES {
        return None;
    }
    let at = directories + CERTIFICATES * 8;
    let (start, size) = le32(optional, at).zip(le32(optional, at + 4))?;
    (size > 0).then_some((u64::from(start), u64::from(size)))
}

/// Reads the table. Unlike all other directories, it is found by its place in
/// the file and not in memory.
pub(super) fn read(
    source: &(impl ReadAt + ?Sized),
    start: u64,
    size: u64,
) -> Result<Vec<Certificate>, FormatError> {
    let end = start + size;
    // A cut in the last certificate is one in the middle of a signature.
    source.fetch(NAME, end - 1, 1, "the end of the certificate table")?;
    let mut found = Vec::new();
    let mut at = start;
    while at < end {
        if found.len() == MAX_CERTIFICATES {
            let what = format!("more than {MAX_CERTIFICATES} certificates");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let header = source.fetch(NAME, at, HEADER, "the header of a certificate")?;
        let length = u64::from(le32(&header, 0).unwrap_or_default());
        if length < HEADER || length > end - at {
            let left = end - at;
            let what = format!("a certificate of {length} bytes where {left} are left");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        found.push(Certificate {
            kind: le16(&header, 6).unwrap_or_default(),
            start: at,
            size: length,
        });
        at += length.next_multiple_of(8);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lengths: &[(u32, u16)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (length, kind) in lengths {
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&0x0200u16.to_le_bytes());
            bytes.extend_from_slice(&kind.to_le_bytes());
            let end = bytes.len() + (*length as usize).saturating_sub(8);
            bytes.resize(end.next_multiple_of(8), 0);
        }
        bytes
    }

    #[test]
    fn certificates_lie_one_behind_another_at_multiples_of_eight() {
        let bytes = table(&[(13, 2), (9, 2), (8, 1)]);
        let found = read(&bytes[..], 0, bytes.len() as u64).unwrap();
        let seen: Vec<_> = found.iter().map(|c| (c.start, c.size, c.kind)).collect();
        assert_eq!(seen, [(0, 13, 2), (16, 9, 2), (32, 8, 1)]);
        assert!(found[0].is_signature() && !found[2].is_signature());
    }

    #[test]
    fn a_table_that_contradicts_itself_or_the_file_is_an_error() {
        let bytes = table(&[(13, 2)]);
        assert!(read(&bytes[..], 0, 17).is_err(), "behind the file");
        assert!(read(&bytes[..], 0, 12).is_err(), "longer than the table");
        assert!(read(&table(&[(7, 2)])[..], 0, 8).is_err(), "no header");
        let many = table(&[(8, 2)].repeat(65));
        assert!(read(&many[..], 0, many.len() as u64).is_err());
    }

    #[test]
    fn an_optional_header_too_short_for_the_directory_names_no_table() {
        let mut header = vec![0u8; 152];
        header[..2].copy_from_slice(&0x20bu16.to_le_bytes());
        header[108] = 16;
        header[144..148].copy_from_slice(&0x1000u32.to_le_bytes());
        header[148] = 8;
        assert_eq!(directory(&header), Some((0x1000, 8)));
        assert_eq!(directory(&header[..151]), None);
        header[108] = 4;
        assert_eq!(directory(&header), None);
    }
}
