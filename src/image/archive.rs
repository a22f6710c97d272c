//! The entries of an initramfs as a tree: what the kernel leaves after it has
//! unpacked every segment.

use std::sync::Arc;

use crate::format::initramfs::Initramfs;
use crate::format::tree::Visit;
use crate::format::{Entry, FileType, FormatError, Source, Tree};

/// The tree of a decoded initramfs. An entry's `inode` is its place among all
/// entries of all segments.
#[derive(Debug)]
pub(super) struct Archive {
    initramfs: Arc<Initramfs>,
    /// The places of the entries that last, sorted by path. Of several at one
    /// path that is the last, which the kernel lets win.
    lasting: Vec<usize>,
}

impl Archive {
    pub(super) fn new(initramfs: Arc<Initramfs>) -> Self {
        let entries = initramfs.entries();
        let path = |place: &usize| entries.get(*place).map(|located| &located.entry.path);
        let mut lasting: Vec<usize> = (0..entries.len()).collect();
        lasting.sort_by(|a, b| path(a).cmp(&path(b)).then(b.cmp(a)));
        lasting.dedup_by(|later, kept| path(later) == path(kept));
        Self { initramfs, lasting }
    }

    fn entry(&self, place: usize) -> Option<Entry> {
        let entry = &self.initramfs.entries().get(place)?.entry;
        Some(Entry {
            path: entry.path.clone(),
            meta: entry.meta.clone(),
            inode: place as u64,
        })
    }
}

impl Tree for Archive {
    fn format(&self) -> &'static str {
        "initramfs"
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let entries = self.lasting.iter().filter_map(|place| self.entry(*place));
        entries
            .filter(|entry| !entry.path.is_empty())
            .try_for_each(visit)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        let entries = self.initramfs.entries();
        let held = |place: &usize| entries.get(*place).map_or("", |l| l.entry.path.as_str());
        let found = self.lasting.binary_search_by(|place| held(place).cmp(path));
        let place = found.ok().and_then(|at| self.lasting.get(at));
        Ok(place.and_then(|place| self.entry(*place)))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let place = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        let located = self.initramfs.entries().get(place);
        match located.filter(|located| located.entry.meta.kind == FileType::File) {
            Some(located) => Ok(Arc::new(self.initramfs.content(located))),
            None => {
                let what = format!("`{}` is no file", entry.path);
                Err(FormatError::corrupt("initramfs", 0, what))
            }
        }
    }
}
