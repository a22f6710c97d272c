//! ISO 9660 images with Rock Ridge or Joliet, read in place; their boot images
//! and partitions.
//!
//! Opening reads the volume descriptors and the root directory's record of
//! itself; a path costs the directories on its way. A node's number is the byte
//! offset of its directory record in the image, so each of several hard links
//! has its own number, as under Linux.
//!
//! The tree is the one that Linux shows when it mounts the image with default
//! options: that of Rock Ridge where it is there and named (an `ER` entry);
//! else that of Joliet, where names differ by more than the case of letters;
//! else plain names in lower case, without `;1`. What is not told by Rock Ridge
//! is owned by root and has the modes 0555. Associated files are left out.
//!
//! Beside the files stands a folder `.boot` with what firmware starts from the
//! image: the images of the El Torito catalogue by platform (`efi.img`,
//! `bios.img`), then the partitions by name. An image that is a file of the tree
//! as well is a link to it; a partition that begins where an image of the
//! catalogue does is that image; a partition that holds the tree itself is left
//! out.
//!
//! Sources: ECMA-119, 4th edition; for the extensions see the parts.

mod boot;
mod date;
mod eltorito;
mod record;
mod rock;
mod susp;
mod volume;
mod zisofs;

use std::sync::{Arc, OnceLock};

pub use boot::Part;
pub use eltorito::{Catalogue, Emulation, Image};
pub use volume::Volume;

use super::node::escape;
use super::partition::Table;
use super::tree::{self, Child, Directories, Entry, Tree, Visit};
use super::{FileType, FormatError, Limits, Metadata, Pieces, Source};
use boot::Boot;
use record::Record;
use rock::{Announced, Form, Rock};
use volume::Volumes;

const NAME: &str = "iso";
/// Bytes of a logical sector.
const SECTOR: u64 = 2048;
/// Numbers of what is no directory record: no image is that large.
const BOOT: u64 = 1 << 62;

/// Where the names of the tree are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// From Rock Ridge, with modes, owners and links.
    RockRidge,
    /// From Joliet.
    Joliet,
    /// From ISO 9660 itself.
    Plain,
}

impl Naming {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RockRidge => "rock-ridge",
            Self::Joliet => "joliet",
            Self::Plain => "plain",
        }
    }
}

/// An open ISO 9660 image.
#[derive(Debug)]
pub struct Iso {
    source: Source,
    volumes: Volumes,
    announced: Announced,
    naming: Naming,
    /// Where the root directory begins.
    root: u64,
    /// Bytes of a logical block.
    block: u64,
    boot: OnceLock<Result<Boot, FormatError>>,
    limits: Limits,
}

impl Iso {
    /// Opens the image that `source` begins with.
    ///
    /// Errors with [`FormatError::Corrupt`] where there is no primary volume
    /// descriptor or no root directory, and with [`FormatError::Truncated`]
    /// where the image is shorter than its volume.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let volumes = Volumes::read(&*source)?;
        let mut iso = Self {
            announced: Announced::default(),
            naming: Naming::Plain,
            root: volumes.primary.root,
            block: volumes.primary.block,
            source,
            volumes,
            boot: OnceLock::new(),
            limits: limits.clone(),
        };
        iso.whole()?;
        let root = iso.own_record(iso.root)?;
        iso.announced = Announced::read(&iso, &root)?;
        // As Linux decides, which also knows discs whose first tree was left empty.
        let rock = iso.announced.skip.is_some();
        let joliet = iso.volumes.joliet.as_ref().map(|j| (j.root, j.block));
        match joliet {
            Some(joliet) if !(rock && iso.announced.named) || iso.is_empty(&root)? => {
                (iso.root, iso.block) = joliet;
                iso.naming = Naming::Joliet;
                iso.own_record(iso.root)?;
            }
            Some(_) | None if rock => iso.naming = Naming::RockRidge,
            Some(_) | None => {}
        }
        Ok(iso)
    }

    /// Gives the primary volume descriptor.
    #[must_use]
    pub fn volume(&self) -> &Volume {
        &self.volumes.primary
    }

    /// Tells whether there is a second tree with the names of Joliet.
    #[must_use]
    pub fn has_joliet(&self) -> bool {
        self.volumes.joliet.is_some()
    }

    /// Tells whether the first tree has the attributes of Rock Ridge.
    #[must_use]
    pub fn has_rock_ridge(&self) -> bool {
        self.announced.skip.is_some()
    }

    /// Tells where the names of the tree are from.
    #[must_use]
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Gives the El Torito boot catalogue; `None` where the image has none.
    ///
    /// Errors where it cannot be read.
    pub fn catalogue(&self) -> Result<Option<&Catalogue>, FormatError> {
        Ok(self.boot()?.catalogue.as_ref())
    }

    /// Gives the partition table; `None` where the image has none.
    ///
    /// Errors where it contradicts itself.
    pub fn table(&self) -> Result<Option<&Table>, FormatError> {
        Ok(self.boot()?.table.as_ref())
    }

    /// Gives what is in `.boot`, and the images that are files of the tree.
    ///
    /// Errors where catalogue, partition table or, to know which file an image
    /// is, a directory cannot be read.
    pub fn parts(&self) -> Result<&[Part], FormatError> {
        Ok(&self.boot()?.parts)
    }

    /// Opens the bytes of a part.
    #[must_use]
    pub fn content(&self, part: &Part) -> Source {
        Pieces::range(&self.source, part.start, part.size)
    }

    /// Counts files, folders and links, `.boot` left out.
    ///
    /// Errors where a directory cannot be read.
    pub fn count(&self) -> Result<u64, FormatError> {
        let mut count = 0;
        tree::list(&Files(self), &mut |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    fn boot(&self) -> Result<&Boot, FormatError> {
        let boot = self.boot.get_or_init(|| Boot::read(self));
        boot.as_ref().map_err(Clone::clone)
    }

    fn part(&self, node: u64) -> Result<&Part, FormatError> {
        let parts = self.parts()?;
        let index = usize::try_from(node.saturating_sub(BOOT + 1)).unwrap_or(usize::MAX);
        parts
            .get(index)
            .ok_or_else(|| FormatError::corrupt(NAME, 0, "there is no such boot image"))
    }

    /// Errors where the volume does not end inside of the image.
    fn whole(&self) -> Result<(), FormatError> {
        let size = self.volumes.primary.size;
        if self.source.up_to(size.saturating_sub(1), 1)?.is_empty() {
            let length = self.source.size()?;
            let what = format!("the volume has {size} bytes, only {length} are here");
            return Err(FormatError::truncated(NAME, length, what));
        }
        Ok(())
    }

    fn is_empty(&self, directory: &Record) -> Result<bool, FormatError> {
        let mut empty = true;
        self.records(directory, |_| {
            empty = false;
            Ok(())
        })?;
        Ok(empty)
    }

    fn rock(&self, record: &Record) -> Result<Rock, FormatError> {
        match (self.naming, self.announced.skip) {
            (Naming::RockRidge, Some(skip)) => Rock::read(self, record, skip),
            (Naming::RockRidge | Naming::Joliet | Naming::Plain, _) => Ok(Rock::default()),
        }
    }

    /// Lists the files of a directory, without `.boot`.
    fn files(&self, node: u64) -> Result<Vec<Child>, FormatError> {
        let directory = self.record(node)?;
        if !directory.is_directory() {
            return Err(FormatError::corrupt(NAME, node, "this is no directory"));
        }
        let mut children = Vec::new();
        self.records(&directory, |record| {
            if children.len() as u64 >= self.limits.max_entries {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: record.at,
                    limit: "max_entries",
                    value: self.limits.max_entries,
                    remedy: "no image in use is that large; look at how this one was made",
                });
            }
            let rock = self.rock(&record)?;
            // It stands where its `CL` entry is.
            if rock.relocated {
                return Ok(());
            }
            let node = match rock.child {
                Some(block) => u64::from(block) * self.block,
                None => record.at,
            };
            let name = if rock.name.is_empty() {
                record.shown(self.naming)
            } else {
                rock.name
            };
            children.push(Child { name, node });
            Ok(())
        })?;
        Ok(children)
    }

    fn file_meta(&self, node: u64) -> Result<Metadata, FormatError> {
        let record = self.record(node)?;
        let rock = self.rock(&record)?;
        let kind = if record.is_directory() {
            FileType::Directory
        } else {
            FileType::File
        };
        let mut meta = Metadata::plain(kind, record.size);
        meta.mode = kind.mode_bits() | 0o555;
        meta.mtime = rock.mtime.unwrap_or(record.mtime);
        if let (Some(mode), Some([_, nlink, uid, gid])) = (rock.mode(), rock.attributes) {
            meta.kind = FileType::of_mode(mode);
            (meta.mode, meta.nlink, meta.uid, meta.gid) = (mode, nlink, uid, gid);
        }
        match meta.kind {
            FileType::Symlink => {
                meta.size = rock.target.len() as u64;
                meta.target = Some(escape(&rock.target));
            }
            FileType::CharDevice | FileType::BlockDevice => meta.device = rock.device,
            FileType::File => {
                meta.size = match rock.form {
                    Some(Form::Zisofs { size, .. }) => u64::from(size),
                    Some(Form::Sparse | Form::Compressed) => record.size,
                    None => {
                        let sections = self.sections(&record)?;
                        sections.iter().map(|section| section.length).sum()
                    }
                };
            }
            FileType::Directory | FileType::Fifo | FileType::Socket | FileType::Unknown => {}
        }
        Ok(meta)
    }
}

/// The files alone, without `.boot`.
struct Files<'a>(&'a Iso);

impl Directories for Files<'_> {
    const NAME: &'static str = NAME;

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn root(&self) -> u64 {
        self.0.root
    }

    fn meta(&self, node: u64) -> Result<Metadata, FormatError> {
        self.0.file_meta(node)
    }

    fn children(&self, node: u64) -> Result<Vec<Child>, FormatError> {
        self.0.files(node)
    }
}

impl Directories for Iso {
    const NAME: &'static str = NAME;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn root(&self) -> u64 {
        self.root
    }

    fn meta(&self, node: u64) -> Result<Metadata, FormatError> {
        match node {
            BOOT => Ok(Metadata::plain(FileType::Directory, 0)),
            node if node > BOOT => Ok(self.part(node)?.metadata()),
            node => self.file_meta(node),
        }
    }

    fn children(&self, node: u64) -> Result<Vec<Child>, FormatError> {
        if node == BOOT {
            let names = self.boot()?.names();
            let children = names.map(|(index, name)| Child {
                name: name.as_bytes().to_vec(),
                node: BOOT + 1 + index,
            });
            return Ok(children.collect());
        }
        let mut children = self.files(node)?;
        if node == self.root && boot::is_there(self)? {
            children.push(Child {
                name: boot::folder(&children).into_bytes(),
                node: BOOT,
            });
        }
        Ok(children)
    }

    /// Only the names of Joliet differ by more than the case of letters, as
    /// under Linux.
    fn same(&self, stored: &[u8], asked: &str) -> bool {
        let stored = escape(stored);
        stored == asked
            || self.naming == Naming::Joliet && stored.to_lowercase() == asked.to_lowercase()
    }
}

impl Tree for Iso {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        tree::list(self, visit)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        tree::lookup(self, path)
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        tree::children(self, path)
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        if entry.meta.kind != FileType::File {
            let what = format!("`{}` is no file", entry.path);
            return Err(FormatError::corrupt(NAME, entry.inode, what));
        }
        if entry.inode > BOOT {
            return Ok(self.content(self.part(entry.inode)?));
        }
        let record = self.record(entry.inode)?;
        let unsupported = |what: &str| {
            let what = format!("`{}` is {what}", entry.path);
            Err(FormatError::unsupported(NAME, record.at, what))
        };
        let form = self.rock(&record)?.form;
        let stored = Pieces::new(Arc::clone(&self.source), self.sections(&record)?);
        match form {
            None => Ok(Arc::new(stored)),
            Some(Form::Sparse) => {
                unsupported("stored as a sparse file, which Linux does not read either")
            }
            Some(Form::Compressed) => unsupported("compressed in a way that is no zisofs"),
            Some(Form::Zisofs {
                header,
                block,
                size,
            }) => zisofs::open(Arc::new(stored), header, block, size),
        }
    }
}
