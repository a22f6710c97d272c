//! What is in one container of one side.

use std::sync::Arc;

use super::Side;
use crate::format::{Entry, FormatError};
use crate::image::{Image, ImageError};

/// A container, or the merged view of one.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) image: Arc<Image>,
    pub(super) merged: bool,
}

/// Its entries, sorted by the components of their paths.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// Why there are no more of them.
    pub(super) broken: Option<ImageError>,
}

/// What may still be listed on one side, of all containers together: listings
/// of containers inside of one another are held at the same time.
#[derive(Debug)]
pub(super) struct Left {
    entries: u64,
    bytes: u64,
    max_entries: u64,
    max_bytes: u64,
}

impl Left {
    pub(super) fn new(max_entries: u64, max_bytes: u64) -> Self {
        Self {
            entries: max_entries,
            bytes: max_bytes,
            max_entries,
            max_bytes,
        }
    }

    /// Books one entry.
    fn take(&mut self, entry: &Entry) -> Result<(), FormatError> {
        let exceeded = |limit, value, remedy| FormatError::Limit {
            format: "diff",
            offset: 0,
            limit,
            value,
            remedy,
        };
        let Some(entries) = self.entries.checked_sub(1) else {
            let remedy = "compare a part of it, or allow more with --max-entries";
            return Err(exceeded("max_entries", self.max_entries, remedy));
        };
        let Some(bytes) = self.bytes.checked_sub(entry.path.len() as u64) else {
            let remedy = "compare a part of it; all its paths together are too long";
            return Err(exceeded("max_listing", self.max_bytes, remedy));
        };
        (self.entries, self.bytes) = (entries, bytes);
        Ok(())
    }
}

impl Contents {
    /// Gives the format's name.
    pub(super) fn format(&self) -> Result<&'static str, ImageError> {
        Ok(self.image.tree()?.format())
    }

    /// Lists everything. In a merged view an entry's `inode` is its place there.
    pub(super) fn list(&self, left: &mut Left) -> Listing {
        let mut entries = Vec::new();
        let mut take = |entry: Entry| {
            left.take(&entry)?;
            entries.push(entry);
            Ok(())
        };
        let listed = match self.merged {
            false => self.image.tree().and_then(|tree| {
                tree.list(&mut take)
                    .map_err(|error| self.image.failed(error))
            }),
            true => self.image.merged().and_then(|merged| {
                let mut places = merged.entries().iter().enumerate();
                let listed = places.try_for_each(|(place, entry)| {
                    take(Entry {
                        path: entry.path.clone(),
                        meta: entry.meta.clone(),
                        inode: place as u64,
                    })
                });
                listed.map_err(|error| self.image.failed(error))
            }),
        };
        // Most listings come in this order, and sorting those costs nothing.
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        entries.retain(|entry| !entry.path.is_empty());
        Listing {
            entries,
            broken: listed.err(),
        }
    }

    /// Opens a file; `None` is an empty one.
    pub(super) fn open(&self, entry: &Entry) -> Result<Option<Arc<Image>>, ImageError> {
        if entry.meta.size == 0 {
            return Ok(None);
        }
        let opened = match self.merged {
            false => self.image.open_entry(entry),
            true => {
                let merged = self.image.merged()?;
                let place = usize::try_from(entry.inode).unwrap_or(usize::MAX);
                let Some(held) = merged.entries().get(place) else {
                    let error = FormatError::corrupt("view", 0, "no such entry");
                    return Err(self.image.failed(error));
                };
                let meta = Some(held.meta.clone());
                let limits = self.image.limits().clone();
                Image::of_source(
                    &self.image.inside(&held.path),
                    merged.open(held)?,
                    meta,
                    limits,
                )
            }
        };
        match opened {
            Err(ImageError::Empty { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Gives the layer that an entry of a merged view comes from.
    pub(super) fn layer(&self, entry: &Entry) -> Option<&str> {
        if !self.merged {
            return None;
        }
        let merged = self.image.merged().ok()?;
        let place = usize::try_from(entry.inode).ok()?;
        Some(merged.layer(merged.entries().get(place)?))
    }

    /// Gives the address of a path inside.
    pub(super) fn address(&self, path: &str) -> String {
        match path {
            "" => self.image.path().display().to_string(),
            path => self.image.inside(path).display().to_string(),
        }
    }
}

/// Two of something: the first side's, and the second side's.
pub(super) fn of<T>(pair: &[T; 2], side: Side) -> &T {
    match side {
        Side::A => &pair[0],
        Side::B => &pair[1],
    }
}
