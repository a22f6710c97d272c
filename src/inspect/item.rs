//! One thing that a walk comes by.

use crate::format::{Entry, FileType};
use crate::model::Sha256Digest;

/// What a walk comes by.
#[derive(Debug, Clone)]
pub struct Item {
    /// How many containers it is inside of.
    pub depth: usize,
    /// The path in its container; empty for the root of the walk.
    pub path: String,
    /// The address that leads to it.
    pub address: String,
    /// What the container says of it; nothing of the root.
    pub entry: Option<Entry>,
    /// Its type.
    pub kind: FileType,
    /// Its bytes.
    pub size: u64,
    /// What it is, by its content: `gpt`, `squashfs`, `elf`; empty for what is
    /// no file.
    pub what: &'static str,
    /// More about that: of a program its machine, of a compressed file what it
    /// decompresses to.
    pub detail: Option<String>,
    /// Its digest, where it was asked for.
    pub sha256: Option<Sha256Digest>,
    /// Whether its content follows.
    pub container: bool,
    /// Why it, or what is in it, could not be read in full.
    pub trouble: Option<String>,
}
