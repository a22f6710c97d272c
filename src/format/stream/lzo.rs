//! Blocks of LZO1X, as lzop and squashfs hold them.
//!
//! Source: `Documentation/staging/lzo.rst` of Linux. Its version 1 (LZO-RLE),
//! which nothing but a compressed swap space holds, is not read.

/// How many literals came before an instruction: what it means depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    None,
    /// One to three, which came with the instruction before.
    Few,
    /// Four or more, in an instruction of their own.
    Many,
}

/// Decodes a block to at most `most` bytes. The error says what is wrong,
/// without a place.
pub(in crate::format) fn decode(input: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut block = Block {
        input,
        at: 0,
        data: Vec::with_capacity(most),
        most,
    };
    block.decode()?;
    if block.at != input.len() {
        return Err(format!("{} bytes follow its end", input.len() - block.at));
    }
    Ok(block.data)
}

struct Block<'a> {
    input: &'a [u8],
    at: usize,
    data: Vec<u8>,
    most: usize,
}

impl Block<'_> {
    fn decode(&mut self) -> Result<(), String> {
        let mut before = Before::None;
        // The first byte may stand for literals alone.
        if let Some(first) = self.input.first().filter(|first| **first > 17) {
            self.at = 1;
            let length = usize::from(first - 17);
            self.literals(length)?;
            before = if length < 4 {
                Before::Few
            } else {
                Before::Many
            };
        }
        loop {
            let code = self.byte()?;
            let low = usize::from(code);
            let (distance, length, literals) = match code {
                0..=15 if before == Before::None => {
                    let length = 3 + self.length(low, 15)?;
                    self.literals(length)?;
                    before = Before::Many;
                    continue;
                }
                0..=15 => {
                    let distance = (usize::from(self.byte()?) << 2) + (low >> 2) + 1;
                    match before {
                        Before::None | Before::Few => (distance, 2, low & 3),
                        Before::Many => (distance + 2048, 3, low & 3),
                    }
                }
                16..=31 => {
                    let length = 2 + self.length(low & 7, 7)?;
                    let (distance, literals) = self.distance()?;
                    let distance = distance + ((low & 8) << 11);
                    if distance == 0 {
                        // The end has a form of its own, with a length of three.
                        return match length {
                            3 => Ok(()),
                            _ => Err("its end mark is broken".to_owned()),
                        };
                    }
                    (distance + 16384, length, literals)
                }
                32..=63 => {
                    let length = 2 + self.length(low & 31, 31)?;
                    let (distance, literals) = self.distance()?;
                    (distance + 1, length, literals)
                }
                64..=255 => {
                    let distance = (usize::from(self.byte()?) << 3) + (low >> 2 & 7) + 1;
                    (distance, (low >> 5) + 1, low & 3)
                }
            };
            self.copy(distance, length)?;
            self.literals(literals)?;
            before = if literals == 0 {
                Before::None
            } else {
                Before::Few
            };
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = self.input.get(self.at).copied();
        self.at += 1;
        byte.ok_or_else(|| "its compressed data do not end".to_owned())
    }

    /// Reads a length: what fits the instruction, or else zeros that count 255
    /// each, and a last byte.
    fn length(&mut self, held: usize, full: usize) -> Result<usize, String> {
        if held != 0 {
            return Ok(held);
        }
        let mut length = full;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
            self.fits(length)?;
        }
    }

    /// Reads a distance of 14 bits, and the number of literals behind it.
    fn distance(&mut self) -> Result<(usize, usize), String> {
        let word = u16::from_le_bytes([self.byte()?, self.byte()?]);
        Ok((usize::from(word >> 2), usize::from(word & 3)))
    }

    fn fits(&self, length: usize) -> Result<(), String> {
        if length > self.most - self.data.len() {
            return Err(format!("it decodes to more than {} bytes", self.most));
        }
        Ok(())
    }

    fn literals(&mut self, length: usize) -> Result<(), String> {
        self.fits(length)?;
        let bytes = self.input.get(self.at..self.at + length);
        let bytes = bytes.ok_or("its compressed data do not end")?;
        self.data.extend_from_slice(bytes);
        self.at += length;
        Ok(())
    }

    /// Repeats `length` bytes from `distance` bytes back; they may overlap.
    fn copy(&mut self, distance: usize, length: usize) -> Result<(), String> {
        self.fits(length)?;
        let start = self.data.len().checked_sub(distance);
        let start = start.ok_or_else(|| {
            let held = self.data.len();
            format!("it goes {distance} bytes back, and only {held} are there")
        })?;
        let mut left = length;
        while left > 0 {
            // Each turn repeats all that is there by now.
            let end = self.data.len().min(start + left);
            left -= end - start;
            self.data.extend_from_within(start..end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: [u8; 3] = [0x11, 0, 0];

    #[test]
    fn instructions_are_read_as_linux_reads_them() {
        let block = |parts: &[&[u8]]| decode(&[&parts.concat()[..], &END].concat(), 1 << 16);
        assert_eq!(block(&[&[21], b"abcd"]).unwrap(), b"abcd");
        // Four literals, then five bytes from two back, which overlap.
        assert_eq!(block(&[&[21], b"abcd", &[0x84, 0]]).unwrap(), b"abcdcdcdc");
        // Two bytes from one back, and a literal with them; then a run of 300.
        let run = block(&[&[20], b"abc", &[0x01, 0], b"x", &[0x20, 0, 250, 0, 0]]).unwrap();
        assert_eq!(run.len(), 3 + 2 + 1 + 2 + 31 + 255 + 250);
        assert!(run.starts_with(b"abcccxxx"));
    }

    #[test]
    fn what_is_broken_is_an_error() {
        for broken in [
            &b""[..],
            &[21, 1, 2],
            &[21, 1, 2, 3, 4],
            &[21, 1, 2, 3, 4, 0x84, 9, 0x11, 0, 0],
            &[21, 1, 2, 3, 4, 0x12, 0, 0],
            &[21, 1, 2, 3, 4, 0x11, 0, 0, 7],
        ] {
            assert!(decode(broken, 100).is_err(), "{broken:?}");
        }
        let bomb = [&[21, 1, 2, 3, 4, 0x20][..], &[0; 1000], &[1, 0, 0], &END].concat();
        assert!(decode(&bomb, 1000).unwrap_err().contains("more than 1000"));
    }
}
