//! Why a registry does not give what it should.

use crate::format::FormatError;
use crate::probe::http::HttpError;
use std::path::PathBuf;
use thiserror::Error;

/// Says why an image in a registry cannot be read. No credentials stand in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The address is none.
    #[error("`{address}` names no image: {what}; write oci://host/repository:tag")]
    Name {
        /// The address, as far as it may be shown.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// The server does not answer as it should.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The registry refuses, and says why.
    #[error("{name}: {what}")]
    Refused {
        /// The image.
        name: String,
        /// What it says.
        what: String,
        /// The answer's status code.
        status: u16,
        /// Whether it may think better of it.
        transient: bool,
    },
    /// What proves who asks cannot be had.
    #[error("{name}: {what}")]
    Credentials {
        /// The image, or the file.
        name: String,
        /// What is missing.
        what: String,
    },
    /// A manifest is not what it should be.
    #[error("{name}: {source}")]
    Document {
        /// The image.
        name: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// What came, or what is there after a push, is another than it should be.
    #[error("{name}: {what}; do the same again, and ask who runs what is in between")]
    Wrong {
        /// The image.
        name: String,
        /// What is another.
        what: String,
    },
    /// The layout on disk cannot be read or written.
    #[error("{}: {what}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The platform that was asked for is not there, or is there twice.
    #[error("{name}: {what}")]
    Platform {
        /// The image.
        name: String,
        /// What is there.
        what: String,
    },
}

impl RegistryError {
    /// Says what can be done where the error itself does not.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Http(HttpError::Connection { .. }) => {
                "; correct the host and the port, or see whether it runs; one without TLS has to \
                 be named by --plain-http or TDG_PLAIN_HTTP"
            }
            Self::Http(HttpError::Interrupted) => "; the same again goes on with it",
            Self::Http(_)
            | Self::Name { .. }
            | Self::Refused { .. }
            | Self::Credentials { .. }
            | Self::Document { .. }
            | Self::Wrong { .. }
            | Self::Layout { .. }
            | Self::Platform { .. } => "",
        }
    }

    /// Tells whether the same may go well a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused { transient, .. } => *transient,
            Self::Name { .. }
            | Self::Credentials { .. }
            | Self::Document { .. }
            | Self::Wrong { .. }
            | Self::Layout { .. }
            | Self::Platform { .. } => false,
        }
    }

    /// Tells whether what was looked at is another than it should be, by digest, size or form.
    pub fn is_wrong(&self) -> bool {
        match self {
            Self::Wrong { .. } => true,
            Self::Document { source, .. } => source.is_broken(),
            Self::Name { .. }
            | Self::Http(_)
            | Self::Refused { .. }
            | Self::Credentials { .. }
            | Self::Layout { .. }
            | Self::Platform { .. } => false,
        }
    }

    /// Tells whether the registry says that what was asked for is not there.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Http(HttpError::Status { status, .. }) => *status == 404,
            Self::Refused { status, .. } => *status == 404,
            Self::Name { .. }
            | Self::Http(_)
            | Self::Credentials { .. }
            | Self::Document { .. }
            | Self::Wrong { .. }
            | Self::Layout { .. }
            | Self::Platform { .. } => false,
        }
    }

    /// Tells whether the user has stopped it.
    pub fn is_interrupted(&self) -> bool {
        *self == Self::Http(HttpError::Interrupted)
    }

    /// Says it as a reader's error.
    pub(super) fn into_format(self) -> FormatError {
        match self {
            Self::Document { source, .. } => source,
            other => FormatError::io("oci", 0, other.to_string()),
        }
    }
}
