//! Decoding one block with the image's compressor.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};
use liblzma::stream::{self as lzma, Action, Error, Stream};
use zstd::zstd_safe::{DCtx, get_error_name};

use super::Compressor;
use crate::format::stream::lzo;

/// Memory for the dictionary of an xz or LZMA block; squashfs keeps it to one block.
const MEMORY: u64 = 64 << 20;

thread_local! {
    // Making a decoder costs more than decoding a small block.
    static ZSTD: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    static ZLIB: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

/// Decodes `input` to at most `most` bytes. The error says what is wrong,
/// without a place; the caller knows it.
pub(super) fn decode(compressor: Compressor, input: &[u8], most: usize) -> Result<Vec<u8>, String> {
    match compressor {
        Compressor::Zstd => {
            let mut data = Vec::with_capacity(most);
            ZSTD.with_borrow_mut(|context| context.decompress(&mut data, input))
                .map_err(|code| get_error_name(code).to_owned())?;
            Ok(data)
        }
        Compressor::Gzip => {
            let mut data = Vec::with_capacity(most);
            let status = ZLIB.with_borrow_mut(|decoder| {
                decoder.reset(true);
                decoder.decompress_vec(input, &mut data, FlushDecompress::Finish)
            });
            match status {
                Ok(Status::StreamEnd) => Ok(data),
                Ok(Status::Ok | Status::BufError) => Err(unfinished(data.len(), most)),
                Err(error) => Err(error.to_string()),
            }
        }
        Compressor::Lzma => lzma_stream(Stream::new_lzma_decoder(MEMORY), input, most),
        Compressor::Xz => lzma_stream(Stream::new_stream_decoder(MEMORY, 0), input, most),
        Compressor::Lzo => lzo::decode(input, most),
        Compressor::Lz4 => {
            let mut data = vec![0; most];
            let length = lz4_flex::block::decompress_into(input, &mut data)
                .map_err(|error| error.to_string())?;
            data.truncate(length);
            Ok(data)
        }
    }
}

/// Decodes one stream of LZMA, in either of its two files' forms.
fn lzma_stream(
    decoder: Result<Stream, Error>,
    input: &[u8],
    most: usize,
) -> Result<Vec<u8>, String> {
    let mut decoder = decoder.map_err(|error| error.to_string())?;
    let mut data = Vec::with_capacity(most);
    loop {
        let before = (decoder.total_in(), decoder.total_out());
        let rest = usize::try_from(before.0)
            .ok()
            .and_then(|used| input.get(used..));
        let status = decoder
            .process_vec(rest.unwrap_or_default(), &mut data, Action::Finish)
            .map_err(|error| error.to_string())?;
        match status {
            lzma::Status::StreamEnd => return Ok(data),
            lzma::Status::Ok | lzma::Status::GetCheck | lzma::Status::MemNeeded => {
                if (decoder.total_in(), decoder.total_out()) == before {
                    return Err(unfinished(data.len(), most));
                }
            }
        }
    }
}

fn unfinished(length: usize, most: usize) -> String {
    if length >= most {
        format!("it decodes to more than {most} bytes")
    } else {
        "its compressed data do not end".to_owned()
    }
}
