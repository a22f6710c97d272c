//! The signature behind a module.
//!
//! Source: `include/linux/module_signature.h` and `mod_check_sig` in
//! `kernel/module_signature.c` of Linux: at the very end stands a fixed text,
//! before it a `struct module_signature`, before that the signature.

use super::{NAME, pkcs7};
use crate::format::field::array;
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

const MARKER: &[u8] = b"~Module signature appended~\n";
/// Bytes of `struct module_signature`.
const STRUCT: u64 = 12;
/// Bytes of a signature, certificates included; a common one has 700.
const MAX_SIGNATURE: u64 = 1 << 20;

/// Whether a module carries a signature. Nobody here verifies it: that takes
/// the kernel's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// It carries none.
    Absent,
    /// Something is there that the kernel does not take for a signature, and
    /// why.
    Broken(String),
    /// It carries one that can be read.
    Present(Signed),
}

/// What a signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its bytes.
    pub size: u64,
    /// The common name of whoever issued the signer's certificate.
    pub signer: Option<String>,
    /// The certificate's serial number, or its key identifier where that is
    /// what the signature names, as `modinfo` writes it: `41:90:3D`.
    pub key: String,
    /// The hash algorithm: `sha256`, `sha512`; its object identifier where it
    /// has no name here.
    pub hash: String,
}

/// Looks at the end of a file whose ELF part ends at `end`.
///
/// Errors only where the bytes cannot be fetched.
pub(super) fn read(file: &(impl ReadAt + ?Sized), end: u64) -> Result<Signature, FormatError> {
    let size = file.size()?;
    let marker = MARKER.len() as u64;
    let tail = file.fetch(
        NAME,
        size.saturating_sub(marker),
        size.min(marker),
        "its end",
    )?;
    if &*tail != MARKER {
        let behind = size.saturating_sub(end);
        return Ok(match behind {
            0 => Signature::Absent,
            _ => broken(format!(
                "{behind} bytes behind the module do not end as a signature does"
            )),
        });
    }
    let before = size - marker;
    let Some(at) = before.checked_sub(STRUCT) else {
        return Ok(broken("nothing stands before the marker"));
    };
    let info = file.fetch(NAME, at, STRUCT, "struct module_signature")?;
    let length = array(&info, 8).map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes)));
    let fixed = info.get(..8).unwrap_or_default();
    Ok(match fixed {
        [_, _, id, ..] if *id != 2 => {
            let named = match id {
                0 => "PGP",
                1 => "X.509",
                _ => "unknown",
            };
            broken(format!("its form {id} ({named}) is not PKCS#7"))
        }
        [0, 0, _, 0, 0, 0, 0, 0] => match at.checked_sub(length) {
            Some(_) if length > MAX_SIGNATURE => {
                broken(format!("it claims to be {length} bytes long"))
            }
            Some(start) if length > 0 && start >= end => {
                let bytes = file.fetch(NAME, start, length, "the signature")?;
                pkcs7::read(&bytes).map_or_else(broken, Signature::Present)
            }
            Some(_) | None => broken(format!(
                "its {length} bytes do not fit between module and marker"
            )),
        },
        _ => broken("a field that has to be 0 is not"),
    })
}

fn broken(why: impl Into<String>) -> Signature {
    Signature::Broken(escape(why.into().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(body: &[u8], info: [u8; 12]) -> Vec<u8> {
        [body, &info, MARKER].concat()
    }

    fn why(file: &[u8], end: u64) -> String {
        match read(file, end).unwrap() {
            Signature::Broken(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_told() {
        assert_eq!(read(&b"module"[..], 6).unwrap(), Signature::Absent);
        assert_eq!(read(&b""[..], 0).unwrap(), Signature::Absent);
        assert!(why(b"module and more", 6).contains("9 bytes behind"));
        assert!(why(MARKER, 0).contains("nothing"));
        let ask = |info| why(&signed(b"modulesig", info), 6);
        assert!(ask([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3]).contains("X.509"));
        assert!(ask([0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]).contains("has to be 0"));
        assert!(ask([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]).contains("do not fit"));
        assert!(ask([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4]).contains("do not fit"));
        assert!(ask([0, 0, 2, 0, 0, 0, 0, 0, 0xff, 0, 0, 4]).contains("do not fit"));
        assert!(ask([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]).contains("PKCS#7"));
    }
}
