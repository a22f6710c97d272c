//! A whole compressed file, read from front to back in little memory.

use std::io::{self, BufRead, BufReader, Read};

use super::{Single, xz};
use crate::format::{Compression, FormatError, Reader, Source};

/// How much compressed input is fetched at a time.
const INPUT: usize = 1 << 18;
/// How much of a file that is smaller than this.
const SMALL: usize = 1 << 12;

/// Gives what a file of one or more members decodes to, as a stream.
///
/// zstd's skippable frames and zeros behind the last member are stepped over;
/// other data behind a member are an error. Checksums are verified. Errors with
/// [`FormatError::Unsupported`] for lz4.
pub fn reader(
    compression: Compression,
    source: Source,
) -> Result<Box<dyn Read + Send>, FormatError> {
    let name = compression.name();
    // A small file needs no large buffer, which would be cleared first.
    let small = source.up_to(0, SMALL)?.len() < SMALL;
    let held = if small { SMALL } else { INPUT };
    let input = BufReader::with_capacity(held, Reader::new(source));
    let failed = |error: io::Error| FormatError::io(name, 0, error.to_string());
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Zstd => {
            let decoder = ::zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
            Box::new(decoder)
        }
        Compression::Xz => {
            let start = |input| Ok(Box::new(xz::whole(input)?) as Box<dyn Member>);
            Box::new(Members::new(input, Box::new(start)).map_err(failed)?)
        }
        Compression::Gzip | Compression::Bzip2 | Compression::Lzma | Compression::Lzo => {
            let start = move |input| {
                let member = Single::new(compression, input).map_err(io::Error::other)?;
                Ok(Box::new(member) as Box<dyn Member>)
            };
            Box::new(Members::new(input, Box::new(start)).map_err(failed)?)
        }
        // A decoder of lz4 takes the end of its input for the end of a frame; `decode_all` does not.
        Compression::Lz4 | Compression::Lz4Legacy => {
            return Err(super::unsupported(compression));
        }
    })
}

/// One member of a file: what it decodes to, and the input behind it.
trait Member: Read + Send {
    fn into_input(self: Box<Self>) -> BufReader<Reader>;
}

impl Member for Single<BufReader<Reader>> {
    fn into_input(self: Box<Self>) -> BufReader<Reader> {
        Single::into_input(*self)
    }
}

impl Member for liblzma::bufread::XzDecoder<BufReader<Reader>> {
    fn into_input(self: Box<Self>) -> BufReader<Reader> {
        (*self).into_inner()
    }
}

type Start = Box<dyn Fn(BufReader<Reader>) -> io::Result<Box<dyn Member>> + Send>;

/// One member after another, to the end of the file.
struct Members {
    start: Start,
    /// `None` at the end.
    member: Option<Box<dyn Member>>,
}

impl Members {
    fn new(input: BufReader<Reader>, start: Start) -> io::Result<Self> {
        let member = Some(start(input)?);
        Ok(Self { start, member })
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = self.member.as_mut() else {
                return Ok(0);
            };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut input) = self.member.take().map(Member::into_input) else {
                return Ok(0);
            };
            loop {
                let held = input.fill_buf()?;
                let zeros = held.iter().take_while(|byte| **byte == 0).count();
                let end = held.is_empty();
                if end {
                    return Ok(0);
                }
                if zeros == 0 {
                    break;
                }
                input.consume(zeros);
            }
            // Anything but another member is an error of the decoder, which says so.
            self.member = Some((self.start)(input)?);
        }
    }
}
