//! The spec language: text in, typed spec out, positions kept.
//!
//! [`document`] reads YAML into nodes that know where they stand; [`vars`] puts values in for
//! `${{ … }}`; [`mod@file`] and [`load`] make nodes a [`SpecFile`]; [`args`] and [`matcher`] type a
//! check's arguments and its `expect` against the shapes of its kind. Every mistake becomes a
//! [`Diagnostic`]; none stops the reading of the rest of the file.

pub mod args;
pub mod diagnostic;
pub mod document;
pub mod fields;
pub mod file;
pub mod load;
pub mod matcher;
mod parts;
pub mod vars;

pub use diagnostic::{Diagnostic, Diagnostics, Sources};
pub use document::{Entry, Node, NodeKind};
pub use file::{CheckEntry, SpecFile};
pub use parts::FILE_KEYS;
