//! One compressed member, decoded piece by piece; what comes behind it stays
//! in its input.

use std::io::{self, BufRead, Read};

use super::{lzma, lzop, xz};
use crate::format::{Compression, FormatError};

/// One member that is being decoded.
pub enum Single<R: BufRead> {
    /// RFC 1952.
    Gzip(Box<flate2::bufread::GzDecoder<R>>),
    /// RFC 8878.
    Zstd(::zstd::stream::read::Decoder<'static, R>),
    /// The `.xz` file format.
    Xz(liblzma::bufread::XzDecoder<R>),
    /// bzip2.
    Bzip2(::bzip2::bufread::BzDecoder<R>),
    /// LZMA "alone".
    Lzma(liblzma::bufread::XzDecoder<R>),
    /// The files of lzop.
    Lzo(lzop::Decoder<R>),
}

impl<R: BufRead> Single<R> {
    /// Tells whether members of a compression can be read in this way.
    #[must_use]
    pub fn reads(compression: Compression) -> bool {
        match compression {
            Compression::Gzip
            | Compression::Zstd
            | Compression::Xz
            | Compression::Bzip2
            | Compression::Lzma
            | Compression::Lzo => true,
            Compression::None | Compression::Lz4 | Compression::Lz4Legacy => false,
        }
    }

    /// Begins with the member that comes next; checksums are verified at its
    /// end.
    ///
    /// Errors with [`FormatError::Unsupported`] for what [`Single::reads`]
    /// denies.
    pub fn new(compression: Compression, input: R) -> Result<Self, FormatError> {
        let failed = |error: io::Error| FormatError::io(compression.name(), 0, error.to_string());
        match compression {
            Compression::Gzip => {
                let decoder = flate2::bufread::GzDecoder::new(input);
                Ok(Self::Gzip(Box::new(decoder)))
            }
            Compression::Zstd => {
                let decoder = ::zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
                Ok(Self::Zstd(decoder.single_frame()))
            }
            Compression::Xz => Ok(Self::Xz(xz::reader(input)?)),
            Compression::Bzip2 => Ok(Self::Bzip2(::bzip2::bufread::BzDecoder::new(input))),
            Compression::Lzma => Ok(Self::Lzma(lzma::reader(input)?)),
            Compression::Lzo => Ok(Self::Lzo(lzop::Decoder::new(input))),
            Compression::None | Compression::Lz4 | Compression::Lz4Legacy => {
                Err(super::unsupported(compression))
            }
        }
    }

    /// Gives the input back. Once the member was read to its end, that is
    /// where what comes behind it begins.
    pub fn into_input(self) -> R {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Xz(decoder) | Self::Lzma(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
            Self::Lzo(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Single<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Xz(decoder) | Self::Lzma(decoder) => decoder.read(buffer),
            Self::Bzip2(decoder) => decoder.read(buffer),
            Self::Lzo(decoder) => decoder.read(buffer),
        }
    }
}
