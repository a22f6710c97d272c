//! Decoding the data of one extent.

use flate2::{Decompress, FlushDecompress, Status};
use liblzma::stream::{Action, Stream};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::map::{Algorithm, MAX_DECODED};

/// The largest dictionary of MicroLZMA. Source: `Z_EROFS_LZMA_MAX_DICT_SIZE`.
const LZMA_DICTIONARY: usize = 8 << 20;
/// Memory for such a dictionary and the decoder.
const LZMA_MEMORY: u64 = 16 << 20;
/// The largest window of a frame that is not decoded in one piece, as a power
/// of two: that of the most that an extent decodes to.
const ZSTD_WINDOW: u32 = (MAX_DECODED as usize).next_power_of_two().trailing_zeros();

/// Decodes `input`, which ends with what it is padded with where `padded` is
/// `false`, to exactly `length` bytes. With `partial`, it may decode to more.
/// The error says what is wrong, without a place.
pub(super) fn decode(
    algorithm: Algorithm,
    input: &[u8],
    length: usize,
    partial: bool,
    padded: bool,
) -> Result<Vec<u8>, String> {
    // What is compressed begins with no zero: those are what fills its first block.
    let zeros = input.iter().take_while(|byte| **byte == 0).count();
    let bare = input.get(zeros..).unwrap_or_default();
    let mut data = match algorithm {
        Algorithm::Lz4 if !padded => lz4_partial(input, length)?,
        Algorithm::Lz4 if partial => lz4_partial(bare, length)?,
        Algorithm::Lz4 => {
            let mut data = vec![0; length];
            let decoded = lz4_flex::block::decompress_into(bare, &mut data);
            let decoded = decoded.map_err(|error| error.to_string())?;
            data.truncate(decoded);
            data
        }
        Algorithm::Lzma => lzma(bare, length)?,
        Algorithm::Deflate => deflate(bare, length, partial)?,
        Algorithm::Zstd => zstd(bare, length, partial)?,
    };
    // A buffer may be larger than was asked for.
    data.truncate(length);
    if data.len() == length {
        return Ok(data);
    }
    Err(format!(
        "it decodes to {} bytes, {length} were announced",
        data.len()
    ))
}

/// Decodes an lz4 block as far as it is needed: the decoder of whole blocks has
/// no way to stop. Source: the lz4 block format.
fn lz4_partial(input: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let cut = || "an lz4 block is cut".to_owned();
    let mut rest = input;
    let mut data = Vec::with_capacity(length);
    let long = |rest: &mut &[u8], short: u8| {
        let mut total = usize::from(short);
        if short < 15 {
            return Some(total);
        }
        loop {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            total += usize::from(*byte);
            if *byte < 255 {
                return Some(total);
            }
        }
    };
    while data.len() < length {
        let (token, behind) = rest.split_first().ok_or_else(cut)?;
        rest = behind;
        let literals = long(&mut rest, token >> 4).ok_or_else(cut)?;
        let wanted = literals.min(length - data.len());
        data.extend_from_slice(rest.get(..wanted).ok_or_else(cut)?);
        if data.len() == length {
            break;
        }
        rest = rest.get(literals..).ok_or_else(cut)?;
        let (distance, behind) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        rest = behind;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let repeated = long(&mut rest, token & 15)
            .ok_or_else(cut)?
            .saturating_add(4);
        let from = data.len().checked_sub(distance).filter(|_| distance > 0);
        let from = from.ok_or_else(|| format!("an lz4 block that looks {distance} bytes back"))?;
        let mut left = repeated.min(length - data.len());
        // What is repeated may reach into what it makes.
        while left > 0 {
            let part = left.min(data.len() - from);
            data.extend_from_within(from..from + part);
            left -= part;
        }
    }
    Ok(data)
}

/// Decodes MicroLZMA: an LZMA stream whose first byte, always zero, is the
/// complement of the byte that its header would begin with. It is given that
/// header again. Source: `lzma_microlzma_decoder` in `lzma/container.h`.
fn lzma(input: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let (first, stream) = input.split_first().ok_or("no data")?;
    // Nothing looks further back than to the beginning.
    let dictionary = length.clamp(4096, LZMA_DICTIONARY) as u32;
    let mut header = vec![!first];
    header.extend_from_slice(&dictionary.to_le_bytes());
    // The length is not told: the stream ends where enough is decoded.
    header.extend_from_slice(&[0xff; 8]);
    header.push(0);
    let mut decoder = Stream::new_lzma_decoder(LZMA_MEMORY).map_err(|error| error.to_string())?;
    let mut data = Vec::with_capacity(length);
    decoder
        .process_vec(&header, &mut data, Action::Run)
        .map_err(|error| error.to_string())?;
    let mut rest = stream;
    while data.len() < length {
        let before = (decoder.total_in(), data.len());
        decoder
            .process_vec(rest, &mut data, Action::Run)
            .map_err(|error| error.to_string())?;
        let used = usize::try_from(decoder.total_in() - before.0).unwrap_or(usize::MAX);
        rest = rest.get(used..).unwrap_or_default();
        if used == 0 && data.len() == before.1 {
            break;
        }
    }
    Ok(data)
}

fn deflate(input: &[u8], length: usize, partial: bool) -> Result<Vec<u8>, String> {
    let mut decoder = Decompress::new(false);
    let mut data = Vec::with_capacity(length);
    let status = decoder
        .decompress_vec(input, &mut data, FlushDecompress::Finish)
        .map_err(|error| error.to_string())?;
    if partial || status == Status::StreamEnd {
        return Ok(data);
    }
    Err("its deflate stream does not end".to_owned())
}

fn zstd(input: &[u8], length: usize, partial: bool) -> Result<Vec<u8>, String> {
    let said = |code| get_error_name(code).to_owned();
    let mut context = DCtx::create();
    let mut data = Vec::with_capacity(length);
    if !partial {
        context.decompress(&mut data, input).map_err(said)?;
        return Ok(data);
    }
    context
        .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))
        .map_err(said)?;
    let mut source = InBuffer::around(input);
    let mut target = OutBuffer::around(&mut data);
    loop {
        let before = (source.pos(), target.pos());
        context
            .decompress_stream(&mut target, &mut source)
            .map_err(said)?;
        if target.pos() == length || (source.pos(), target.pos()) == before {
            break;
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn sample() -> Vec<u8> {
        (0..60_000u32)
            .flat_map(|n| (n / 5 * 7 % 1000).to_le_bytes())
            .collect()
    }

    /// What `mkfs.erofs` would store.
    fn each(data: &[u8]) -> [(Algorithm, Vec<u8>); 4] {
        let options = liblzma::stream::LzmaOptions::new_preset(6).unwrap();
        let alone = Stream::new_lzma_encoder(&options).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), alone);
        lzma.write_all(data).unwrap();
        let mut lzma = lzma.finish().unwrap();
        assert_eq!(lzma[13], 0, "the first byte of every LZMA stream");
        lzma[13] = !lzma[0];
        lzma.drain(..13);
        let level = flate2::Compression::best();
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
        deflate.write_all(data).unwrap();
        [
            (Algorithm::Lz4, lz4_flex::block::compress(data)),
            (Algorithm::Lzma, lzma),
            (Algorithm::Deflate, deflate.finish().unwrap()),
            (Algorithm::Zstd, ::zstd::encode_all(data, 19).unwrap()),
        ]
    }

    #[test]
    fn every_algorithm_gives_all_or_the_beginning_back() {
        let data = sample();
        for (algorithm, stored) in each(&data) {
            let padded = [&[0; 777], &stored[..]].concat();
            let whole = decode(algorithm, &padded, data.len(), false, true).unwrap();
            assert!(whole == data, "{algorithm:?}");
            for length in [1, 4, 5, 4096, 100_001, data.len()] {
                let part = decode(algorithm, &padded, length, true, true).unwrap();
                assert!(part == data[..length], "{algorithm:?}: {length}");
            }
            let more = decode(algorithm, &padded, data.len() + 1, false, true);
            assert!(more.is_err(), "{algorithm:?}");
            for cut in [0, 1, stored.len() / 2] {
                let short = decode(algorithm, &stored[..cut], data.len(), false, true);
                assert!(short.is_err(), "{algorithm:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn lz4_of_old_ends_where_enough_is_decoded() {
        let data = sample();
        let stored = [&lz4_flex::block::compress(&data)[..], &[0; 500]].concat();
        assert!(decode(Algorithm::Lz4, &stored, data.len(), false, false).unwrap() == data);
        assert!(decode(Algorithm::Lz4, &[0x10, 7, 0, 0], 9, false, false).is_err());
        assert!(decode(Algorithm::Lz4, &[0x10, 7, 2, 0], 9, false, false).is_err());
        assert_eq!(
            decode(Algorithm::Lz4, &[0x10, 7, 1, 0], 5, false, false).unwrap(),
            [7; 5]
        );
    }
}
