//! The folder `.boot`: the images of the boot catalogue, and the partitions of
//! an image that is a disk as well.

use std::collections::HashMap;

use super::eltorito::{Catalogue, Emulation, Image};
use super::{Files, Iso, SECTOR};
use crate::format::fat::Fat;
use crate::format::field::le16;
use crate::format::names::Names;
use crate::format::node::escape;
use crate::format::partition::{Partition, Table};
use crate::format::tree::{self, Child};
use crate::format::{Content, FileType, FormatError, Metadata, Pieces, ReadAt, Source, partitions};

/// Where the volume descriptors begin.
const DESCRIPTORS: u64 = 16 * SECTOR;

/// What firmware finds on the image.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) catalogue: Option<Catalogue>,
    pub(super) table: Option<Table>,
    pub(super) parts: Vec<Part>,
}

/// One boot image or partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the folder `.boot`, different from all others.
    pub name: String,
    /// The path in the tree that leads to its bytes: in `.boot`, or that of
    /// the file that it is.
    pub path: String,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its real bytes, whatever the catalogue says: those of the file that it
    /// is, of the partition that begins there, or of the file system in it.
    pub size: u64,
    /// The place in the catalogue, of an image of it.
    pub image: Option<usize>,
    /// The place in the partition table, of a partition.
    pub partition: Option<usize>,
    /// The file of the tree that it is.
    file: Option<String>,
}

impl Part {
    pub(super) fn metadata(&self) -> Metadata {
        let Some(file) = &self.file else {
            return Metadata::plain(FileType::File, self.size);
        };
        let target = format!("../{file}");
        Metadata {
            mode: FileType::Symlink.mode_bits() | 0o777,
            target: Some(target.clone()),
            ..Metadata::plain(FileType::Symlink, target.len() as u64)
        }
    }
}

/// Tells whether there is a catalogue or a partition table at all.
pub(super) fn is_there(iso: &Iso) -> Result<bool, FormatError> {
    Ok(iso.volumes.catalogue.is_some() || has_table(&*iso.source)?)
}

fn has_table(source: &dyn ReadAt) -> Result<bool, FormatError> {
    let start = source.up_to(0, 4096 + 8)?;
    let gpt = [512, 4096].iter().any(|at| {
        start
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(b"EFI PART"))
    });
    Ok(gpt || le16(&start, 510) == Some(0xaa55))
}

/// Gives the folder's name, which no file beside it has.
pub(super) fn folder(beside: &[Child]) -> String {
    let mut names = Names::default();
    for child in beside {
        names.unique(escape(&child.name));
    }
    names.unique(".boot".to_owned())
}

impl Boot {
    pub(super) fn read(iso: &Iso) -> Result<Self, FormatError> {
        let source = &*iso.source;
        let catalogue = iso
            .volumes
            .catalogue
            .map(|sector| Catalogue::read(source, sector));
        let catalogue = catalogue.transpose()?;
        let table = match has_table(source)? {
            true => Some(partitions::read(source, &iso.limits)?),
            false => None,
        };
        let mut boot = Self {
            catalogue,
            table,
            parts: Vec::new(),
        };
        boot.parts = boot.find(iso)?;
        Ok(boot)
    }

    /// Gives the places and the names of what is in the folder.
    pub(super) fn names(&self) -> impl Iterator<Item = (u64, &str)> {
        (0..).zip(self.parts.iter().map(|part| part.name.as_str()))
    }

    fn find(&self, iso: &Iso) -> Result<Vec<Part>, FormatError> {
        let images = self.catalogue.as_ref().map_or(&[][..], |c| &c.images);
        let listed = self.table.as_ref().map_or(&[][..], |t| &t.partitions);
        let files = files(iso, images)?;
        let folder = folder(&iso.files(iso.root)?);
        let mut names = Names::default();
        let mut parts: Vec<Part> = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let name = names.unique(format!("{}.img", image.platform_name()));
            let partition = listed
                .iter()
                .position(|p| p.start == image.start && p.size > 0);
            let file = files.get(&image.start);
            let size = match (file, partition.and_then(|place| listed.get(place))) {
                (Some((_, size)), _) => *size,
                (None, Some(partition)) => partition.size,
                (None, None) => real_size(iso, image)?,
            };
            parts.push(Part {
                path: match file {
                    Some((path, _)) => path.clone(),
                    None => format!("{folder}/{name}"),
                },
                name,
                start: image.start,
                size,
                image: Some(index),
                partition,
                file: file.map(|(path, _)| path.clone()),
            });
        }
        for (index, partition) in listed.iter().enumerate() {
            let known = parts.iter().any(|part| part.start == partition.start);
            if known || partition.size == 0 || holds_the_tree(iso, partition)? {
                continue;
            }
            let name = names.unique(partition.name.clone());
            parts.push(Part {
                path: format!("{folder}/{name}"),
                name,
                start: partition.start,
                size: partition.size,
                image: None,
                partition: Some(index),
                file: None,
            });
        }
        Ok(parts)
    }
}

/// Tells whether a partition is the image over again: with `isohybrid` it
/// begins with the image, with `-partition_offset` it has descriptors of its own.
fn holds_the_tree(iso: &Iso, partition: &Partition) -> Result<bool, FormatError> {
    if partition.start <= DESCRIPTORS {
        return Ok(true);
    }
    let range = Pieces::range(&iso.source, partition.start, partition.size);
    // What lies behind the end of the image is told to whoever reads the partition.
    let head = range.up_to(0, Content::HEAD).unwrap_or_default();
    Ok(Content::detect(&head) == Content::Iso)
}

/// Finds the files that images of the catalogue are, by where they begin.
fn files(iso: &Iso, images: &[Image]) -> Result<HashMap<u64, (String, u64)>, FormatError> {
    let mut found = HashMap::new();
    if images.is_empty() {
        return Ok(found);
    }
    tree::list(&Files(iso), &mut |entry| {
        if entry.meta.kind != FileType::File || entry.meta.size == 0 {
            return Ok(());
        }
        let start = iso.record(entry.inode)?.start;
        if images.iter().any(|image| image.start == start) {
            let size = entry.meta.size;
            found.entry(start).or_insert((entry.path, size));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives the size of an image that is neither a file nor a partition.
fn real_size(iso: &Iso, image: &Image) -> Result<u64, FormatError> {
    let rest = iso.source.size()?.saturating_sub(image.start);
    let range = Pieces::range(&iso.source, image.start, rest);
    let head = range.up_to(0, Content::HEAD)?;
    if Content::detect(&head) == Content::Fat {
        return Ok(Fat::open(Source::clone(&range), &iso.limits)?.boot().size);
    }
    Ok(match image.emulation {
        Emulation::Floppy(size) => size,
        // UEFI takes 0 and 1 sector for "to the end" (§13.3.2.1).
        Emulation::None | Emulation::HardDisk | Emulation::Unknown(_) if image.load <= 512 => rest,
        Emulation::None | Emulation::HardDisk | Emulation::Unknown(_) => image.load,
    })
}
