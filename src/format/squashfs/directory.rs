//! Directory listings and the walk over the whole tree.

use super::inode::{Inode, Node};
use super::metadata::Cursor;
use super::{Entry, Inner, NAME, Squashfs};
use crate::format::node::{Tally, escape};
use crate::format::tree::{held, join};
use crate::format::{FileType, FormatError};

/// A listing has at most this many entries under one header.
const RUN: u32 = 256;

/// One name in a directory.
#[derive(Debug)]
struct Child {
    name: Vec<u8>,
    inode: u64,
}

/// Reads one directory's listing, name by name.
struct Listing<'a> {
    cursor: Option<Cursor<'a>>,
    /// Bytes of the listing that are left.
    left: u32,
    /// Entries left under the current header, and the header's inode block.
    run: u32,
    block: u32,
}

impl<'a> Listing<'a> {
    fn open(inner: &'a Inner, reference: u64) -> Result<Self, FormatError> {
        let inode = Inode::read(inner, reference)?;
        let Node::Directory {
            block,
            offset,
            length,
        } = inode.node
        else {
            let what = format!("inode {reference:#x} is not a directory");
            return Err(FormatError::corrupt(
                NAME,
                inner.superblock.inode_table,
                what,
            ));
        };
        // An empty directory may point anywhere.
        let cursor = if length == 0 {
            None
        } else {
            let at = inner
                .superblock
                .directory_table
                .saturating_add(u64::from(block));
            Some(Cursor::new(inner, at, u64::from(offset))?)
        };
        Ok(Self {
            cursor,
            left: length,
            run: 0,
            block: 0,
        })
    }

    /// Source: `struct squashfs_dir_header` and `struct squashfs_dir_entry`.
    fn next(&mut self) -> Result<Option<Child>, FormatError> {
        let Some(cursor) = self.cursor.as_mut() else {
            return Ok(None);
        };
        if self.run == 0 {
            if self.left == 0 {
                return Ok(None);
            }
            self.left = spend(self.left, 12, cursor)?;
            let count = cursor.u32()?;
            self.block = cursor.u32()?;
            let _number = cursor.u32()?;
            if count >= RUN {
                let what = format!("a directory header for {count} entries; 256 is the most");
                return Err(FormatError::corrupt(NAME, cursor.position(), what));
            }
            self.run = count + 1;
        }
        self.left = spend(self.left, 8, cursor)?;
        let offset = cursor.u16()?;
        let _number = cursor.u16()?;
        let _kind = cursor.u16()?;
        let length = u32::from(cursor.u16()?) + 1;
        if length > 256 {
            let what = format!("a name of {length} bytes; 256 is the most");
            return Err(FormatError::corrupt(NAME, cursor.position(), what));
        }
        self.left = spend(self.left, length, cursor)?;
        let name = cursor.bytes(length as usize)?;
        if name.contains(&b'/') || name == b"." || name == b".." {
            let what = format!("`{}` is no name of a file", escape(&name));
            return Err(FormatError::corrupt(NAME, cursor.position(), what));
        }
        self.run -= 1;
        Ok(Some(Child {
            name,
            inode: u64::from(self.block) << 16 | u64::from(offset),
        }))
    }
}

fn spend(left: u32, bytes: u32, cursor: &Cursor<'_>) -> Result<u32, FormatError> {
    left.checked_sub(bytes).ok_or_else(|| {
        FormatError::corrupt(
            NAME,
            cursor.position(),
            "a directory ends inside of an entry",
        )
    })
}

impl Inner {
    /// Finds `name` in the directory; gives the name and its inode.
    pub(super) fn find(
        &self,
        directory: u64,
        name: &str,
    ) -> Result<Option<(String, u64)>, FormatError> {
        let mut listing = Listing::open(self, directory)?;
        while let Some(child) = listing.next()? {
            let found = child.name == name.as_bytes();
            // An escaped name is looked for in the form in which it was shown.
            if found || name.contains('\\') && escape(&child.name) == name {
                return Ok(Some((name.to_owned(), child.inode)));
            }
        }
        Ok(None)
    }
}

impl Squashfs {
    /// Lists the directory at `path` and reads no other; `None` where none is
    /// there.
    pub(super) fn directory(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        let Some(directory) = self.lookup(path)? else {
            return Ok(None);
        };
        if directory.meta.kind != FileType::Directory {
            return Ok(None);
        }
        let mut tally = Tally::default();
        let mut entries = Vec::new();
        let mut listing = Listing::open(&self.inner, directory.inode)?;
        while let Some(child) = listing.next()? {
            let path = join(&directory.path, &escape(&child.name));
            let at = self.inner.superblock.directory_table;
            let entry = self.entry(path, child.inode)?;
            let text = held(&entry.path, &entry.meta);
            tally.take(&self.inner.limits, NAME, at, text)?;
            entries.push(entry);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Some(entries))
    }
}

/// The walk over a tree: each directory, then what is in it.
pub struct Walk<'a> {
    image: &'a Squashfs,
    /// The open directories from the root down: inode, path, rest of listing.
    open: Vec<(u64, String, Listing<'a>)>,
    tally: Tally,
    failed: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(image: &'a Squashfs) -> Result<Self, FormatError> {
        let root = image.inner.superblock.root_inode;
        let listing = Listing::open(&image.inner, root)?;
        let open = vec![(root, String::new(), listing)];
        Ok(Self {
            image,
            open,
            tally: Tally::default(),
            failed: false,
        })
    }

    fn step(&mut self) -> Result<Option<Entry>, FormatError> {
        loop {
            let Some((_, parent, listing)) = self.open.last_mut() else {
                return Ok(None);
            };
            let Some(child) = listing.next()? else {
                self.open.pop();
                continue;
            };
            let name = escape(&child.name);
            let path = if parent.is_empty() {
                name
            } else {
                format!("{parent}/{name}")
            };
            let limits = &self.image.inner.limits;
            let at = self.image.inner.superblock.directory_table;
            let entry = self.image.entry(path, child.inode)?;
            let text = held(&entry.path, &entry.meta);
            self.tally.take(limits, NAME, at, text)?;
            if entry.meta.kind == FileType::Directory {
                self.descend(&entry, at)?;
            }
            return Ok(Some(entry));
        }
    }

    fn descend(&mut self, entry: &Entry, at: u64) -> Result<(), FormatError> {
        if self.open.iter().any(|(inode, ..)| *inode == entry.inode) {
            let what = format!("`{}` is a directory inside of itself", entry.path);
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let limits = &self.image.inner.limits;
        if self.open.len() >= limits.max_depth as usize || entry.path.len() > limits.max_path {
            return Err(FormatError::Limit {
                format: NAME,
                offset: at,
                limit: "max_depth",
                value: u64::from(limits.max_depth),
                remedy: "no root file system in use is that deep; look at how this one was made",
            });
        }
        let listing = Listing::open(&self.image.inner, entry.inode)?;
        self.open.push((entry.inode, entry.path.clone(), listing));
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, FormatError>;

    /// Gives the next entry; after an error, nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}
