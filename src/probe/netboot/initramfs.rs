//! The machine that an initramfs is for, told by the programs in it.

use crate::format::field::{be16, le16};
use crate::format::{Compression, Content, Source, stream};
use std::io::{self, Read};

/// Decoded bytes that are looked at: `/init` comes early.
const SEARCHED: u64 = 64 << 20;
/// How much is looked at at a time.
const PIECE: usize = 1 << 20;
/// Programs for another machine that are enough to know.
const ENOUGH: usize = 8;
/// What is read of the head of an ELF file, up to its version.
const HEAD: usize = 24;

/// Gives a machine that programs of an initramfs are for: `own`, where there is one for it, or else the
/// first other. `None` where none is found, or it cannot be decoded piece by piece.
///
/// An archive keeps its files at multiples of 4, so that programs are found without reading it; what is
/// compressed inside of it is not looked into.
pub fn arch(source: &Source, own: &str) -> Option<String> {
    arch_within(source, own, SEARCHED)
}

/// Gives what [`arch`] does of so many decoded bytes.
pub fn arch_within(source: &Source, own: &str, searched: u64) -> Option<String> {
    let head = source.up_to(0, Content::HEAD).ok()?;
    let compression = Compression::detect(&head);
    let archive = Content::detect(&head) == Content::Cpio;
    if compression == Compression::None && !archive {
        return None;
    }
    let reader = stream::reader(compression, source.clone()).ok()?;
    let mut others = Vec::new();
    // What cannot be decoded to its end may still have told enough.
    let _ = search(reader.take(searched), |name| {
        others.push(name);
        name == own || others.len() >= ENOUGH
    });
    let found = others.iter().find(|name| **name == own).or(others.first());
    found.map(|name| (*name).to_owned())
}

/// Goes through the heads of programs, until `enough` says so.
fn search(mut reader: impl Read, mut enough: impl FnMut(&'static str) -> bool) -> io::Result<()> {
    let mut held = Vec::new();
    loop {
        let before = held.len();
        reader.by_ref().take(PIECE as u64).read_to_end(&mut held)?;
        let last = held.len() == before;
        for start in memchr::memmem::find_iter(&held, b"\x7fELF") {
            if start % 4 == 0
                && let Some(head) = held.get(start..start + HEAD)
                && let Some(name) = machine(head)
                && enough(name)
            {
                return Ok(());
            }
        }
        if last {
            return Ok(());
        }
        // A head that is cut here is seen with the next piece; the rest is at a multiple of 4 again.
        let seen = held.len().saturating_sub(HEAD - 1) & !3;
        held.drain(..seen);
    }
}

/// Tells the machine of a program's head; nothing of what only looks like one. Source: ELF-64 Object
/// File Format 1.5, section 3.
fn machine(head: &[u8]) -> Option<&'static str> {
    let (kind, number) = match head.get(5)? {
        1 => (le16(head, 16)?, le16(head, 18)?),
        2 => (be16(head, 16)?, be16(head, 18)?),
        _ => return None,
    };
    let whole = matches!(head.get(4..7)?, [1 | 2, _, 1]) && matches!(kind, 1..=3);
    match number {
        _ if !whole => None,
        3 => Some("i386"),
        40 => Some("arm"),
        62 => Some("amd64"),
        183 => Some("arm64"),
        243 => Some("riscv64"),
        258 => Some("loongarch64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bytes;
    use std::sync::Arc;

    /// An archive as it is decoded: programs for these machines at these places.
    fn archive(programs: &[(usize, u8)]) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        for (at, number) in programs {
            bytes.resize((*at).max(bytes.len()), 0);
            bytes.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0");
            bytes.extend_from_slice(&[*number, 0, 1, 0, 0, 0]);
        }
        bytes
    }

    fn told(bytes: Vec<u8>, own: &str) -> Option<String> {
        let source: Source = Arc::new(Bytes::new(bytes));
        arch(&source, own)
    }

    #[test]
    fn programs_tell_the_machine_wherever_they_lie() {
        for at in [124, PIECE - 4, PIECE - 20, PIECE, 3 * PIECE - 12] {
            let found = told(archive(&[(at, 62)]), "arm64");
            assert_eq!(found.as_deref(), Some("amd64"), "{at}");
        }
        // One for the machine is enough, whatever else is there.
        let both = archive(&[(124, 62), (2 * PIECE, 183)]);
        assert_eq!(told(both.clone(), "arm64").as_deref(), Some("arm64"));
        assert_eq!(told(both, "riscv64").as_deref(), Some("amd64"));
        let packed = zstd::encode_all(&archive(&[(PIECE + 8, 183)])[..], 1).unwrap();
        assert_eq!(told(packed, "amd64").as_deref(), Some("arm64"));
    }

    #[test]
    fn no_more_is_decoded_than_is_to_be_searched() {
        let packed = zstd::encode_all(&archive(&[(3 * PIECE, 183)])[..], 1).unwrap();
        let source: Source = Arc::new(Bytes::new(packed));
        let within = |pieces| arch_within(&source, "amd64", (pieces * PIECE) as u64);
        assert_eq!((within(3), within(4).as_deref()), (None, Some("arm64")));
    }

    #[test]
    fn what_tells_nothing_is_not_guessed() {
        assert_eq!(told(archive(&[]), "arm64"), None);
        assert_eq!(
            told(archive(&[(126, 62)]), "arm64"),
            None,
            "not at a multiple of 4"
        );
        assert_eq!(
            told(archive(&[(124, 247)]), "arm64"),
            None,
            "BPF is for no machine"
        );
        assert_eq!(told(b"words".to_vec(), "arm64"), None);
        assert_eq!(told(b"\xfd7zXZ\0rest".to_vec(), "arm64"), None);
    }
}
