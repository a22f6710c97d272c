//! The merged view, and what was found out about its programs and modules.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::binaries::{Binaries, Binary};
use super::modules::{ModuleFile, Modules};
use super::{ImageError, Layer, Pattern, View};
use crate::format::Limits;
use crate::format::initramfs::Initramfs;

/// The root file system as the machine will see it: a [`View`], with the
/// facts of its ELF files and kernel modules kept beside it.
#[derive(Debug)]
pub struct Merged {
    view: View,
    binaries: Binaries,
    modules: Modules,
}

impl Merged {
    pub(super) fn of_layers(
        subject: &Path,
        layers: &[&Layer],
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        View::of_layers(subject, layers, limits).map(|view| Self::of(view, limits))
    }

    pub(super) fn of_initramfs(
        subject: &Path,
        initramfs: &Initramfs,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        View::of_initramfs(subject, initramfs, limits).map(|view| Self::of(view, limits))
    }

    fn of(view: View, limits: &Limits) -> Self {
        Self {
            binaries: Binaries::new(&view),
            modules: Modules::new(&view, limits),
            view,
        }
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

    /// Reads the kernel modules at these paths of the view, sorted by path.
    /// A compressed one is decoded; each is read once in the life of the view,
    /// several at a time.
    ///
    /// A module that is broken is given as such. Errors where one cannot be
    /// judged: where it cannot be fetched, or decodes to more than the bounds
    /// allow.
    pub fn modules(&self, paths: &[&str]) -> Result<Vec<Arc<ModuleFile>>, ImageError> {
        self.modules.read(&self.view, paths)
    }
}

impl Deref for Merged {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}
