//! The blocks of an xz file: each is decoded on its own, in any order.
//!
//! Source: the .xz file format 1.2, §2 to §4. Files of `xz -T` have many
//! blocks, and an index at their end says where each begins and how long it is.
//! A decoder of whole streams reads one block where it is handed a stream that
//! holds nothing else; header, index and footer of such a stream are made here.
//! It is a stream without checks: the block's own is compared here, which takes
//! a tenth of the decoder's time for it.

use liblzma::stream::{Action, Status};
use sha2::{Digest as _, Sha256};

use super::xz;
use crate::format::{Bytes, FormatError, Source};

const NAME: &str = "xz";
const MAGIC: &[u8] = b"\xfd7zXZ\0";
const FOOTER: u64 = 12;
/// The largest index that is read: more than 100,000 blocks.
const MAX_INDEX: u64 = 2 << 20;

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes in the file without padding, header and check included.
    pub unpadded: u64,
    /// Where what it decodes to begins.
    pub start: u64,
    /// The bytes that it decodes to.
    pub size: u64,
}

/// How blocks are checked (§2.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    None,
    Crc32,
    Crc64,
    Sha256,
}

impl Check {
    fn of(flags: [u8; 2]) -> Option<Self> {
        Some(match flags {
            [0, 0] => Self::None,
            [0, 1] => Self::Crc32,
            [0, 4] => Self::Crc64,
            [0, 10] => Self::Sha256,
            _ => return None,
        })
    }

    /// Gives the check of some data as it is stored.
    fn sum(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Crc32 => crc32(data).to_le_bytes().to_vec(),
            Self::Crc64 => {
                let mut digest = crc64fast::Digest::new();
                digest.write(data);
                digest.sum64().to_le_bytes().to_vec()
            }
            Self::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Crc32 => 4,
            Self::Crc64 => 8,
            Self::Sha256 => 32,
        }
    }
}

/// The blocks of an xz file of one stream.
#[derive(Debug)]
pub struct Blocks {
    source: Source,
    check: Check,
    blocks: Vec<Block>,
    size: u64,
}

impl Blocks {
    /// Reads the index at the end of a file.
    ///
    /// `None` says that the file cannot be read by blocks: it has fewer than
    /// two, or several streams, or an index that does not fit its size. A
    /// decoder that reads it from its beginning then says what is wrong.
    pub fn find(source: &Source) -> Result<Option<Self>, FormatError> {
        let end = source.size()?;
        let Some(index) = Index::find(source, end)? else {
            return Ok(None);
        };
        let Some(blocks) = index.blocks() else {
            return Ok(None);
        };
        let Some(last) = blocks.last().filter(|_| blocks.len() > 1) else {
            return Ok(None);
        };
        let size = last.start + last.size;
        Ok(Some(Self {
            source: Source::clone(source),
            check: index.check,
            size,
            blocks,
        }))
    }

    /// Gives the bytes that the file decodes to.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives the most that one block decodes to.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.blocks.iter().map(|b| b.size).max().unwrap_or(0)
    }

    /// Gives the number of blocks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.blocks.len()
    }

    /// Finds the block that holds the byte `offset` of what the file decodes
    /// to.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<(usize, Block)> {
        let behind = self.blocks.partition_point(|b| b.start <= offset);
        let index = behind.checked_sub(1)?;
        let block = *self.blocks.get(index)?;
        (offset - block.start < block.size).then_some((index, block))
    }

    /// Decodes one block; its check is verified. `buffer` is what it is decoded
    /// into: one that was in use before costs less than new memory.
    ///
    /// Errors with [`FormatError::Corrupt`] where it is not as the index says.
    pub fn decode(&self, index: usize, buffer: Vec<u8>) -> Result<Bytes, FormatError> {
        let Some(block) = self.blocks.get(index) else {
            return Err(FormatError::corrupt(NAME, 0, "no such block"));
        };
        let stored = block.unpadded.next_multiple_of(4);
        let stored = self.source.fetch(NAME, block.offset, stored, "a block")?;
        let at = stored.len() - usize::try_from(self.check.size()).unwrap_or(0);
        let (packed, sum) = stored.split_at_checked(at).unwrap_or_default();
        let data = Self::one(block, packed, self.check.size(), buffer);
        let data = data.map_err(|error| error.at(block.offset))?;
        if self.check.sum(&data) != sum {
            let what = format!("the check of block {index} is another than that of its data");
            return Err(FormatError::corrupt(NAME, block.offset, what));
        }
        Ok(Bytes::new(data))
    }

    /// Decodes a block without its check of `check` bytes.
    fn one(
        block: &Block,
        packed: &[u8],
        check: u64,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, FormatError> {
        let room = usize::try_from(block.size).unwrap_or(usize::MAX);
        data.clear();
        if data.capacity() > room {
            // A decoder fills all the room that there is.
            data = Vec::new();
        }
        let reserved = data.try_reserve_exact(room);
        reserved.map_err(|error| FormatError::io(NAME, 0, error.to_string()))?;
        let mut decoder = xz::stream()?;
        let (head, tail) = frame(block.unpadded - check, block.size);
        for part in [&head[..], packed, &tail] {
            let before = decoder.total_in();
            loop {
                let used = usize::try_from(decoder.total_in() - before).unwrap_or(usize::MAX);
                let rest = part.get(used..).unwrap_or_default();
                let held = (decoder.total_in(), data.len());
                let status = decoder
                    .process_vec(rest, &mut data, Action::Run)
                    .map_err(|error| xz::failed(error, used))?;
                match status {
                    Status::StreamEnd if data.len() == room => return Ok(data),
                    Status::StreamEnd => break,
                    Status::Ok | Status::GetCheck | Status::MemNeeded => {}
                }
                if held == (decoder.total_in(), data.len()) {
                    break;
                }
            }
        }
        let what = format!("a block does not decode to the {room} bytes that the index says");
        Err(FormatError::corrupt(NAME, 0, what))
    }
}

/// Makes what a stream without checks has before and behind its only block.
fn frame(unpadded: u64, size: u64) -> (Vec<u8>, Vec<u8>) {
    const FLAGS: [u8; 2] = [0, 0];
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&FLAGS);
    head.extend_from_slice(&crc32(&FLAGS).to_le_bytes());
    let mut tail = vec![0, 1];
    push_number(&mut tail, unpadded);
    push_number(&mut tail, size);
    tail.resize(tail.len().next_multiple_of(4), 0);
    tail.extend_from_slice(&crc32(&tail).to_le_bytes());
    let backward = u32::try_from(tail.len() / 4 - 1).unwrap_or(0).to_le_bytes();
    let end = [&backward[..], &FLAGS].concat();
    tail.extend_from_slice(&crc32(&end).to_le_bytes());
    tail.extend_from_slice(&end);
    tail.extend_from_slice(b"YZ");
    (head, tail)
}

/// The index of a stream as it is stored.
struct Index {
    check: Check,
    /// Where it begins in the file.
    offset: u64,
    bytes: Bytes,
}

impl Index {
    /// Finds the index by the footer at the end of the file, which must be that
    /// of the stream at its beginning.
    fn find(source: &Source, end: u64) -> Result<Option<Self>, FormatError> {
        let Some(at) = end.checked_sub(FOOTER) else {
            return Ok(None);
        };
        let (head, footer) = (source.up_to(0, 12)?, source.up_to(at, 12)?);
        let parts = (head.get(6..8), footer.get(4..8), footer.get(8..10));
        let (Some(&[a, b]), Some(backward), Some(flags)) = parts else {
            return Ok(None);
        };
        let sound = head.starts_with(MAGIC)
            && head.get(8..12) == Some(&crc32(&[a, b]).to_le_bytes()[..])
            && flags == [a, b]
            && footer.ends_with(b"YZ")
            && footer.get(..4)
                == Some(&crc32(footer.get(4..10).unwrap_or_default()).to_le_bytes()[..]);
        let backward: [u8; 4] = backward.try_into().unwrap_or_default();
        let length = (u64::from(u32::from_le_bytes(backward)) + 1) * 4;
        let offset = at.checked_sub(length).filter(|offset| *offset >= 12);
        let offset = offset.filter(|_| sound && length <= MAX_INDEX);
        let (Some(offset), Some(check)) = (offset, Check::of([a, b])) else {
            return Ok(None);
        };
        let bytes = source.fetch(NAME, offset, length, "the index")?;
        Ok(Some(Self {
            check,
            offset,
            bytes,
        }))
    }

    /// Reads the records; `None` where they do not add up to the file.
    fn blocks(&self) -> Option<Vec<Block>> {
        let end = self.bytes.len().checked_sub(4)?;
        let (fields, sum) = self.bytes.split_at_checked(end)?;
        if crc32(fields).to_le_bytes() != sum || fields.first() != Some(&0) {
            return None;
        }
        let mut rest = fields.get(1..)?;
        let count = number(&mut rest)?;
        // A record has two bytes at least.
        if count > rest.len() as u64 / 2 {
            return None;
        }
        let (mut offset, mut start) = (12u64, 0u64);
        let mut blocks = Vec::new();
        for _ in 0..count {
            let (unpadded, size) = (number(&mut rest)?, number(&mut rest)?);
            if unpadded <= self.check.size() {
                return None;
            }
            blocks.push(Block {
                offset,
                unpadded,
                start,
                size,
            });
            offset = offset.checked_add(unpadded.checked_next_multiple_of(4)?)?;
            start = start.checked_add(size)?;
        }
        let padding = rest.len() < 4 && rest.iter().all(|byte| *byte == 0);
        (padding && offset == self.offset).then_some(blocks)
    }
}

/// Takes a number of variable length (§1.2).
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn push_number(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    fn file(data: &[u8], block: u64) -> Vec<u8> {
        file_with(data, block, liblzma::stream::Check::Crc64)
    }

    fn file_with(data: &[u8], block: u64, check: liblzma::stream::Check) -> Vec<u8> {
        let stream = liblzma::stream::MtStreamBuilder::new()
            .threads(1)
            .preset(0)
            .block_size(block)
            .check(check)
            .encoder()
            .unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn blocks(file: Vec<u8>) -> Option<Blocks> {
        let source: Source = Arc::new(Bytes::new(file));
        Blocks::find(&source).unwrap()
    }

    fn data() -> Vec<u8> {
        (0..90_000u32).flat_map(|n| (n / 5).to_le_bytes()).collect()
    }

    #[test]
    fn each_block_decodes_on_its_own() {
        let data = data();
        let found = blocks(file(&data, 50_000)).unwrap();
        assert_eq!((found.size(), found.count()), (data.len() as u64, 8));
        for index in (0..found.count()).rev() {
            let block = found.blocks[index];
            let (start, size) = (block.start as usize, block.size as usize);
            assert_eq!(
                &*found.decode(index, Vec::new()).unwrap(),
                &data[start..start + size]
            );
            assert_eq!(found.at(block.start + block.size - 1).unwrap().0, index);
        }
        assert!(found.at(data.len() as u64).is_none());
    }

    #[test]
    fn every_check_is_compared() {
        use liblzma::stream::Check::{Crc32, Crc64, Sha256};
        for check in [Crc32, Crc64, Sha256] {
            let mut whole = file_with(&data(), 50_000, check);
            let sound = blocks(whole.clone()).unwrap();
            assert!(sound.decode(1, Vec::new()).is_ok());
            let behind = (sound.blocks[1].offset + sound.blocks[1].unpadded) as usize;
            whole[behind.next_multiple_of(4) - 1] ^= 1;
            let error = blocks(whole).unwrap().decode(1, Vec::new()).unwrap_err();
            assert!(
                error.to_string().contains("the check of block 1"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_has_no_sound_index_is_not_read_by_blocks() {
        let whole = file(&data(), 50_000);
        assert!(blocks(whole[..whole.len() - 4].to_vec()).is_none(), "cut");
        assert!(
            blocks([&whole[..], &whole[..]].concat()).is_none(),
            "two streams"
        );
        assert!(blocks(file(&data(), 1 << 20)).is_none(), "one block");
        for at in whole.len() - 40..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            assert!(blocks(broken).is_none(), "changed at {at}");
        }
    }

    #[test]
    fn a_block_that_was_changed_is_an_error() {
        let whole = file(&data(), 50_000);
        let sound = blocks(whole.clone()).unwrap();
        let (offset, length) = (
            sound.blocks[3].offset as usize,
            sound.blocks[3].unpadded as usize,
        );
        for at in (offset..offset + length).step_by(97) {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            let broken = blocks(broken).unwrap();
            assert!(broken.decode(3, Vec::new()).is_err(), "changed at {at}");
            assert!(broken.decode(2, Vec::new()).is_ok());
        }
    }
}
