//! The walk through an image, into everything that is a container itself.
//!
//! Each container is listed once and each file in it is looked at once, several
//! at a time; what could not be read stands in its place with the reason, and
//! the walk goes on beside it.

use std::sync::Arc;
use std::time::Instant;

use super::item::Item;
use super::weight::Weight;
use crate::format::elf::Elf;
use crate::format::{Content, Entry, FileType, parallel};
use crate::image::{Image, ImageError};
use crate::model::Sha256Digest;

/// How a walk goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Containers that are entered below one another.
    pub depth: usize,
    /// Whether the digest of each file is made, which decodes all of it.
    pub digests: bool,
    /// Entries that are shown, of all containers together.
    pub max_entries: u64,
}

/// What a walk came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Entries of all containers.
    pub entries: u64,
    /// Containers that were entered.
    pub containers: u64,
    /// Parts that could not be read in full.
    pub troubles: u64,
    /// Where the bytes are.
    pub weight: Weight,
}

/// Takes the items of a walk in their order.
pub type Show<'s> = dyn FnMut(&Item) + 's;

/// Walks through an image; each item is shown as soon as it and those before it
/// are known. A container's trouble that shows only inside of it comes as an
/// item of its own behind what could be read.
pub fn walk(root: &Arc<Image>, options: &Options, show: &mut Show<'_>) -> Summary {
    let mut walk = Walk {
        options,
        show,
        summary: Summary::default(),
    };
    let mut item = Item {
        depth: 0,
        path: String::new(),
        address: root.path().display().to_string(),
        entry: None,
        kind: if root.content().is_some() {
            FileType::File
        } else {
            FileType::Directory
        },
        size: 0,
        what: "",
        detail: None,
        sha256: None,
        container: false,
        trouble: None,
    };
    look_at(root, &mut item, options);
    if root.content().is_none() {
        item.what = "folder";
        item.container = true;
    }
    walk.item(&item, Some(root));
    walk.summary
}

struct Walk<'w> {
    options: &'w Options,
    show: &'w mut Show<'w>,
    summary: Summary,
}

impl Walk<'_> {
    /// Shows an item and what is in it.
    fn item(&mut self, item: &Item, image: Option<&Arc<Image>>) {
        if item.trouble.is_some() {
            self.summary.troubles += 1;
        }
        (self.show)(item);
        self.summary.weight.add(item);
        if let Some(image) = image.filter(|_| item.container) {
            self.inside(item, image);
        }
    }

    fn inside(&mut self, outer: &Item, image: &Arc<Image>) {
        self.summary.containers += 1;
        let mut entries = Vec::new();
        let left = self
            .options
            .max_entries
            .saturating_sub(self.summary.entries);
        let mut trouble = None;
        let listed = image.tree().and_then(|tree| {
            tree.expect_reads();
            tree.list(&mut |entry| {
                if entries.len() as u64 >= left {
                    return Err(crate::format::FormatError::Limit {
                        format: "walk",
                        offset: 0,
                        limit: "max_entries",
                        value: self.options.max_entries,
                        remedy: "look at a part of it, or allow more with --max-entries",
                    });
                }
                entries.push(entry);
                Ok(())
            })
            .map_err(|error| image.failed(error))
        });
        if let Err(error) = listed {
            trouble = Some(error);
        }
        self.summary.entries += entries.len() as u64;
        // The listing's own order keeps a directory before what is in it; sorting by path does too,
        // and two walks of one image show the same.
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        for part in entries.chunks(PART) {
            let look = |entry: &_| seen(image, outer, entry, self.options);
            let seen = parallel::map(part, 1, look);
            for (item, image) in &seen {
                self.item(item, image.as_ref());
            }
        }
        if let Some(error) = trouble {
            self.summary.troubles += 1;
            let item = Item {
                depth: outer.depth + 1,
                path: String::new(),
                entry: None,
                kind: FileType::Unknown,
                size: 0,
                what: "",
                detail: None,
                sha256: None,
                container: false,
                trouble: Some(error.to_string()),
                address: outer.address.clone(),
            };
            (self.show)(&item);
        }
    }
}

/// How many files are looked at before the first of them is shown.
const PART: usize = 128;

/// Looks at one entry: what it is, and whether something is in it.
fn seen(
    container: &Arc<Image>,
    outer: &Item,
    entry: &Entry,
    options: &Options,
) -> (Item, Option<Arc<Image>>) {
    let mut item = Item {
        depth: outer.depth + 1,
        path: entry.path.clone(),
        address: format!("{}!/{}", outer.address, entry.path),
        kind: entry.meta.kind,
        size: if entry.meta.kind == FileType::Directory {
            0
        } else {
            entry.meta.size
        },
        what: "",
        detail: None,
        sha256: None,
        container: false,
        trouble: None,
        entry: Some(entry.clone()),
    };
    if entry.meta.kind != FileType::File {
        return (item, None);
    }
    if let Some(deadline) = container.limits().deadline
        && Instant::now() >= deadline
    {
        item.trouble =
            Some("its time was over before this was read; allow more with --timeout".to_owned());
        return (item, None);
    }
    if entry.meta.size == 0 {
        item.what = "empty";
        item.sha256 = options.digests.then(|| Sha256Digest::of(b""));
        return (item, None);
    }
    match container.open_entry(entry) {
        Ok(image) => {
            look_at(&image, &mut item, options);
            // What is no container is not kept: each open file holds decoded blocks.
            let container = item.container.then_some(image);
            (item, container)
        }
        Err(error) => {
            item.trouble = Some(error.to_string());
            (item, None)
        }
    }
}

/// Fills in what an opened file is.
fn look_at(image: &Arc<Image>, item: &mut Item, options: &Options) {
    if let Err(error) = try_look_at(image, item, options) {
        item.trouble = Some(error.to_string());
        item.container = false;
    }
}

fn try_look_at(image: &Arc<Image>, item: &mut Item, options: &Options) -> Result<(), ImageError> {
    let Some(content) = image.content() else {
        return Ok(());
    };
    if item.entry.is_none() {
        item.size = image.size()?;
    }
    item.what = name_of(image);
    if options.digests {
        item.sha256 = Some(image.digest()?);
    }
    if content == Content::Elf {
        let elf = Elf::read(&**image.source()?).map_err(|error| image.failed(error))?;
        // Its sections are no files.
        item.detail = Some(elf.machine);
        return Ok(());
    }
    if content == Content::Unknown && !image.is_initramfs()? {
        return Ok(());
    }
    if let Content::Compressed(_) = content {
        item.detail = Some(match image.decoded()? {
            Some(decoded) => name_of(decoded).to_owned(),
            None => "initramfs".to_owned(),
        });
    }
    if item.depth >= options.depth {
        return Ok(());
    }
    match image.tree() {
        Ok(tree) => {
            item.container = true;
            item.detail.get_or_insert_with(|| tree.format().to_owned());
            if item.detail.as_deref() == Some(item.what) {
                item.detail = None;
            }
            Ok(())
        }
        Err(ImageError::NoTree { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Names what a file is by its content.
pub(super) fn name_of(image: &Arc<Image>) -> &'static str {
    match image.content() {
        Some(Content::Unknown) if is_text(&image.head()) => "text",
        Some(Content::Unknown) => "data",
        Some(known) => known.name(),
        None => "folder",
    }
}

fn is_text(head: &[u8]) -> bool {
    let start = head.get(..head.len().min(1024)).unwrap_or_default();
    let whole = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    whole && !start.iter().any(|byte| *byte < 9)
}
