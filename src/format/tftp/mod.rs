//! TFTP: packets, options, and both halves of a transfer.
//!
//! [`Packet`] reads and writes packets; [`options`] is what two sides agree on; [`Receiver`] says what
//! to answer to what comes, [`Sender`] which blocks are due. Nothing here sends.
//!
//! Sources: RFC 1350 (with what RFC 1123 §4.2.3.1 says of the sorcerer's apprentice), RFC 2347, 2348,
//! 2349, 7440.

pub mod options;
pub mod packet;
pub mod receive;
pub mod send;

pub use options::{Agreed, Asked};
pub use packet::{Code, Packet};
pub use receive::{Receiver, Step, Stopped};
pub use send::Sender;

/// The name of the format in errors.
pub(crate) const NAME: &str = "tftp";
/// The port that requests are sent to.
pub const PORT: u16 = 69;
/// Bytes of a block where nothing is agreed on.
pub const BLOCK: u16 = 512;
/// The largest block. Source: RFC 2348.
pub const LARGEST: u16 = 65464;
