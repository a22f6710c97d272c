//! One compressed member, decoded piece by piece; what comes behind it stays
//! in its input.

use std::io::{self, BufRead, Read};

use super::xz;
use crate::format::{Compression, FormatError};

/// One member that is being decoded.
pub enum Single<R: BufRead> {
    /// RFC 1952.
    Gzip(Box<flate2::bufread::GzDecoder<R>>),
    /// RFC 8878.
    Zstd(::zstd::stream::read::Decoder<'static, R>),
    /// The `.xz` file format.
    Xz(liblzma::bufread::XzDecoder<R>),
}

impl<R: BufRead> Single<R> {
    /// Tells whether members of a compression can be read in this way.
    #[must_use]
    pub fn reads(compression: Compression) -> bool {
        matches!(
            compression,
            Compression::Gzip | Compression::Zstd | Compression::Xz
        )
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
            Compression::None
            | Compression::Lz4
            | Compression::Lz4Legacy
            | Compression::Bzip2
            | Compression::Lzma
            | Compression::Lzo => Err(super::unsupported(compression)),
        }
    }

    /// Gives the input back. Once the member was read to its end, that is
    /// where what comes behind it begins.
    pub fn into_input(self) -> R {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Xz(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Single<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
        }
    }
}
