//! Many formats as one tree: a subject is opened once, decoded lazily and
//! shared by all checks.
//!
//! [`Image`] is the opened file. It gives the kernel's facts, the segments of
//! an initramfs, Talos's extensions, and the [`Merged`] view: the root file
//! system as the machine will see it, with the layer that each file came from
//! and, for programs, whether what they need is there.

mod all;
mod archive;
mod binaries;
mod blocks;
mod command_lines;
mod containers;
mod disk;
mod enter;
mod error;
mod folder;
mod follow;
mod glob;
mod kept;
mod layer;
mod libraries;
mod local;
mod merged;
mod modules;
pub mod oci;
mod open;
mod releases;
mod services;
pub mod spool;
mod talos;
mod view;
mod zeros;

pub use binaries::{Binary, Interpreter, Library};
pub use command_lines::{CommandLine, CommandLines, Written};
pub use enter::{Found, one_on_disk};
pub use error::ImageError;
pub use follow::Unresolved;
pub use glob::{Pattern, PatternError};
pub use layer::{Layer, payload};
pub use local::{LocalFile, xattrs};
pub use merged::Merged;
pub use modules::ModuleFile;
pub use open::Image;
pub use releases::{Indexes, Release};
pub use services::{ServiceFile, root as service_root};
pub use talos::{Extension, Talos};
pub use view::{MergedEntry, View};
