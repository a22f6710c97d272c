//! A file tree in memory, written later as squashfs, cpio or tar.

use std::collections::BTreeMap;

/// What an entry of a [`Tree`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Directory,
    /// A regular file with its bytes.
    File(Vec<u8>),
    /// A symbolic link with its target, as written.
    Link(String),
}

/// One entry: permission bits (no type bits) and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits, 0o0000–0o7777.
    pub mode: u16,
    /// What the entry is.
    pub node: Node,
}

/// Files by path, without a leading slash; parents come before children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Makes a tree that holds nothing, not even a root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file, and the folders above it with mode 0755.
    pub fn file(&mut self, path: &str, mode: u16, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.insert(path, mode, Node::File(bytes.into()))
    }

    /// Adds a folder, and the folders above it with mode 0755.
    pub fn directory(&mut self, path: &str, mode: u16) -> &mut Self {
        self.insert(path, mode, Node::Directory)
    }

    /// Adds a symbolic link, and the folders above it with mode 0755.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.insert(path, 0o777, Node::Link(target.to_owned()))
    }

    fn insert(&mut self, path: &str, mode: u16, node: Node) -> &mut Self {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].to_owned()).or_insert(Entry {
                mode: 0o755,
                node: Node::Directory,
            });
        }
        self.entries.insert(path.to_owned(), Entry { mode, node });
        self
    }

    /// Moves everything at and below `prefix` into a tree of its own, with its
    /// full paths; the emptied folder goes too, its parents stay.
    pub fn split_off(&mut self, prefix: &str) -> Self {
        let below = format!("{prefix}/");
        let moved: Vec<String> = self
            .entries
            .keys()
            .filter(|path| *path == prefix || path.starts_with(&below))
            .cloned()
            .collect();
        let mut out = Self::new();
        for path in moved {
            if let Some(entry) = self.entries.remove(&path) {
                out.insert(&path, entry.mode, entry.node);
            }
        }
        out
    }

    /// Adds every entry of `other`; where both have a path, `other` wins.
    pub fn merge(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Walks the entries by path; a folder comes before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// Looks up one path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Tells whether the tree holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Makes `len` bytes that look like content: the same for the same `seed`,
/// and hardly compressible, so that sizes are like those of real files.
pub fn filler(seed: &str, len: usize) -> Vec<u8> {
    // FNV-1a for the seed, xorshift64* for the stream.
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(len);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_with_a_file_and_before_it() {
        let mut tree = Tree::new();
        tree.file("/usr/bin/a", 0o755, "x");
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["usr", "usr/bin", "usr/bin/a"]);
    }

    #[test]
    fn split_off_takes_the_folder_and_leaves_its_namesakes() {
        let mut tree = Tree::new();
        tree.file("lib/firmware/a", 0o644, "x")
            .file("lib/firmware-not", 0o644, "y");
        let moved = tree.split_off("lib/firmware");
        assert!(moved.get("lib/firmware/a").is_some());
        assert!(tree.get("lib/firmware").is_none());
        assert!(tree.get("lib/firmware-not").is_some());
    }

    #[test]
    fn filler_is_the_same_for_the_same_seed_only() {
        assert_eq!(filler("a", 20), filler("a", 20));
        assert_ne!(filler("a", 20), filler("b", 20));
        assert_eq!(filler("a", 3).len(), 3);
    }
}
