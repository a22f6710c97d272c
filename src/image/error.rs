//! Why a subject could not be read.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::format::FormatError;

/// Says why a subject, or a part of it, could not be read. It always names
/// the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// There is no such file.
    #[error("{}: no such file; build it first, or correct the path", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("{}: is a directory; name the file in it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The path names a pipe, a socket or a device.
    #[error("{}: is a {what}, not a regular file", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The file has no content.
    #[error("{}: is empty (0 bytes); whatever should have written it did not", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than a reader takes.
    #[error("{}: has {size} bytes, over the limit `max_input` ({limit})", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// The bytes that are read at most.
        limit: u64,
    },
    /// The system refuses to read the file.
    #[error("{}: cannot be read: {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        what: String,
    },
    /// An address leads into something that nothing is inside of.
    #[error("{}: is {content} data, and nothing can be inside of that; end the address here", path.display())]
    NoTree {
        /// The file.
        path: PathBuf,
        /// What it is.
        content: &'static str,
    },
    /// A root file system is asked for where there is none.
    #[error("{}: is {content} data, which is no root file system; name the image that it is in", path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
        /// What it is.
        content: &'static str,
    },
    /// An address begins at a server that does not give what it should.
    #[error("{what}")]
    Remote {
        /// The address, as far as it may be shown.
        path: PathBuf,
        /// What the server did, with the address.
        what: String,
        /// Whether it may go away by itself.
        transient: bool,
    },
    /// Nothing is where an address leads.
    #[error("{}: `/{inner}` is not there; {near}", path.display())]
    NotThere {
        /// What was looked into.
        path: PathBuf,
        /// The part of the address that leads nowhere.
        inner: String,
        /// What is there instead.
        near: String,
    },
    /// A pattern in an address covers several entries.
    #[error("{}: `/{inner}` covers {count} entries, an address leads to one: {covered}", path.display())]
    Ambiguous {
        /// What was looked into.
        path: PathBuf,
        /// The pattern.
        inner: String,
        /// How many entries it covers.
        count: usize,
        /// Some of them.
        covered: String,
    },
    /// A pattern in an address is none.
    #[error("{}: {what}", path.display())]
    Pattern {
        /// What was looked into.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The content cannot be read as what it should be.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        source: FormatError,
    },
}

impl ImageError {
    pub(super) fn format(path: &Path, source: FormatError) -> Self {
        Self::Format {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            Self::Missing { path }
        } else {
            Self::Io {
                path,
                what: error.to_string(),
            }
        }
    }

    /// Gives the file that could not be read.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::Directory { path }
            | Self::Special { path, .. }
            | Self::Empty { path }
            | Self::TooLarge { path, .. }
            | Self::Io { path, .. }
            | Self::NoTree { path, .. }
            | Self::NoRoot { path, .. }
            | Self::Remote { path, .. }
            | Self::NotThere { path, .. }
            | Self::Ambiguous { path, .. }
            | Self::Pattern { path, .. }
            | Self::Format { path, .. } => path,
        }
    }
}
