//! What a check of extensions looks at: the extensions, and the root file system they become a
//! part of.

use super::super::ProbeError;
use crate::format::{Entry, FileType, Tree};
use crate::image::{Extension, Image, ImageError, Merged, MergedEntry, Pattern, Talos};
use std::path::Path;
use std::sync::Arc;

/// The name of the layer under all extensions.
const BASE: &str = "rootfs.sqsh";
/// The layer that Talos's imager adds over all extensions; it lists it as one of them.
const DEPENDENCIES: &str = "modules.dep.sqsh";

/// Extensions, and what is around them.
pub(super) struct Scope<'a> {
    /// The root file system of the machine; of an image that is not installed, its own.
    pub view: &'a Merged,
    /// What the root file system without extensions holds; `None` where it is not at hand.
    pub base: Option<Part<'a>>,
    /// The extensions that the check is about.
    pub parts: Vec<Part<'a>>,
    /// Every extension, the lowest first.
    pub all: Vec<Part<'a>>,
    /// How often the archive holds the squashfs image of each extension that the check is about.
    pub images: Vec<(&'a str, u64)>,
}

/// What one layer brings.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The name of the extension, or of the root file system's file.
    pub name: &'a str,
    /// All its entries.
    pub entries: &'a [Entry],
    /// The tree that opens them.
    pub tree: &'a Arc<dyn Tree>,
}

impl<'a> Scope<'a> {
    /// Looks at one extension of an initramfs, or at all.
    ///
    /// Gives `None` where there is nothing to look into: the extension or its image is missing, or
    /// there is none at all.
    ///
    /// # Errors
    /// Where an image is there and cannot be read: it might hold anything.
    pub fn installed(
        image: &'a Image,
        talos: &'a Talos,
        name: Option<&str>,
    ) -> Result<Option<Self>, ProbeError> {
        let mut all = Vec::new();
        let mut parts = Vec::new();
        let mut images = Vec::new();
        let named = name
            .and_then(|name| talos.extension(name))
            .map(|e| e.position);
        for extension in &talos.extensions {
            let Some(part) = Part::of(extension)? else {
                continue;
            };
            let dependencies = extension.listed.image.ends_with(DEPENDENCIES);
            let wanted = match name {
                Some(_) => named == Some(extension.position),
                None => !dependencies,
            };
            if wanted {
                parts.push(part);
                images.push((extension.listed.image.as_str(), times(image, extension)?));
            }
            if wanted || !dependencies {
                all.push(part);
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let base = match &talos.rootfs {
            Some(layer) => Some(Part {
                name: BASE,
                entries: layer.entries(image.path())?,
                tree: layer.tree(),
            }),
            None => None,
        };
        Ok(Some(Self {
            view: image.merged()?,
            base,
            parts,
            all,
            images,
        }))
    }

    /// Tells whether the root file system is at hand: whether what an extension does not bring
    /// itself can be looked for.
    pub fn is_whole(&self) -> bool {
        self.base.is_some()
    }

    /// Gives the extension, of those looked at, that an entry of the view came from.
    pub fn owner(&self, entry: &MergedEntry) -> Option<&'a str> {
        self.named(self.view.layer(entry))
    }

    /// Gives the extension, of those looked at, that a layer of the view is.
    pub fn named(&self, layer: &str) -> Option<&'a str> {
        // The view of an image by itself is one layer, which has another name.
        match (
            self.is_whole() || self.view.layers().len() > 1,
            self.parts.as_slice(),
        ) {
            (false, [only]) => Some(only.name),
            _ => self.parts.iter().find(|p| p.name == layer).map(|p| p.name),
        }
    }

    /// Gives the entries of the view that come from the extensions looked at.
    pub fn owned(&self) -> impl Iterator<Item = (&'a str, &'a MergedEntry)> {
        let entries = self.view.entries().iter();
        entries.filter_map(|entry| Some((self.owner(entry)?, entry)))
    }

    /// Gives all that the extensions looked at bring, whatever lies over it.
    pub fn brought(&self) -> impl Iterator<Item = (Part<'a>, &'a Entry)> {
        let entries = |part: &Part<'a>| {
            let part = *part;
            let entries = part.entries.iter().filter(|e| !e.path.is_empty());
            entries.map(move |entry| (part, entry))
        };
        self.parts.iter().flat_map(entries)
    }
}

impl<'a> Part<'a> {
    fn of(extension: &'a Extension) -> Result<Option<Self>, ImageError> {
        let entries = extension.entries()?;
        Ok(extension.layer.as_ref().map(|layer| Self {
            name: &extension.listed.name,
            entries,
            tree: layer.tree(),
        }))
    }
}

/// Counts the entries of the archive that are an extension's image.
fn times(image: &Image, extension: &Extension) -> Result<u64, ImageError> {
    let wanted = crate::model::path::normalise(&extension.listed.image);
    let entries = image.initramfs()?.entries().iter();
    Ok(entries.filter(|e| e.entry.path == wanted).count() as u64)
}

/// An extension as it is published, before an image has it: `manifest.yaml` beside `rootfs`.
pub(super) struct Packed {
    /// The paths at its top.
    pub top: Vec<String>,
    /// The content of `manifest.yaml`; `None` where that is no file.
    pub manifest: Option<Vec<u8>>,
    /// The folder `rootfs`, all its entries; `None` where it is none.
    pub root: Option<(Arc<Image>, Vec<Entry>)>,
}

/// What an extension by itself consists of.
pub(super) const MANIFEST: &str = "manifest.yaml";
pub(super) const ROOT: &str = "rootfs";
/// A manifest of a megabyte is none; what is cut here is refused as too large.
const MAX_MANIFEST: usize = (1 << 20) + 1;

impl Packed {
    /// Looks whether a subject is an extension as it is published; `None` where it is not.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(image: &Arc<Image>) -> Result<Option<Self>, ImageError> {
        if image.is_initramfs()? {
            return Ok(None);
        }
        let Some(top) = top(image)? else {
            return Ok(None);
        };
        let holds = |name: &str, kind| top.iter().any(|(path, held)| path == name && *held == kind);
        let manifest = holds(MANIFEST, FileType::File);
        let root = holds(ROOT, FileType::Directory);
        if !manifest && !root {
            return Ok(None);
        }
        Ok(Some(Self {
            manifest: match manifest {
                true => Some(content(image, MANIFEST)?),
                false => None,
            },
            root: match root {
                true => {
                    let root = image.enter(ROOT)?;
                    let entries = root.tree()?.entries();
                    let entries = entries.map_err(|error| root.failed(error))?;
                    Some((root, entries))
                }
                false => None,
            },
            top: top.into_iter().map(|(path, _)| path).collect(),
        }))
    }

    /// Looks at it under the name that its manifest gives it; `None` where it holds no `rootfs`.
    ///
    /// # Errors
    /// Where `rootfs` cannot be read.
    pub fn scope<'a>(&'a self, name: &'a str) -> Result<Option<Scope<'a>>, ImageError> {
        let Some((root, entries)) = &self.root else {
            return Ok(None);
        };
        let part = Part {
            name,
            entries,
            tree: root.tree()?,
        };
        Ok(Some(Scope {
            view: root.merged()?,
            base: None,
            parts: vec![part],
            all: vec![part],
            images: Vec::new(),
        }))
    }
}

/// Lists what is at the top of a container, with its type: of an image of layers, what they make
/// together. `None` where nothing can be inside.
fn top(image: &Image) -> Result<Option<Vec<(String, FileType)>>, ImageError> {
    if image.is_layered()? {
        let entries = image.merged()?.entries().iter();
        let top = entries.filter(|entry| !entry.path.contains('/'));
        return Ok(Some(top.map(|e| (e.path.clone(), e.meta.kind)).collect()));
    }
    let tree = match image.tree() {
        Ok(tree) => tree,
        Err(ImageError::NoTree { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let children = tree.children("").map_err(|error| image.failed(error))?;
    let children = children.unwrap_or_default().into_iter();
    Ok(Some(children.map(|e| (e.path, e.meta.kind)).collect()))
}

/// Reads a small file inside of an image.
fn content(image: &Arc<Image>, path: &str) -> Result<Vec<u8>, ImageError> {
    let file = match image.enter(path) {
        Ok(file) => file,
        Err(ImageError::Empty { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let bytes = file.source()?.up_to(0, MAX_MANIFEST);
    Ok(bytes.map_err(|error| file.failed(error))?.to_vec())
}

/// A glob over everything.
pub(super) fn everything() -> Result<Pattern, ProbeError> {
    super::super::entry::pattern("**")
}

/// Gives the last component of a path.
pub(super) fn file_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default()
}
