//! What a reader says about bytes that it cannot read.

use thiserror::Error;

/// Says why some bytes could not be read as what they claim to be.
///
/// Every variant names the format; `offset` counts bytes from the start of the
/// thing that is being read (the nearest file, segment or image), and the
/// `image` floor says which thing that was. None of them means that an image
/// is *wrong*: they all mean that it could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The input ends before what it announced.
    #[error("{format}: cut short at byte {offset}: {what}; build or fetch the file again")]
    Truncated {
        /// The format's name, as [`crate::format::Content::name`] writes it.
        format: &'static str,
        /// Where the missing bytes were expected.
        offset: u64,
        /// What was being read.
        what: String,
    },
    /// The input contradicts its own format.
    #[error("{format}: broken at byte {offset}: {what}")]
    Corrupt {
        /// The format's name.
        format: &'static str,
        /// Where the contradiction is.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The input is larger than a bound allows.
    #[error("{format}: over the limit `{limit}` ({value}) at byte {offset}; {remedy}")]
    Limit {
        /// The format's name.
        format: &'static str,
        /// Where in the input the bound was met.
        offset: u64,
        /// The field of [`crate::format::Limits`] that stopped it.
        limit: &'static str,
        /// The bound's value.
        value: u64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The input is a known thing that no reader here reads.
    #[error("{format}: not supported at byte {offset}: {what}")]
    Unsupported {
        /// The format's name.
        format: &'static str,
        /// Where the unsupported part is.
        offset: u64,
        /// What it is, and what to use in its place.
        what: String,
    },
    /// The bytes below the reader could not be fetched.
    #[error("{format}: cannot read at byte {offset}: {what}")]
    Io {
        /// The format's name.
        format: &'static str,
        /// Where the read began.
        offset: u64,
        /// The system's message.
        what: String,
    },
    /// A part of the input could not be read; its offsets count from its own
    /// start.
    #[error("in {part}: {source}")]
    Inside {
        /// Which part, and where it lies.
        part: String,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
}

impl FormatError {
    /// Makes a [`FormatError::Truncated`].
    pub fn truncated(format: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::Truncated {
            format,
            offset,
            what: what.into(),
        }
    }

    /// Makes a [`FormatError::Corrupt`].
    pub fn corrupt(format: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            format,
            offset,
            what: what.into(),
        }
    }

    /// Makes a [`FormatError::Unsupported`].
    pub fn unsupported(format: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::Unsupported {
            format,
            offset,
            what: what.into(),
        }
    }

    /// Makes a [`FormatError::Io`].
    pub fn io(format: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::Io {
            format,
            offset,
            what: what.into(),
        }
    }

    /// Says that the error happened in a part of something larger, which has
    /// its own offsets: a decoded segment, an image inside an archive.
    #[must_use]
    pub fn inside(self, part: impl Into<String>) -> Self {
        Self::Inside {
            part: part.into(),
            source: Box::new(self),
        }
    }

    /// Gives the same error with its offset counted from `base` bytes earlier,
    /// for a reader that was handed a part of something larger.
    #[must_use]
    pub fn at(mut self, base: u64) -> Self {
        match &mut self {
            Self::Truncated { offset, .. }
            | Self::Corrupt { offset, .. }
            | Self::Limit { offset, .. }
            | Self::Unsupported { offset, .. }
            | Self::Io { offset, .. } => *offset = offset.saturating_add(base),
            // The part says itself where it lies.
            Self::Inside { .. } => {}
        }
        self
    }

    /// Tells whether the input itself is wrong, and not only too large or unknown.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Truncated { .. } | Self::Corrupt { .. } => true,
            Self::Inside { source, .. } => source.is_broken(),
            Self::Limit { .. } | Self::Unsupported { .. } | Self::Io { .. } => false,
        }
    }

    /// Tells whether nothing is wrong but that no reader here reads it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Unsupported { .. } => true,
            Self::Inside { source, .. } => source.is_unsupported(),
            Self::Truncated { .. }
            | Self::Corrupt { .. }
            | Self::Limit { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Gives the byte offset that the error names.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Self::Truncated { offset, .. }
            | Self::Corrupt { offset, .. }
            | Self::Limit { offset, .. }
            | Self::Unsupported { offset, .. }
            | Self::Io { offset, .. } => *offset,
            Self::Inside { source, .. } => source.offset(),
        }
    }

    /// Gives the name of the format that could not be read.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self {
            Self::Truncated { format, .. }
            | Self::Corrupt { format, .. }
            | Self::Limit { format, .. }
            | Self::Unsupported { format, .. }
            | Self::Io { format, .. } => format,
            Self::Inside { source, .. } => source.format(),
        }
    }
}
