//! Why a transfer tells nothing.

use thiserror::Error;

/// Says why nothing is known of what a server has. What the server itself says is no error: see
/// [`crate::format::tftp::Stopped`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TftpError {
    /// The text is no address of a file on a TFTP server.
    #[error("`{address}` is no address of a file: {what}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// The server never answered.
    #[error("{server}: no answer within {seconds} s")]
    NoAnswer {
        /// Whom it was asked.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server stopped answering.
    #[error("{server}: the transfer stands still at byte {at}: nothing came for {seconds} s")]
    Silent {
        /// Whom it was asked.
        server: String,
        /// The bytes that came.
        at: u64,
        /// How long was waited.
        seconds: u64,
    },
    /// The time is over.
    #[error("{server}: the time is over at byte {at}; give the check a longer time-out")]
    Late {
        /// Whom it was asked.
        server: String,
        /// The bytes that came.
        at: u64,
    },
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// There is more than a bound allows.
    #[error("{server}: over the limit `{limit}` ({value} bytes)")]
    Limit {
        /// Whom it was asked.
        server: String,
        /// The bound's name.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// This machine cannot ask, or cannot put away what comes.
    #[error("{what}")]
    Local {
        /// The cause.
        what: String,
    },
}

impl TftpError {
    /// Tells whether the same may go well a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Silent { .. } => true,
            Self::Address { .. }
            | Self::Late { .. }
            | Self::Interrupted
            | Self::Limit { .. }
            | Self::Local { .. } => false,
        }
    }
}
