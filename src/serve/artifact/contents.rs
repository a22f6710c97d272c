//! The files of one artifact by their paths, and where their bytes lie.

use super::Choice;
use super::blob::Blob;
use super::layout;
use crate::format::oci::Descriptor;
use crate::format::stored::stored;
use crate::format::tar::Tar;
use crate::format::{Compression, Content, FileType, Limits, Source, Tree};
use crate::image::Image;
use crate::image::oci::{OciLayer, Picture, TITLE, Unpacking};
use crate::model::path::printable;
use crate::model::value::clip;
use crate::serve::error::ServeError;
use crate::serve::found::MAX_ENTRIES;
use crate::serve::judged::Stamp;
use crate::serve::refusal::{Refusal, plain};
use nix::fcntl::{OFlag, open as open_folder};
use nix::sys::stat::Mode;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// What an artifact has.
#[derive(Debug)]
pub struct Contents {
    /// Its files by their paths.
    pub files: BTreeMap<String, Item>,
    /// What there is to say of it.
    pub notes: Vec<String>,
    blobs: Vec<Arc<Blob>>,
}

/// A file of an artifact.
#[derive(Debug)]
pub struct Item {
    /// Its bytes, in their blob.
    pub source: Source,
    /// Their number.
    pub size: u64,
    blob: usize,
}

impl Contents {
    /// Gives the blob that a file lies in, and its state, where it is what its descriptor says.
    pub fn blob(&self, item: &Item) -> Result<(&Blob, Stamp), Refusal> {
        let blob = self.blobs.get(item.blob).ok_or(Refusal::NotThere)?;
        Ok((blob, blob.good()?))
    }

    /// Tells whether a path is that of a folder.
    pub fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).next().is_some()
    }

    /// Gives the files below a folder, by their paths in it.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Item)> {
        let start = match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let from = self.files.range(start.clone()..);
        from.map_while(move |(path, item)| Some((path.strip_prefix(&start)?, item)))
    }

    fn add(&mut self, name: &str, item: Item) -> Result<(), String> {
        let shown = clip(&printable(name), 100);
        let path = match plain(name) {
            Ok(path) if !path.is_empty() && !name.starts_with('/') => path,
            // It is there, and not served, as in a folder.
            Err(Refusal::Hidden) => return Ok(()),
            Ok(_) | Err(_) => {
                return Err(format!(
                    "has a file `{shown}`, which leads out of it, or nowhere"
                ));
            }
        };
        if self.files.insert(path, item).is_some() {
            return Err(format!("has two files `{shown}`"));
        }
        match self.files.len() > MAX_ENTRIES {
            true => Err(format!("has more than {MAX_ENTRIES} files")),
            false => Ok(()),
        }
    }

    /// Adds what a layer has, which lies in the blob that was opened last.
    fn layer(&mut self, layer: &OciLayer, source: Source) -> Result<(), String> {
        let blob = self.blobs.len().saturating_sub(1);
        match &layer.unpacking {
            Unpacking::File(_) if layer.is_packed() => self.archive(&source, blob),
            Unpacking::File(_) => {
                // A layer without a name is none of its files.
                let Some(title) = layer.descriptor.annotations.get(TITLE) else {
                    return Ok(());
                };
                let size = layer.descriptor.size;
                self.add(title, Item { source, size, blob })
            }
            Unpacking::Archive | Unpacking::Stack => self.archive(&source, blob),
            Unpacking::Unsupported(kind) => Err(format!("has a layer of the type {kind}")),
        }
    }

    /// Adds what is packed in an archive that is not compressed, and lies in its blob as it is.
    fn archive(&mut self, source: &Source, blob: usize) -> Result<(), String> {
        let told = |error: crate::format::FormatError| format!("has a broken archive: {error}");
        let head = source.up_to(0, Content::HEAD).map_err(told)?;
        let plain = match Compression::detect(&head) {
            Compression::None => Some(Arc::clone(source)),
            Compression::Gzip => {
                let pieces = stored(source).map_err(told)?;
                pieces.map(|pieces| Arc::new(pieces) as Source)
            }
            Compression::Zstd
            | Compression::Xz
            | Compression::Lz4
            | Compression::Lz4Legacy
            | Compression::Bzip2
            | Compression::Lzma
            | Compression::Lzo => None,
        };
        let plain = plain.ok_or_else(|| {
            "has a compressed archive, of which nothing can be given as it lies there: unpack it \
             into a folder, and serve that"
                .to_owned()
        })?;
        let tar = Tar::open(plain, &Limits::default()).map_err(told)?;
        if let Some(member) = tar.members().iter().find(|member| member.escapes) {
            let shown = clip(&printable(&member.path), 100);
            return Err(format!("has a file `{shown}`, which leads out of it"));
        }
        let mut entries = Vec::new();
        let mut take = |entry| {
            entries.push(entry);
            Ok(())
        };
        tar.list(&mut take).map_err(told)?;
        let mut others = 0_u64;
        for entry in entries {
            match entry.meta.kind {
                FileType::File => {
                    let (source, size) = (tar.open(&entry).map_err(told)?, entry.meta.size);
                    self.add(&entry.path, Item { source, size, blob })?;
                }
                FileType::Directory => {}
                FileType::Symlink
                | FileType::CharDevice
                | FileType::BlockDevice
                | FileType::Fifo
                | FileType::Socket
                | FileType::Unknown => others += 1,
            }
        }
        if others > 0 {
            let what = "of its entries are links or devices, which are not served";
            self.notes.push(format!("{others} {what}"));
        }
        Ok(())
    }

    /// Finds a file where there is to be a folder.
    fn torn(&self) -> Option<&str> {
        let paths = self.files.keys();
        let mut above = paths.flat_map(|path| {
            let ends = path.match_indices('/').map(|(at, _)| at);
            ends.filter_map(|end| path.get(..end))
        });
        above.find(|folder| self.files.contains_key(*folder))
    }
}

/// Opens what a layout leads to. Blobs of what was `had` there are not read again where their files are
/// the same.
///
/// # Errors
/// Says why it is not served.
pub fn open(place: &Path, choice: &Choice, had: Option<&Contents>) -> Result<Contents, ServeError> {
    let broken = |what: String| ServeError::Layout {
        path: place.to_owned(),
        what,
    };
    let image = Image::open(place, Limits::default());
    let image = image.map_err(|error| broken(format!("cannot be read: {error}")))?;
    let oci = image
        .oci()
        .map_err(|error| broken(format!("cannot be read: {error}")))?;
    let oci = oci.ok_or_else(|| {
        broken("is no OCI layout: name the folder of one, with index.json and blobs".to_owned())
    })?;
    let picture =
        layout::choose(oci, choice.reference.as_deref()).map_err(|what| ServeError::Which {
            path: place.to_owned(),
            what,
        })?;
    let digest = layout::digest(&picture).ok_or_else(|| broken("has no manifest".to_owned()))?;
    let said = match (layout::verdict(oci, digest), choice.force) {
        (Ok(said), _) => said,
        (Err(why), true) => format!("warning: {why}"),
        (Err(why), false) => {
            return Err(ServeError::NotGreen {
                path: place.to_owned(),
                why,
            });
        }
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let root = open_folder(place, flags, Mode::empty())
        .map_err(|error| broken(format!("cannot be read: {}", error.desc())))?;
    let had = had.map_or(&[][..], |had| &had.blobs);
    let mut contents = filled(&root, &picture, had).map_err(broken)?;
    let count = match contents.files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let whose = format!("{} of {}: {count}", digest, place.display());
    contents.notes.splice(0..0, [whose, said]);
    Ok(contents)
}

fn filled(root: &OwnedFd, picture: &Picture, had: &[Arc<Blob>]) -> Result<Contents, String> {
    let mut contents = Contents {
        files: BTreeMap::new(),
        notes: Vec::new(),
        blobs: Vec::new(),
    };
    if picture.layers.len() > 1 && picture.is_image() {
        let what = "is an image of several layers, one over the other: unpack it into a folder, and \
                    serve that";
        return Err(what.to_owned());
    }
    for layer in &picture.layers {
        let descriptor: &Descriptor = &layer.descriptor;
        let blob = Blob::open(root, descriptor, had)
            .map_err(|what| format!("is not whole: {what}; build it or pull it again"))?;
        let source = blob.source();
        contents.blobs.push(blob);
        contents.layer(layer, source)?;
    }
    if let Some(folder) = contents.torn() {
        let shown = clip(&printable(folder), 100);
        return Err(format!(
            "has a file `{shown}` and files in a folder of that name"
        ));
    }
    match contents.files.is_empty() {
        true => Err(
            "has no file that has a name: give its layers titles (`format: files` in a recipe)"
                .to_owned(),
        ),
        false => Ok(contents),
    }
}
