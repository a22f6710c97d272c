//! The vocabulary of a comparison.

use std::sync::Arc;

use crate::format::FileType;
use crate::image::ImageError;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first address.
    A,
    /// The second.
    B,
}

impl Side {
    /// Gives the stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Gives the place of the side in a pair.
    pub(super) fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// A pair of containers that is gone into.
#[derive(Debug)]
pub struct Place {
    /// The containers that these two are in.
    pub parent: Option<Arc<Place>>,
    /// How many those are.
    pub depth: usize,
    /// The paths by which they are found there; empty of the two addresses.
    pub paths: [String; 2],
    /// Which extension they are images of.
    pub role: Option<String>,
    /// The addresses that lead to them.
    pub addresses: [String; 2],
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is there on the second side only.
    Added,
    /// It is there on the first side only.
    Removed,
    /// It is there on both, and not the same.
    Changed,
}

impl What {
    /// Gives the stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One thing that is said about an entry and differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is: `mode`, `content`, `version`, `partition META size`.
    pub field: String,
    /// What it is on the first side; `None` where there is none.
    pub a: Option<String>,
    /// What it is on the second side.
    pub b: Option<String>,
}

impl Difference {
    /// Makes a difference of two values, or none where they are the same.
    pub(super) fn of<T: PartialEq + ToString>(
        field: &str,
        a: Option<T>,
        b: Option<T>,
    ) -> Option<Self> {
        (a != b).then(|| Self {
            field: field.to_owned(),
            a: a.map(|value| value.to_string()),
            b: b.map(|value| value.to_string()),
        })
    }

    /// The same of values that are there on both sides.
    pub(super) fn both<T: PartialEq + ToString>(field: &str, a: T, b: T) -> Option<Self> {
        Self::of(field, Some(a), Some(b))
    }
}

/// One entry that is not the same on both sides.
#[derive(Debug, Clone)]
pub struct Change {
    /// The containers that it is in.
    pub place: Arc<Place>,
    /// What became of it.
    pub what: What,
    /// Its path on each side; the empty path is the container itself.
    pub paths: [Option<String>; 2],
    /// Which extension it is the image of, where it is one.
    pub role: Option<String>,
    /// Its type, that on the second side where both have one.
    pub kind: FileType,
    /// What it is by its content, where that was looked at; else empty.
    pub content: &'static str,
    /// Its bytes; of a directory that is there on one side only, those of all
    /// files in it.
    pub size: u64,
    /// Entries in it that are no changes of their own.
    pub below: u64,
    /// What differs, of a changed one.
    pub differences: Vec<Difference>,
    /// The lines in which two small texts differ, in the unified form, control
    /// characters escaped.
    pub text: Option<String>,
}

/// Something that could not be read in full, so that nothing can be said of it.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The side that it is on.
    pub side: Side,
    /// The address of what could not be read.
    pub address: String,
    /// Why.
    pub message: String,
}

impl Trouble {
    pub(super) fn new(side: Side, error: &ImageError) -> Self {
        Self {
            side,
            address: error.path().display().to_string(),
            message: error.to_string(),
        }
    }
}

/// What a comparison comes by, in the order of the paths.
#[derive(Debug)]
pub enum Event<'e> {
    /// Something differs.
    Change(&'e Change),
    /// Something could not be compared.
    Trouble(&'e Trouble),
}

/// What a comparison came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Entries that are there on both sides and were compared.
    pub compared: u64,
    /// Entries of the second side only; those in an added directory count.
    pub added: u64,
    /// Entries of the first side only.
    pub removed: u64,
    /// Entries that are not the same, and containers about which something
    /// else is said.
    pub changed: u64,
    /// Pairs of containers that were gone into.
    pub containers: u64,
    /// Files and containers whose bytes differ while what they hold does not:
    /// packed again, or at another time.
    pub repacked: u64,
    /// Entries that nothing is said of, because the other side could not be
    /// listed in full, or because the time was over.
    pub unknown: u64,
    /// Parts that could not be read in full.
    pub troubles: u64,
}

impl Summary {
    /// Tells whether nothing differs in what could be compared.
    #[must_use]
    pub fn same(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}
