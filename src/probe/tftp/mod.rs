//! Fetching files by TFTP, as firmware does.
//!
//! [`client`] is one transfer; `waiting` is how it waits for a packet; [`url`] reads
//! `tftp://HOST/FILE`.

pub mod client;
mod error;
pub mod url;
mod waiting;

pub use client::{Fetch, Got, get};
pub use error::TftpError;
