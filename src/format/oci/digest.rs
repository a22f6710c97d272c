//! Digests, and bytes held against them.

use std::fmt;

use sha2::{Sha256, Sha512};

use super::NAME;
use crate::format::{FormatError, Limits, ReadAt};

/// How much is read at a time.
const PIECE: usize = 256 << 10;

/// A hash function that the specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// Gives the name, which is also that of the folder in `blobs/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of a blob: `sha256:` and 64 digits, or `sha512:` and 128.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// Reads a digest. Source: OCI image specification, `descriptor.md`,
    /// "Digests".
    ///
    /// Errors with [`FormatError::Corrupt`] for what is none, such as a path,
    /// and with [`FormatError::Unsupported`] for another algorithm.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let shown = crate::model::value::clip(text, 100);
        let corrupt = || FormatError::corrupt(NAME, 0, format!("`{shown}` is no digest"));
        let (name, hex) = text.split_once(':').ok_or_else(corrupt)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                let what = format!("the digest `{shown}`; sha256 and sha512 are read");
                return Err(FormatError::unsupported(NAME, 0, what));
            }
            _ => return Err(corrupt()),
        };
        Self::of_hex(algorithm, hex).ok_or_else(corrupt)
    }

    /// Takes hexadecimal digits as a digest; `None` where they are none.
    #[must_use]
    pub fn of_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let whole = hex.len() == algorithm.digits() && hex.bytes().all(digit);
        whole.then(|| Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }

    /// Digests all bytes of a source; gives their number as well. Where they
    /// are to be `size` bytes, not many more than that are read.
    pub fn of(
        source: &dyn ReadAt,
        algorithm: Algorithm,
        size: Option<u64>,
        limits: &Limits,
    ) -> Result<(Self, u64), FormatError> {
        let (hex, read) = match algorithm {
            Algorithm::Sha256 => digest_of::<Sha256>(source, size, limits)?,
            Algorithm::Sha512 => digest_of::<Sha512>(source, size, limits)?,
        };
        Ok((Self { algorithm, hex }, read))
    }

    /// Gives the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Gives the place in a layout: `blobs/sha256/…`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm.name(), self.hex)
    }

    /// Gives the first twelve digits, enough to tell two apart on a screen.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hex.get(..12).unwrap_or(&self.hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Holds all bytes of a source against a digest and, where one is given, a size.
///
/// Errors with [`FormatError::Corrupt`] where they are others.
pub fn verify(
    source: &dyn ReadAt,
    digest: &Digest,
    size: Option<u64>,
    limits: &Limits,
) -> Result<(), FormatError> {
    let (seen, read) = Digest::of(source, digest.algorithm, size, limits)?;
    if let Some(size) = size.filter(|size| *size != read) {
        let more = if read > size { "more than" } else { "only" };
        let read = read.min(size);
        let what = format!("the blob {digest} has {more} {read} bytes; its descriptor says {size}");
        return Err(FormatError::corrupt(NAME, 0, what));
    }
    if seen != *digest {
        let what = format!("the blob {digest} has the digest {seen}");
        return Err(FormatError::corrupt(NAME, 0, what));
    }
    Ok(())
}

/// Digests a source; gives the digits and how many bytes there were.
fn digest_of<H: sha2::Digest>(
    source: &dyn ReadAt,
    size: Option<u64>,
    limits: &Limits,
) -> Result<(String, u64), FormatError> {
    let mut hasher = H::new();
    let mut buffer = vec![0; PIECE];
    let mut read = 0u64;
    loop {
        limits.check_deadline(NAME, read)?;
        let held = source.read_at(read, &mut buffer)?;
        hasher.update(buffer.get(..held).unwrap_or_default());
        read += held as u64;
        if held < PIECE || size.is_some_and(|size| read > size) {
            let digits = hasher.finalize();
            let hex = digits.iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((hex, read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_digest_is_refused_before_it_is_a_path() {
        for text in [
            "sha256:../../etc/passwd",
            "sha256:",
            "sha256",
            "",
            &format!("sha256:{}", "A".repeat(64)),
            &format!("sha512:{}", "a".repeat(64)),
            "../x:abc",
        ] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        let error = Digest::parse("blake3:abcdef").unwrap_err();
        assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
    }

    #[test]
    fn size_and_digest_are_both_held() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(empty).unwrap();
        let limits = Limits::default();
        let check = |bytes: &[u8], size| {
            let bytes = crate::format::Bytes::new(bytes.to_vec());
            verify(&bytes, &digest, size, &limits)
        };
        assert_eq!(check(b"", Some(0)), Ok(()));
        assert_eq!(check(b"", None), Ok(()));
        assert!(
            check(b"", Some(1))
                .unwrap_err()
                .to_string()
                .contains("only 0 bytes")
        );
        assert!(
            check(b"a", Some(0))
                .unwrap_err()
                .to_string()
                .contains("more than 0")
        );
        assert!(
            check(b"a", Some(1))
                .unwrap_err()
                .to_string()
                .contains("has the digest")
        );
        assert_eq!(digest.to_string(), empty);
        assert_eq!(digest.short(), "e3b0c44298fc");
    }
}
