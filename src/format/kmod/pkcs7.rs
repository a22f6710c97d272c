//! Who signed, out of a PKCS#7 signature: a few steps through its DER.
//!
//! Sources: X.690 §8 and §10 (DER), RFC 2315 §9 (`SignedData`), RFC 5652 §5.3
//! (`SignerInfo`), RFC 5280 §4.1.2.4 (`Name`).

use std::fmt::Write as _;

use super::signature::Signed;
use crate::format::node::escape;

const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`, constructed and primitive.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_0_PLAIN: u8 = 0x80;
const CONTEXT_1: u8 = 0xa1;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// Reads the first signer of a `SignedData`; the error says what is missing.
pub(super) fn read(bytes: &[u8]) -> Result<Signed, String> {
    signer(bytes, bytes.len() as u64)
        .ok_or_else(|| "what stands there is no PKCS#7 signature".to_owned())
}

fn signer(bytes: &[u8], size: u64) -> Option<Signed> {
    let mut outer = Der(bytes);
    let mut content = Der(outer.take(SEQUENCE)?);
    if !outer.0.is_empty() || content.take(OID)? != SIGNED_DATA {
        return None;
    }
    let mut data = Der(Der(content.take(CONTEXT_0)?).take(SEQUENCE)?);
    data.take(INTEGER)?;
    data.take(SET)?;
    data.take(SEQUENCE)?;
    // Certificates and revocation lists, both of which a module leaves out.
    data.take_if(CONTEXT_0);
    data.take_if(CONTEXT_1);
    let mut info = Der(Der(data.take(SET)?).take(SEQUENCE)?);
    info.take(INTEGER)?;
    let (signer, key) = match info.take_if(CONTEXT_0_PLAIN) {
        Some(key) => (None, key),
        None => {
            let mut issuer = Der(info.take(SEQUENCE)?);
            let name = common_name(issuer.take(SEQUENCE)?);
            (name, unsigned(issuer.take(INTEGER)?))
        }
    };
    let hash = hash(Der(info.take(SEQUENCE)?).take(OID)?);
    Some(Signed {
        size,
        signer,
        key: colons(key),
        hash,
    })
}

/// Finds the common name in a `Name`: sets of attributes, one after another.
fn common_name(name: &[u8]) -> Option<String> {
    let mut sets = Der(name);
    while let Some(set) = sets.take_if(SET) {
        let mut attribute = Der(Der(set).take(SEQUENCE)?);
        if attribute.take(OID)? == COMMON_NAME {
            let (_, text) = attribute.next()?;
            return Some(escape(text));
        }
    }
    None
}

/// Takes off the byte that keeps a positive number positive.
fn unsigned(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => number,
    }
}

fn colons(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().take(256).enumerate() {
        let colon = if index > 0 { ":" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// Names the hash algorithms that the kernel signs modules with. Source: the
/// NIST registry `hashAlgs` (2.16.840.1.101.3.4.2), RFC 3279 §2.1.
fn hash(oid: &[u8]) -> String {
    const NIST: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
    const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
    let name = match oid.strip_prefix(NIST) {
        Some([1]) => "sha256",
        Some([2]) => "sha384",
        Some([3]) => "sha512",
        Some([4]) => "sha224",
        Some([8]) => "sha3-256",
        Some([9]) => "sha3-384",
        Some([10]) => "sha3-512",
        Some(_) | None if oid == SHA1 => "sha1",
        Some(_) | None => return format!("oid {}", colons(oid)),
    };
    name.to_owned()
}

/// The rest of a run of DER elements.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// Takes the next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // Four bytes of length are more than any signature has.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let number = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
                (bytes.iter().fold(0, number), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// Takes the next element, which has to have this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }

    /// Takes the next element where it has this tag.
    fn take_if(&mut self, tag: u8) -> Option<&'d [u8]> {
        let found = self.0.first() == Some(&tag);
        found.then(|| self.take(tag)).flatten()
    }
}
