//! What two images differ in, to any depth.
//!
//! Containers are compared by what is in them, never by how it was packed: two
//! file systems made at different times from the same files are the same. Where
//! both sides have a container in one place, or in one role (the one UKI of a
//! directory, the image of one extension), the walk goes into both, unless
//! their bytes are equal.
//!
//! Two listings are held at a time for each level of containers, and no digest
//! of what is equal is ever made: bytes are held against bytes, up to the first
//! that differs.

mod about;
mod bytes;
mod change;
mod compare;
mod contents;
mod facts;
mod merge;
mod meta;
mod partitions;
mod role;
mod text;
mod walk;

pub use change::{Change, Difference, Event, Place, Side, Summary, Trouble, What};
pub use walk::diff;

/// What is compared, and how far.
#[derive(Debug, Clone)]
pub struct Options {
    /// Containers that are entered below one another.
    pub depth: usize,
    /// Whether the content of files counts; without it, what is said about them.
    pub content: bool,
    /// Whether the merged views are compared: a Talos root file system under
    /// its extensions, the layers of an image.
    pub merged: bool,
    /// Whether every entry of a directory that is there on one side only is a
    /// change of its own.
    pub all: bool,
    /// Whether times of modification count.
    pub times: bool,
    /// Whether identifiers count that each build makes anew: the GUIDs of
    /// disks and partitions.
    pub ids: bool,
    /// Whether permissions count.
    pub mode: bool,
    /// Whether owner and group count.
    pub owner: bool,
    /// Whether extended attributes count.
    pub xattrs: bool,
    /// Entries that are compared on each side, of all containers together.
    pub max_entries: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            depth: 16,
            content: true,
            merged: false,
            all: false,
            times: false,
            ids: false,
            mode: true,
            owner: true,
            xattrs: true,
            max_entries: crate::format::Limits::default().max_entries,
        }
    }
}
