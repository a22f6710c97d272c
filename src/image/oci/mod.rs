//! OCI images and artifacts: what the names in a layout or archive lead to, and
//! the file system that the layers of an image make together.
//!
//! Where blobs come from is behind [`Blobs`], so a layout on disk, one in a tar
//! archive, a docker-archive and a registry are read by the same code. A blob
//! is held against the size and the digest of its descriptor before anything in
//! it is believed.

mod archive;
mod graph;
mod layer;
mod layout;
mod merge;
mod picture;
mod stack;

pub use graph::{Node, NodeContent};
pub use layer::{OciLayer, TITLE, Unpacking};
pub use picture::Picture;
pub use stack::whiteouts;

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use crate::format::oci::{Descriptor, Digest};
use crate::format::{FormatError, Limits, Source, Tree};

pub(super) use merge::merged;

/// The format's name in errors.
const NAME: &str = "oci";

/// Blobs by their digest, wherever they are.
pub trait Blobs: Send + Sync + Debug {
    /// Finds a blob, which nobody has held against its descriptor yet; `None`
    /// says that it is not there.
    fn find(&self, descriptor: &Descriptor) -> Result<Option<Source>, FormatError>;
}

/// How an image is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout in a folder.
    Layout,
    /// An OCI image layout in a tar archive.
    Archive,
    /// What `docker save` writes: a tar archive with a `manifest.json`.
    DockerArchive,
}

impl Form {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Layout => "oci-layout",
            Self::Archive => "oci-archive",
            Self::DockerArchive => "docker-archive",
        }
    }
}

/// What some names lead to.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The names, such as tags.
    pub names: Vec<String>,
    /// An image, an artifact, or an index of several.
    pub node: Arc<Node>,
}

/// A layout or an archive.
#[derive(Debug)]
pub struct Oci {
    /// How it is stored.
    pub form: Form,
    /// Whether there is a `manifest.json` for `docker load`.
    pub docker: bool,
    /// What is in it, in its own order.
    pub references: Vec<Reference>,
    /// What is merely odd about it.
    pub problems: Vec<String>,
}

impl Oci {
    /// Looks whether a tree is a layout or an archive; `None` says that it is
    /// neither. Manifests are read here, configurations and layers where they are
    /// asked for.
    ///
    /// Errors where it is one and a manifest of it cannot be read.
    pub(super) fn find(
        tree: &Arc<dyn Tree>,
        in_tar: bool,
        limits: &Limits,
    ) -> Result<Option<Self>, FormatError> {
        if let Some(found) = layout::find(tree, in_tar, limits)? {
            return Ok(Some(found));
        }
        match in_tar {
            true => archive::find(tree, limits),
            false => Ok(None),
        }
    }

    /// Gives the images and artifacts with the names that lead to them, each
    /// once; attestations, signatures and what else is about another manifest
    /// only where there is nothing else.
    #[must_use]
    pub fn pictures(&self) -> Vec<(&[String], &Arc<Picture>)> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for reference in &self.references {
            let pictures = reference.node.pictures().into_iter();
            let new = pictures.filter(|picture| seen.insert(picture.identity()));
            all.extend(new.map(|picture| (reference.names.as_slice(), picture)));
        }
        if all.iter().any(|(_, picture)| !picture.is_about_another()) {
            all.retain(|(_, picture)| !picture.is_about_another());
        }
        all
    }

    /// Gives the images that a reference leads to, as [`Oci::pictures`] does;
    /// without one, those of all.
    #[must_use]
    pub fn pictures_of(&self, reference: Option<&Reference>) -> Vec<&Arc<Picture>> {
        let all = self.pictures().into_iter().map(|(_, picture)| picture);
        let Some(reference) = reference else {
            return all.collect();
        };
        let own = self
            .references
            .iter()
            .find(|held| Arc::ptr_eq(&held.node, &reference.node));
        let mut own = own.map_or_else(Vec::new, |own| own.node.pictures());
        if own.iter().any(|picture| !picture.is_about_another()) {
            own.retain(|picture| !picture.is_about_another());
        }
        own
    }

    /// Gives what is about the manifest of a digest: signatures, attestations.
    #[must_use]
    pub fn about(&self, digest: &Digest) -> Vec<&Arc<Picture>> {
        let all = self.references.iter().flat_map(|held| held.node.pictures());
        all.filter(|picture| picture.is_about(digest)).collect()
    }

    /// Finds what a name leads to: a whole name or, where there is none, a tag of
    /// several names.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Reference> {
        let tag = |held: &String| held.rsplit_once(':').is_some_and(|(_, tag)| tag == name);
        let whole = |reference: &&Reference| reference.names.iter().any(|held| held == name);
        let tagged = |reference: &&Reference| reference.names.iter().any(tag);
        match self.references.iter().find(whole) {
            Some(found) => vec![found],
            None => self.references.iter().filter(tagged).collect(),
        }
    }

    /// Lists the manifests that a reference leads to, each once, with whether it
    /// is there; without one, those of all.
    #[must_use]
    pub fn listed(&self, reference: Option<&Reference>) -> Vec<(&Descriptor, bool)> {
        let asked = |held: &&Reference| {
            reference.is_none_or(|reference| Arc::ptr_eq(&held.node, &reference.node))
        };
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for reference in self.references.iter().filter(asked) {
            reference.node.listed(&mut found, &mut seen);
        }
        found
    }
}
