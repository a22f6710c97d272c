//! What a Talos initramfs holds: a root file system, and extensions that are
//! listed, present, both or neither.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Segments;
use super::{ImageError, Layer};
use crate::format::extensions::{self, Listed};
use crate::format::initramfs::Located;
use crate::format::squashfs::Squashfs;
use crate::format::{FileType, Limits};

const ROOTFS: &str = "rootfs.sqsh";
const LIST: &str = "extensions.yaml";
const MODULES: &str = "modules.dep.sqsh";
/// A longer list is refused by its reader, which has to see that it is longer.
const MAX_LIST: usize = 2 << 20;
const FIRMWARE: &str = "usr/lib/firmware/";

/// One extension, as `extensions.yaml` lists it, with the squashfs image that
/// belongs to it.
#[derive(Debug, Clone)]
pub struct Extension {
    /// What the list says.
    pub listed: Listed,
    /// Its place in the list, from 0; later ones lie over earlier ones.
    pub position: usize,
    /// The image, opened; `None` where it is missing or cannot be read.
    pub layer: Option<Layer>,
    /// Why the image cannot be read, although its file is there.
    pub problem: Option<ImageError>,
    subject: PathBuf,
}

impl Extension {
    /// Says whether the squashfs file that the list names is there.
    #[must_use]
    pub fn present(&self) -> bool {
        self.layer.is_some() || self.problem.is_some()
    }

    /// Says whether the image brings nothing: it is there and holds only
    /// directories and documents about itself. An extension that consists of
    /// firmware is empty in this sense: Talos moves firmware out of it, see
    /// [`Talos::firmware`].
    ///
    /// Errors where the image is there and cannot be read.
    pub fn empty(&self) -> Result<bool, ImageError> {
        match (&self.layer, &self.problem) {
            (_, Some(problem)) => Err(problem.clone()),
            (Some(layer), None) => Ok(layer.payload(&self.subject)? == 0),
            (None, None) => Ok(true),
        }
    }

    /// Gives all entries of the image; none where it is missing.
    ///
    /// Errors where the image is there and cannot be read.
    pub fn entries(&self) -> Result<&[crate::format::Entry], ImageError> {
        match (&self.layer, &self.problem) {
            (_, Some(problem)) => Err(problem.clone()),
            (Some(layer), None) => layer.entries(&self.subject),
            (None, None) => Ok(&[]),
        }
    }
}

/// The Talos side of an initramfs.
#[derive(Debug, Clone)]
pub struct Talos {
    /// `rootfs.sqsh`; `None` where it is missing.
    pub rootfs: Option<Layer>,
    /// The listed extensions in their order.
    pub extensions: Vec<Extension>,
    /// Whether there is an `extensions.yaml` at all.
    pub has_list: bool,
    /// `modules.dep.sqsh`, which lies over everything.
    pub modules: Option<Layer>,
    /// Squashfs files at the top that no extension names; Talos never mounts
    /// them.
    pub unlisted: Vec<String>,
    /// Names that the list has more than once.
    pub duplicates: Vec<String>,
    /// Firmware files that lie loose in the initramfs.
    pub firmware: Vec<String>,
    subject: PathBuf,
}

impl Talos {
    /// Finds the extension by its `metadata.name`. Of several of one name it
    /// is the last, which lies over the others.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions
            .iter()
            .rev()
            .find(|extension| extension.listed.name == name)
    }

    /// Gives the layers of the merged view from the lowest to the topmost.
    ///
    /// Errors where an extension is there and cannot be read. One whose file
    /// is missing takes no part.
    pub fn layers(&self) -> Result<Vec<&Layer>, ImageError> {
        let mut layers: Vec<&Layer> = self.rootfs.iter().collect();
        for extension in &self.extensions {
            if let Some(problem) = &extension.problem {
                return Err(problem.clone());
            }
            layers.extend(&extension.layer);
        }
        layers.extend(&self.modules);
        Ok(layers)
    }

    /// Gives the text of `/etc/os-release` of the root file system; none where
    /// there is no such file.
    ///
    /// Errors where it is there and cannot be read.
    pub fn os_release(&self) -> Result<String, ImageError> {
        const PATHS: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
        const MAX: usize = 64 << 10;
        let Some(layer) = &self.rootfs else {
            return Ok(String::new());
        };
        let failed = |error| ImageError::format(&self.subject, error);
        for path in PATHS {
            let entry = layer.tree().lookup(path).map_err(failed)?;
            if let Some(entry) = entry.filter(|e| e.meta.kind == FileType::File) {
                let bytes = layer
                    .tree()
                    .open(&entry)
                    .and_then(|file| file.up_to(0, MAX));
                return Ok(String::from_utf8_lossy(&bytes.map_err(failed)?).into_owned());
            }
        }
        Ok(String::new())
    }

    pub(super) fn read(
        initramfs: &Segments,
        subject: &Path,
        limits: &Limits,
    ) -> Result<Option<Self>, ImageError> {
        let failed = |error| ImageError::format(subject, error);
        let entries = initramfs.held().map_err(failed)?;
        let find = |path: &str| {
            let mut last = entries.iter().rev();
            last.find(|located| located.entry.path == path)
        };
        if find(ROOTFS).is_none() && find(LIST).is_none() {
            return Ok(None);
        }
        let open = |image: &str, name: &str| {
            let located = find(image)?;
            let opened = initramfs
                .content(located)
                .and_then(|source| Squashfs::open(source, limits))
                .map(|squashfs| Layer::new(name, image, Arc::new(squashfs)))
                .map_err(|error| failed(error.inside(image)));
            Some(opened)
        };
        let listed = match find(LIST) {
            Some(located) => initramfs
                .content(located)
                .and_then(|list| list.up_to(0, MAX_LIST))
                .and_then(|list| extensions::read(&list, limits))
                .map_err(failed)?,
            None => Vec::new(),
        };
        let mut duplicates: Vec<String> = Vec::new();
        for (at, layer) in listed.iter().enumerate() {
            let earlier = listed.iter().take(at).any(|other| other.name == layer.name);
            if earlier && !duplicates.contains(&layer.name) {
                duplicates.push(layer.name.clone());
            }
        }
        let extension = |(position, listed): (usize, Listed)| {
            let (layer, problem) = match open(&in_archive(&listed), &listed.name) {
                Some(Ok(layer)) => (Some(layer), None),
                Some(Err(problem)) => (None, Some(problem)),
                None => (None, None),
            };
            Extension {
                listed,
                position,
                layer,
                problem,
                subject: subject.to_owned(),
            }
        };
        let extensions: Vec<Extension> = listed.into_iter().enumerate().map(extension).collect();
        Ok(Some(Self {
            rootfs: open(ROOTFS, ROOTFS).transpose()?,
            modules: open(MODULES, MODULES).transpose()?,
            has_list: find(LIST).is_some(),
            unlisted: unlisted(entries, &extensions),
            firmware: firmware(entries),
            subject: subject.to_owned(),
            extensions,
            duplicates,
        }))
    }
}

/// Gives the path at which an extension's image is in the archive.
fn in_archive(listed: &Listed) -> String {
    crate::format::node::normalise(listed.image.as_bytes()).path
}

fn unlisted(entries: &[Located], extensions: &[Extension]) -> Vec<String> {
    let named: Vec<String> = extensions
        .iter()
        .map(|extension| in_archive(&extension.listed))
        .collect();
    let mut names: Vec<String> = entries
        .iter()
        .map(|located| &located.entry.path)
        .filter(|path| path.ends_with(".sqsh") && !path.contains('/'))
        .filter(|path| *path != ROOTFS && *path != MODULES)
        .filter(|path| !named.contains(path))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

fn firmware(entries: &[Located]) -> Vec<String> {
    entries
        .iter()
        .map(|located| &located.entry)
        .filter(|entry| entry.meta.kind != FileType::Directory && entry.path.starts_with(FIRMWARE))
        .map(|entry| entry.path.clone())
        .collect()
}
