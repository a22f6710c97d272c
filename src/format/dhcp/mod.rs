//! DHCP, as firmware boots with it: packets, and what they say about booting.
//!
//! [`packet`] reads and writes packets; [`ask`] makes what a machine's firmware sends; [`offer`]
//! reads what servers answer; [`select`] makes a [`choice`] of what firmware would boot, or says by
//! [`nothing`] why it boots nothing.
//!
//! The codec is its own because firmware needs more than others keep: all architectures of option
//! 93, the parts of option 43, options in the order and with the bytes in which they came.
//!
//! Sources: RFC 951, 2131, 2132, 3004, 3396, 4578; the PXE specification 2.1; UEFI 2.10 §24.7.

pub mod ask;
pub mod choice;
pub mod nothing;
pub mod offer;
pub mod packet;
#[cfg(test)]
mod recorded;
pub mod select;
mod uefi;

pub use ask::{Firmware, Machine};
pub use choice::{Boot, Choice, Question};
pub use nothing::Nothing;
pub use offer::{Offer, Pxe};
pub use packet::Packet;
pub use select::{answered, choose};

/// The name of the format in errors.
pub(crate) const NAME: &str = "dhcp";
/// The port that servers listen at.
pub const SERVER_PORT: u16 = 67;
/// The port that clients listen at.
pub const CLIENT_PORT: u16 = 68;
/// The port that boot servers listen at. Source: PXE 2.1 §2.2.
pub const BOOT_SERVER_PORT: u16 = 4011;
