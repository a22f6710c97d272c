//! Fetching files by TFTP, as firmware does.
//!
//! [`client`] is one transfer; [`url`] reads `tftp://HOST/FILE`.

pub mod client;
mod error;
pub mod url;

pub use client::{Fetch, Got, get};
pub use error::TftpError;
