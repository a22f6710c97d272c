//! The merged view, and what was found out about its programs.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::binaries::{Binaries, Binary};
use super::{ImageError, Layer, Pattern, View};
use crate::format::Limits;
use crate::format::initramfs::Initramfs;

/// The root file system as the machine will see it: a [`View`], with the
/// facts of its ELF files kept beside it.
#[derive(Debug)]
pub struct Merged {
    view: View,
    binaries: Binaries,
}

impl Merged {
    pub(super) fn of_layers(
        subject: &Path,
        layers: &[&Layer],
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        View::of_layers(subject, layers, limits).map(Self::of)
    }

    pub(super) fn of_initramfs(
        subject: &Path,
        initramfs: &Initramfs,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        View::of_initramfs(subject, initramfs, limits).map(Self::of)
    }

    fn of(view: View) -> Self {
        let binaries = Binaries::new(&view);
        Self { view, binaries }
    }

    /// Gives the ELF files whose path matches, sorted by path.
    ///
    /// A file counts by its content: it begins with `\x7fELF`. Links are not
    /// followed, so that each file counts once. A file that cannot be read at
    /// all is given as damaged, because nobody can say that it is none.
    /// Files are looked at in parallel, each once in the life of the view, so
    /// thirty checks cost about as much as one.
    ///
    /// Errors where the view's library configuration cannot be read.
    pub fn binaries(&self, pattern: &Pattern) -> Result<Vec<Arc<Binary>>, ImageError> {
        self.binaries.find(&self.view, pattern)
    }
}

impl Deref for Merged {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}
