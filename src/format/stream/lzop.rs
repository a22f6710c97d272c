//! The files of lzop: a header, then blocks of LZO1X, each with its sizes and
//! checksums.
//!
//! Source: `lib/decompress_unlzo.c` of Linux, and lzop 1.04 for what Linux skips:
//! checksums, and the extra field.

use std::io::{self, BufRead, Read};

use super::lzo;

const MAGIC: [u8; 9] = *b"\x89LZO\0\r\n\x1a\n";
/// From this version on, a header holds a level and a time of 64 bits.
const WIDE: u16 = 0x0940;
/// The largest block that lzop reads.
const MAX_BLOCK: u32 = 64 << 20;
const ADLER_DATA: u32 = 1;
const ADLER_STORED: u32 = 1 << 1;
const EXTRA: u32 = 1 << 6;
const CRC_DATA: u32 = 1 << 8;
const CRC_STORED: u32 = 1 << 9;
const FILTER: u32 = 1 << 11;
const CRC_HEADER: u32 = 1 << 12;

/// One file of lzop, decoded block by block; its checksums are verified.
pub struct Decoder<R> {
    input: R,
    /// The header's flags, once it was read.
    flags: Option<u32>,
    block: Vec<u8>,
    /// How much of the block was given.
    given: usize,
    ended: bool,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            flags: None,
            block: Vec::new(),
            given: 0,
            ended: false,
        }
    }

    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// Reads the header and gives its flags.
    fn header(&mut self) -> io::Result<u32> {
        let mut header = Header {
            input: &mut self.input,
            bytes: Vec::new(),
        };
        let magic: [u8; 9] = header.take()?;
        if magic != MAGIC {
            return Err(broken("the magic number is missing"));
        }
        // The checksum is of what follows.
        header.bytes.clear();
        let version = u16::from_be_bytes(header.take()?);
        let [_, _, _, _, method] = header.take()?;
        if version >= WIDE {
            let _level: [u8; 1] = header.take()?;
        }
        let flags = u32::from_be_bytes(header.take()?);
        if flags & FILTER != 0 || !(1..=3).contains(&method) {
            return Err(broken("a method or a filter that is not LZO1X"));
        }
        // Mode and time.
        let _: [u8; 8] = header.take()?;
        if version >= WIDE {
            let _: [u8; 4] = header.take()?;
        }
        let [name] = header.take()?;
        for _ in 0..name {
            let _: [u8; 1] = header.take()?;
        }
        header.check(flags)?;
        if flags & EXTRA != 0 {
            header.bytes.clear();
            let length = u32::from_be_bytes(header.take()?);
            header.skip(length)?;
            header.check(flags)?;
        }
        Ok(flags)
    }

    /// Reads the next block; `false` says that there is none.
    fn advance(&mut self, flags: u32) -> io::Result<bool> {
        let data_size = self.word()?;
        if data_size == 0 {
            return Ok(false);
        }
        let stored_size = self.word()?;
        if data_size > MAX_BLOCK || stored_size == 0 || stored_size > data_size {
            let what = format!("a block of {data_size} bytes in {stored_size}");
            return Err(broken(&what));
        }
        let packed = stored_size < data_size;
        let mut sums = [None; 4];
        for (sum, flag) in sums
            .iter_mut()
            .zip([ADLER_DATA, CRC_DATA, ADLER_STORED, CRC_STORED])
        {
            let of_stored = matches!(flag, ADLER_STORED | CRC_STORED);
            if flags & flag != 0 && (packed || !of_stored) {
                *sum = Some(self.word()?);
            }
        }
        let [data_adler, data_crc, stored_adler, stored_crc] = sums;
        let mut stored = Vec::new();
        let mut limited = self.input.by_ref().take(u64::from(stored_size));
        if limited.read_to_end(&mut stored)? as u64 != u64::from(stored_size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        verify(&stored, stored_adler, stored_crc)?;
        self.block = if packed {
            let most = usize::try_from(data_size).unwrap_or(0);
            let data = lzo::decode(&stored, most).map_err(|what| broken(&what))?;
            if data.len() != most {
                return Err(broken("a block decodes to less than it says"));
            }
            data
        } else {
            stored
        };
        verify(&self.block, data_adler, data_crc)?;
        Ok(true)
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = match self.flags {
            Some(flags) => flags,
            None => {
                let flags = self.header()?;
                *self.flags.insert(flags)
            }
        };
        while self.given == self.block.len() && !self.ended {
            self.given = 0;
            self.block.clear();
            self.ended = !self.advance(flags)?;
        }
        let rest = self.block.get(self.given..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        let (now, _) = rest.split_at(length);
        if let Some(room) = buffer.get_mut(..length) {
            room.copy_from_slice(now);
        }
        self.given += length;
        Ok(length)
    }
}

/// A header that is read, with its bytes kept for the checksum.
struct Header<'a, R> {
    input: &'a mut R,
    bytes: Vec<u8>,
}

impl<R: BufRead> Header<'_, R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.bytes.extend_from_slice(&bytes);
        Ok(bytes)
    }

    fn skip(&mut self, length: u32) -> io::Result<()> {
        // No writer has an extra field; a large one is no reason to hold it.
        if length > 1 << 16 {
            return Err(broken("an extra field of more than 64 KiB"));
        }
        for _ in 0..length {
            let _: [u8; 1] = self.take()?;
        }
        Ok(())
    }

    fn check(&mut self, flags: u32) -> io::Result<()> {
        let mut stored = [0; 4];
        self.input.read_exact(&mut stored)?;
        let stored = Some(u32::from_be_bytes(stored));
        if flags & CRC_HEADER != 0 {
            verify(&self.bytes, None, stored)
        } else {
            verify(&self.bytes, stored, None)
        }
    }
}

fn verify(bytes: &[u8], adler: Option<u32>, crc: Option<u32>) -> io::Result<()> {
    if adler.is_some_and(|stored| stored != adler32(bytes)) {
        return Err(broken("an Adler-32 checksum is wrong"));
    }
    if let Some(stored) = crc {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        if sum.sum() != stored {
            return Err(broken("a CRC-32 checksum is wrong"));
        }
    }
    Ok(())
}

/// The checksum of RFC 1950 §8.2.
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    /// So many bytes can be added up before a sum of 32 bits overflows.
    const RUN: usize = 5552;
    let (mut a, mut b) = (1u32, 0u32);
    for run in bytes.chunks(RUN) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        a %= BASE;
        b %= BASE;
    }
    b << 16 | a
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(&[0xff; 100_000]), 0x149a_302c);
    }
}
