//! Decompressors that stop at a bound and say how much input they used.
//!
//! A compressed *member* is what one call of a decompressor reads: a gzip
//! member, a zstd frame, an xz stream, an lz4 frame. An initramfs puts members
//! and raw archives one after another, so the number of bytes that a member
//! takes is as important as what it decodes to.

mod blocks;
mod lz4;
mod lzma;
pub(super) mod lzo;
mod lzop;
mod reader;
mod single;
mod xz;
pub(super) mod zstd;

use std::io::Read;

pub use blocks::Blocks;
pub use reader::reader;
pub use single::Single;

use super::{Budget, Compression, Content, FormatError};

/// One decoded member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it decoded to.
    pub data: Vec<u8>,
    /// The bytes of input that it took, its checksum included.
    pub consumed: usize,
}

/// Decodes the one member at the start of `input`.
///
/// Bytes behind the member are left alone. Checksums are verified. Errors name
/// offsets in `input`: [`FormatError::Truncated`] where the member does not
/// end, [`FormatError::Limit`] where it outgrows `budget`.
pub fn decode_member(
    compression: Compression,
    input: &[u8],
    budget: &mut Budget,
) -> Result<Member, FormatError> {
    match compression {
        Compression::None => {
            budget.take(compression.name(), 0, input.len() as u64)?;
            Ok(Member {
                data: input.to_vec(),
                consumed: input.len(),
            })
        }
        Compression::Gzip | Compression::Bzip2 | Compression::Lzo => {
            single(compression, input, budget)
        }
        Compression::Zstd => zstd::member(input, budget),
        Compression::Xz => xz::member(input, budget),
        Compression::Lz4 => lz4::frame(input, budget),
        Compression::Lz4Legacy => lz4::legacy(input, budget),
        Compression::Lzma => {
            lzma::check(input)?;
            single(compression, input, budget)
        }
    }
}

/// Decodes a member whose end only its decoder finds.
fn single(
    compression: Compression,
    input: &[u8],
    budget: &mut Budget,
) -> Result<Member, FormatError> {
    let mut decoder = Single::new(compression, input)?;
    let data = drain(compression.name(), input, &mut decoder, budget)?;
    let consumed = input.len() - decoder.into_input().len();
    Ok(Member { data, consumed })
}

/// Decodes a whole file of one or more members of one compression.
///
/// zstd's skippable frames and zero padding between members are stepped over
/// (`zstd -dc`, `gzip -dc` and `xz -dc` do the same); anything else behind a
/// member is [`FormatError::Corrupt`].
pub fn decode_all(
    compression: Compression,
    input: &[u8],
    budget: &mut Budget,
) -> Result<Vec<u8>, FormatError> {
    let mut data = Vec::new();
    let mut offset = 0;
    while let Some(rest) = input.get(offset..).filter(|rest| !rest.is_empty()) {
        match Content::detect(rest) {
            Content::Compressed(found) if found == compression => {
                let member =
                    decode_member(compression, rest, budget).map_err(|e| e.at(offset as u64))?;
                offset += member.consumed;
                if data.is_empty() {
                    data = member.data;
                } else {
                    data.extend_from_slice(&member.data);
                }
            }
            Content::ZstdSkippable if compression == Compression::Zstd => {
                offset += zstd::skippable(rest).map_err(|e| e.at(offset as u64))?;
            }
            other => {
                let zeros = rest.iter().take_while(|byte| **byte == 0).count();
                if zeros == 0 || offset == 0 {
                    let what = format!(
                        "{} data where a {} member should begin",
                        other.name(),
                        compression.name()
                    );
                    return Err(FormatError::corrupt(
                        compression.name(),
                        offset as u64,
                        what,
                    ));
                }
                offset += zeros;
            }
        }
    }
    Ok(data)
}

/// Searches what a member decodes to, piece by piece, until `visit` answers
/// `true` or the member ends.
///
/// Nothing but the current piece is kept, so a whole kernel can be searched
/// for its banner in little memory. `visit` sees each piece together with the
/// last 4 KiB of the one before it. Checksums are verified where the end is
/// reached; more than `bound` bytes are [`FormatError::Limit`].
pub fn search(
    compression: Compression,
    input: &[u8],
    bound: u64,
    mut visit: impl FnMut(&[u8]) -> bool,
) -> Result<(), FormatError> {
    const PIECE: usize = 1 << 18;
    const KEEP: usize = 4096;
    let name = compression.name();
    let legacy;
    let mut reader: Box<dyn Read + '_> = match compression {
        Compression::None => {
            visit(input);
            return Ok(());
        }
        Compression::Gzip
        | Compression::Zstd
        | Compression::Xz
        | Compression::Bzip2
        | Compression::Lzma
        | Compression::Lzo => Box::new(Single::new(compression, input)?),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        Compression::Lz4Legacy => {
            legacy = decode_member(compression, input, &mut Budget::of(bound))?;
            Box::new(legacy.data.as_slice())
        }
    };
    let mut window = vec![0u8; KEEP + PIECE];
    let mut held = 0;
    let mut total = 0;
    loop {
        let space = window.get_mut(held..).unwrap_or_default();
        let read = match reader.read(space) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(name, total, input, &error)),
        };
        total += read as u64;
        if total > bound {
            return Err(Budget::of(bound).exceeded(name, 0));
        }
        held += read;
        // Look once enough has come together, not at each small read.
        if held >= PIECE {
            if visit(window.get(..held).unwrap_or_default()) {
                return Ok(());
            }
            window.copy_within(held - KEEP..held, 0);
            held = KEEP;
        }
    }
    visit(window.get(..held).unwrap_or_default());
    Ok(())
}

/// Reads to the end of a member in pieces, each booked before the next.
fn drain(
    name: &'static str,
    input: &[u8],
    reader: &mut impl Read,
    budget: &mut Budget,
) -> Result<Vec<u8>, FormatError> {
    const PIECE: u64 = 1 << 20;
    let mut data = Vec::new();
    loop {
        // One byte beyond the budget tells "exactly full" from "too much".
        let want = PIECE.min(budget.left() + 1);
        let read = match reader.by_ref().take(want).read_to_end(&mut data) {
            Ok(read) => read as u64,
            Err(error) => return Err(failed(name, 0, input, &error)),
        };
        if read == 0 {
            return Ok(data);
        }
        budget.take(name, 0, read)?;
    }
}

/// Says what a streaming decoder's error means, `offset` bytes into what it
/// gave.
pub(crate) fn broken(name: &'static str, offset: u64, error: &std::io::Error) -> FormatError {
    if let Some(own) = crate::format::source_error(error) {
        own.clone()
    } else if error.kind() == std::io::ErrorKind::UnexpectedEof {
        FormatError::truncated(name, offset, "the compressed data do not end")
    } else {
        FormatError::corrupt(name, offset, error.to_string())
    }
}

fn failed(name: &'static str, offset: u64, input: &[u8], error: &std::io::Error) -> FormatError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        FormatError::truncated(name, input.len() as u64, "the compressed data do not end")
    } else {
        FormatError::corrupt(name, offset, error.to_string())
    }
}

fn unsupported(compression: Compression) -> FormatError {
    let what = format!("{} is decoded as a whole only", compression.name());
    FormatError::unsupported(compression.name(), 0, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn each(data: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(data).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(data).unwrap();
        let mut bz = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
        bz.write_all(data).unwrap();
        let alone = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let alone = liblzma::stream::Stream::new_lzma_encoder(&alone).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), alone);
        lzma.write_all(data).unwrap();
        let mut legacy = vec![0x02, 0x21, 0x4c, 0x18];
        let block = lz4_flex::block::compress(data);
        legacy.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
        legacy.extend_from_slice(&block);
        vec![
            (Compression::Gzip, gz(data)),
            (Compression::Zstd, ::zstd::encode_all(data, 3).unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
            (Compression::Lz4, lz4.finish().unwrap()),
            (Compression::Lz4Legacy, legacy),
            (Compression::Bzip2, bz.finish().unwrap()),
            (Compression::Lzma, lzma.finish().unwrap()),
        ]
    }

    fn sample() -> Vec<u8> {
        (0..300_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect()
    }

    #[test]
    fn a_member_ends_where_it_ends() {
        let data = sample();
        for (compression, mut stream) in each(&data) {
            let length = stream.len();
            stream.extend_from_slice(&[0; 4]);
            stream.extend_from_slice(b"070701");
            let member = decode_member(compression, &stream, &mut Budget::of(1 << 30)).unwrap();
            assert!(member.data == data, "{compression:?}");
            assert_eq!(member.consumed, length, "{compression:?}");
        }
    }

    #[test]
    fn a_member_cut_anywhere_is_an_error() {
        let data = sample();
        for (compression, stream) in each(&data) {
            for cut in [3, 5, stream.len() / 2, stream.len() - 1] {
                let error = decode_member(compression, &stream[..cut], &mut Budget::of(1 << 30));
                assert!(error.is_err(), "{compression:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_bomb_meets_the_budget() {
        for (compression, stream) in each(&vec![0; 4 << 20]) {
            let error = decode_member(compression, &stream, &mut Budget::of(1 << 20)).unwrap_err();
            assert!(
                error.to_string().contains("max_decoded"),
                "{compression:?}: {error}"
            );
            assert!(decode_member(compression, &stream, &mut Budget::of(4 << 20)).is_ok());
        }
    }

    #[test]
    fn a_file_may_hold_many_members() {
        for (compression, stream) in each(b"hello ") {
            if compression == Compression::Lz4Legacy {
                continue;
            }
            let twice = [&stream[..], &[0; 8], &stream[..]].concat();
            let data = decode_all(compression, &twice, &mut Budget::of(100)).unwrap();
            assert_eq!(data, b"hello hello ", "{compression:?}");
            let junk = [&stream[..], b"junk"].concat();
            assert!(decode_all(compression, &junk, &mut Budget::of(100)).is_err());
        }
    }

    fn stream(compression: Compression, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut reader = reader(
            compression,
            std::sync::Arc::new(crate::format::Bytes::new(bytes)),
        )
        .map_err(std::io::Error::other)?;
        reader.read_to_end(&mut data).map(|_| data)
    }

    #[test]
    fn a_stream_reads_all_members_and_nothing_else() {
        let data = sample();
        for (compression, one) in each(&data) {
            if matches!(compression, Compression::Lz4 | Compression::Lz4Legacy) {
                continue;
            }
            assert!(
                stream(compression, one.clone()).unwrap() == data,
                "{compression:?}"
            );
            let twice = [&one[..], &one[..]].concat();
            assert!(stream(compression, twice).unwrap() == [&data[..], &data[..]].concat());
            let junk = [&one[..], b"junk and more"].concat();
            assert!(stream(compression, junk).is_err(), "{compression:?}: junk");
            for cut in [5, one.len() / 2, one.len() - 1] {
                let error = stream(compression, one[..cut].to_vec());
                assert!(error.is_err(), "{compression:?} cut at {cut}");
            }
            if compression != Compression::Zstd {
                let padded = [&one[..], &[0; 8], &one[..], &[0; 512]].concat();
                assert_eq!(stream(compression, padded).unwrap().len(), data.len() * 2);
            }
        }
    }

    #[test]
    fn a_search_sees_every_byte() {
        let mut data = sample();
        let at = data.len() - 100;
        data[at..at + 6].copy_from_slice(b"needle");
        for (compression, stream) in each(&data) {
            let mut found = false;
            search(compression, &stream, 1 << 30, |piece| {
                found |= piece.windows(6).any(|window| window == b"needle");
                found
            })
            .unwrap();
            assert!(found, "{compression:?}");
        }
    }
}
