//! gzip whose bytes follow from its content alone.
//!
//! What a compressor makes of the same bytes differs by program, version and level, and with it
//! the digest. Blocks that are stored as they are leave nothing to choose; kernels, initramfs and
//! disk images are compressed already.
//!
//! Source: RFC 1952, section 2.3; RFC 1951, section 3.2.4.

use flate2::Crc;
use std::io::{self, Write};

/// A stored block holds no more.
const BLOCK: usize = 0xffff;

/// Writes gzip: no name, no time, no system, every block as it is.
pub(super) struct Stored<W: Write> {
    to: W,
    block: Vec<u8>,
    crc: Crc,
}

impl<W: Write> Stored<W> {
    /// Begins, with the header.
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        // Magic, deflate, no flags, no time, no hint, a system that is not known.
        to.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
        Ok(Self {
            to,
            block: Vec::with_capacity(BLOCK),
            crc: Crc::new(),
        })
    }

    fn block(&mut self, last: bool) -> io::Result<()> {
        // A block never holds more than fits.
        let length = u16::try_from(self.block.len()).map_err(io::Error::other)?;
        self.to.write_all(&[u8::from(last)])?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&(!length).to_le_bytes())?;
        self.to.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Ends it: the last block, the checksum, the length.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.block(true)?;
        self.to.write_all(&self.crc.sum().to_le_bytes())?;
        self.to.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Stored<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.block(false)?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        let bytes = bytes.get(..taken).unwrap_or_default();
        self.crc.update(bytes);
        self.block.extend_from_slice(bytes);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn others_read_it_and_its_bytes_do_not_depend_on_how_it_was_written() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 300_000] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * i / 7) as u8).collect();
            let write = |piece: usize| {
                let mut stored = Stored::new(Vec::new()).unwrap();
                for piece in bytes.chunks(piece) {
                    stored.write_all(piece).unwrap();
                }
                stored.finish().unwrap()
            };
            let whole = write(size.max(1));
            assert!(whole == write(1000), "{size}");
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(whole.as_slice())
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == bytes, "{size}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let mut stored = Stored::new(Vec::new()).unwrap();
        stored.write_all(b"abc").unwrap();
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        let block = [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c'];
        let trailer = [0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0];
        assert_eq!(
            stored.finish().unwrap(),
            [&header[..], &block, &trailer].concat()
        );
    }
}
