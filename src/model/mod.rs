//! The vocabulary every other floor speaks: positions, values, shapes, verdicts.
//!
//! Nothing in here does I/O and nothing imports another floor.

pub mod address;
pub mod digest;
pub mod excerpt;
pub mod glob;
pub mod path;
pub mod picture;
pub mod shape;
pub mod size;
pub mod span;
pub mod value;
pub mod verdict;
pub mod words;

pub use address::{Address, AddressError, Origin};
pub use digest::Sha256Digest;
pub use picture::Picture;
pub use shape::{Field, Record, Shape, TextKind};
pub use span::{SourceId, Span};
pub use verdict::{Mismatch, SkipReason, Trouble, Verdict};
