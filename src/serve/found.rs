//! What a name leads to.

use super::opened::Opened;
use super::refusal::Refusal;

/// Entries of a folder that are looked at.
pub const MAX_ENTRIES: usize = 10_000;

/// What a name leads to.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Opened),
    /// A folder.
    Folder,
}

/// What a folder has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its entries in the order of their names.
    pub entries: Vec<Entry>,
    /// Whether there are more than [`MAX_ENTRIES`], which were not looked at.
    pub cut: bool,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder; of a link, what it leads to.
    pub folder: bool,
    /// Why it cannot be had.
    pub refused: Option<Refusal>,
}
