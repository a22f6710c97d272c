//! One header block of a tar archive.
//!
//! Sources: POSIX.1-2017 `pax` ("ustar Interchange Format"), the GNU tar manual
//! ("Basic Tar Format", "GNU Extensions to the Archive Format").

use crate::format::FormatError;

/// Everything in a tar archive is a multiple of this.
pub(super) const BLOCK: usize = 512;
/// The format's name in errors.
pub(super) const NAME: &str = "tar";

/// One block of an archive.
pub(super) type Block = [u8; BLOCK];

/// What a header block says, before anything that stands in front of it is
/// applied.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// The twelve permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: i64,
    /// What the entry is: `0` a file, `5` a directory, `L` a long name.
    pub(super) flag: u8,
    pub(super) device: (u32, u32),
}

/// Tells whether a block is a header, by its checksum alone: archives of the
/// form before `ustar` have no magic number.
pub(in crate::format) fn is_header(bytes: &[u8]) -> bool {
    let block = bytes.get(..BLOCK).and_then(|block| block.try_into().ok());
    block.is_some_and(|block: &Block| block[0] != 0 && checksum(block, 0).is_ok())
}

impl Header {
    /// Reads the block at `offset`.
    pub(super) fn read(block: &Block, offset: u64) -> Result<Self, FormatError> {
        checksum(block, offset)?;
        let text = |at: usize, length: usize| until_nul(part(block, at, length)).to_vec();
        let number = |at: usize, length: usize, what: &str| {
            number(part(block, at, length), offset + at as u64, what)
        };
        let small = |at: usize, length: usize, what: &str| {
            let value = number(at, length, what)?;
            u32::try_from(value).map_err(|_| {
                let what = format!("{what} is {value}, more than 32 bits hold");
                FormatError::corrupt(NAME, offset + at as u64, what)
            })
        };
        let mut name = text(0, 100);
        let posix = part(block, 257, 6) == b"ustar\0";
        if posix {
            // `star` keeps times at the end of the prefix.
            let length = if part(block, 508, 4) == b"tar\0" {
                131
            } else {
                155
            };
            let prefix = text(345, length);
            if !prefix.is_empty() {
                name = [&prefix[..], b"/", &name].concat();
            }
        }
        let flag = block[156];
        let device = if matches!(flag, b'3' | b'4') {
            (
                small(329, 8, "the major number")?,
                small(337, 8, "the minor number")?,
            )
        } else {
            (0, 0)
        };
        let size = number(124, 12, "the size")?;
        Ok(Self {
            name,
            link: text(157, 100),
            // Some writers put the type bits there as well.
            mode: u32::try_from(number(100, 8, "the mode")? & 0o7777).unwrap_or(0),
            uid: small(108, 8, "the owner")?,
            gid: small(116, 8, "the group")?,
            size: u64::try_from(size).map_err(|_| {
                FormatError::corrupt(NAME, offset + 124, format!("the size is {size}"))
            })?,
            mtime: number(136, 12, "the time")?,
            flag,
            device,
        })
    }
}

/// Gives a range of a block; blocks are longer than every field lies in.
pub(super) fn part(block: &Block, at: usize, length: usize) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads a number: octal digits among spaces and NULs, or, where the first bit
/// is set, a two's complement number in all other bits ("base-256").
pub(super) fn number(field: &[u8], offset: u64, what: &str) -> Result<i64, FormatError> {
    let corrupt = |why: &str| FormatError::corrupt(NAME, offset, format!("{what} {why}"));
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let negative = first & 0x40 != 0;
        let mut value = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
        for byte in rest {
            value = value
                .checked_mul(256)
                .ok_or_else(|| corrupt("is more than 64 bits hold"))?
                + i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_| corrupt("is more than 64 bits hold"));
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().take_while(|byte| blank(byte)).count();
    let digits = field.get(start..).unwrap_or_default();
    let end = digits.iter().take_while(|byte| !blank(byte)).count();
    let (digits, rest) = digits.split_at(end);
    if !rest.iter().all(blank) {
        return Err(corrupt("is no octal number"));
    }
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value
            .checked_mul(8)
            .map(|value| value + i64::from(digit - b'0'))
            .ok_or_else(|| corrupt("is more than 64 bits hold")),
        _ => Err(corrupt("is no octal number")),
    })
}

/// Holds the sum of a header's bytes against the one it names; its own field
/// counts as spaces. Old writers added signed bytes.
fn checksum(block: &Block, offset: u64) -> Result<(), FormatError> {
    let named = number(part(block, 148, 8), offset + 148, "the checksum")?;
    let own = 148..156;
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if own.contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    if named != unsigned && named != signed {
        let what = format!("the checksum of a header is {unsigned}, and not {named} as it says");
        return Err(FormatError::corrupt(NAME, offset, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        let read = |field: &[u8]| number(field, 0, "it");
        assert_eq!(read(b"0000644\0"), Ok(0o644));
        assert_eq!(read(b"   644 \0"), Ok(0o644));
        assert_eq!(read(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(read(b"\x80\0\0\0\0\0\x01\0"), Ok(256));
        assert_eq!(read(&[0xff; 12]), Ok(-1));
        assert!(read(b"0000648\0").is_err());
        assert!(read(b"64 4\0").is_err());
        assert!(read(&[&[0x80][..], &[0xff; 11]].concat()).is_err());
        let most = [&[0x80, 0, 0, 0, 0x7f][..], &[0xff; 7]].concat();
        assert_eq!(read(&most), Ok(i64::MAX));
    }
}
