//! One tree that takes part in the merged view.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::ImageError;
use crate::format::{Entry, FileType, FormatError, Tree};

/// Documents about an extension, which do nothing on a machine.
const ABOUT: &str = "usr/local/share/spdx/";

type Listing = Result<Vec<Entry>, FormatError>;

/// One tree: its name in the view, and its entries, listed once.
#[derive(Debug, Clone)]
pub struct Layer {
    name: String,
    image: String,
    tree: Arc<dyn Tree>,
    entries: Arc<OnceLock<Listing>>,
}

impl Layer {
    pub(super) fn new(name: &str, image: &str, tree: Arc<dyn Tree>) -> Self {
        let (name, image) = (name.to_owned(), image.to_owned());
        Self {
            name,
            image,
            tree,
            entries: Arc::default(),
        }
    }

    /// Gives the name: of an extension, its `metadata.name`; otherwise that of
    /// the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the tree.
    #[must_use]
    pub fn tree(&self) -> &Arc<dyn Tree> {
        &self.tree
    }

    /// Gives all entries, each directory before what is in it. `subject` is
    /// the file that an error names.
    pub fn entries(&self, subject: &Path) -> Result<&[Entry], ImageError> {
        self.entries
            .get_or_init(|| self.tree.entries())
            .as_deref()
            .map_err(|error| {
                let error = error.clone();
                let error = if self.image.is_empty() {
                    error
                } else {
                    error.inside(self.image.as_str())
                };
                ImageError::format(subject, error)
            })
    }

    /// Counts what the layer brings: everything but directories and documents
    /// about itself.
    pub fn payload(&self, subject: &Path) -> Result<usize, ImageError> {
        self.entries(subject).map(payload)
    }
}

/// Counts what an extension brings: everything but directories and documents
/// about itself.
#[must_use]
pub fn payload(entries: &[Entry]) -> usize {
    let brings =
        |entry: &&Entry| entry.meta.kind != FileType::Directory && !entry.path.starts_with(ABOUT);
    entries.iter().filter(brings).count()
}
