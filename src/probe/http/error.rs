//! Why something could not be had from a server.

use thiserror::Error;

/// Says why a server's answer is of no use. Addresses in it are shown without what is secret in
/// them: see [`crate::model::address::shown`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// The text is no address of a server.
    #[error("`{address}` is no address of a server: {what}")]
    Address {
        /// The text, as far as it may be shown.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// No connection, or no safe one.
    #[error("{address}: no connection: {what}")]
    Connection {
        /// Which address.
        address: String,
        /// The cause.
        what: String,
    },
    /// The connection ended before the answer did.
    #[error("{address}: the answer ends too early: {what}")]
    Cut {
        /// Which address.
        address: String,
        /// The cause.
        what: String,
    },
    /// Nothing came, or it came too slowly.
    #[error("{address}: {what}; try again, or give it a longer time-out")]
    Slow {
        /// Which address.
        address: String,
        /// What was waited for.
        what: &'static str,
    },
    /// The server refuses.
    #[error("{address}: the server answers {status}{}", hint(*status))]
    Status {
        /// Which address.
        address: String,
        /// The answer's status code.
        status: u16,
    },
    /// The answer contradicts itself, or what was asked.
    #[error("{address}: {what}")]
    Answer {
        /// Which address.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// What the address leads to changed between two answers.
    #[error("{address}: changed while it was read ({what}); look again")]
    Changed {
        /// Which address.
        address: String,
        /// What tells.
        what: String,
    },
    /// The way leads on to where it must not.
    #[error("{address}: {what}")]
    Redirect {
        /// Which address.
        address: String,
        /// Why it is not followed.
        what: String,
    },
    /// There is more than a bound allows.
    #[error("{address}: over the limit `{limit}` ({value} bytes)")]
    Limit {
        /// Which address.
        address: String,
        /// The bound's name.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// There is nothing.
    #[error("{address}: is empty (0 bytes)")]
    Empty {
        /// Which address.
        address: String,
    },
    /// The user has stopped it.
    #[error("interrupted")]
    Interrupted,
    /// The client itself cannot work.
    #[error("no requests can be made here: {what}")]
    Client {
        /// The cause.
        what: String,
    },
}

impl HttpError {
    /// Tells whether the same may go well a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Cut { .. } | Self::Slow { .. } => true,
            Self::Status { status, .. } => is_busy(*status),
            Self::Address { .. }
            | Self::Answer { .. }
            | Self::Changed { .. }
            | Self::Redirect { .. }
            | Self::Limit { .. }
            | Self::Empty { .. }
            | Self::Interrupted
            | Self::Client { .. } => false,
        }
    }
}

/// Tells whether a status says "not now".
pub(super) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => " (who are you?); give it credentials",
        403 => " (forbidden); these credentials, or none, do not do",
        404 => " (nothing is there); correct the address",
        429 => " (too many requests); try later",
        _ => "",
    }
}
