//! The merged view, and what was found out about its programs and modules.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::archive::Segments;
use super::binaries::{Binaries, Binary};
use super::libraries::root_of;
use super::modules::{ModuleFile, Modules};
use super::services::{self, ServiceFile};
use super::{ImageError, Layer, MergedEntry, Pattern, Unresolved, View};
use crate::format::tree::Visit;
use crate::format::{Entry, FileType, FormatError, Limits, Source, Tree};

/// The root file system as the machine will see it: a [`View`], with the
/// facts of its ELF files, kernel modules and services kept beside it.
#[derive(Debug)]
pub struct Merged {
    view: View,
    binaries: Binaries,
    services: OnceLock<Result<Vec<ServiceFile>, ImageError>>,
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
        initramfs: &Segments,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        View::of_initramfs(subject, initramfs, limits).map(|view| Self::of(view, limits))
    }

    pub(super) fn of(view: View, limits: &Limits) -> Self {
        Self {
            binaries: Binaries::new(&view),
            modules: Modules::new(&view, limits),
            services: OnceLock::new(),
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
        self.binaries.find(&self.view, self.services()?, pattern)
    }

    /// Gives the ELF file at exactly this path, links not followed; `None`
    /// where there is none.
    ///
    /// Errors as [`Merged::binaries`] does.
    pub fn binary(&self, path: &str) -> Result<Option<Arc<Binary>>, ImageError> {
        self.binaries.at(&self.view, self.services()?, path)
    }

    /// Gives the services of Talos's extensions, by the names of their
    /// documents. One that cannot be read is given as that.
    ///
    /// Errors where the image itself cannot be read.
    pub fn services(&self) -> Result<&[ServiceFile], ImageError> {
        let services = self.services.get_or_init(|| services::read(&self.view));
        services.as_deref().map_err(Clone::clone)
    }

    /// Gives the directory that a program sees as its root: that of the service
    /// that it is in, or the root of the view, which is the empty path.
    #[must_use]
    pub fn root_of<'p>(&self, program: &'p str) -> &'p str {
        root_of(&self.view, program)
    }

    /// Finds what a path means to the program at `program`, links followed: in
    /// the container of a service that is its own root, with what of the
    /// machine is shown there.
    ///
    /// Errors where the services of the view cannot be read; in it, where the
    /// path leads nowhere.
    pub fn seen_by(
        &self,
        program: &str,
        path: &str,
    ) -> Result<Result<&MergedEntry, Unresolved>, ImageError> {
        let roots = self.binaries.roots(&self.view, self.services()?)?;
        Ok(roots.resolve(&self.view, root_of(&self.view, program), path))
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

/// A merged view as a tree, for addresses that lead into it. An entry's `inode`
/// is its place in the view.
#[derive(Debug)]
pub(super) struct MergedTree(pub(super) Arc<Merged>);

impl MergedTree {
    /// Gives the entry at exactly this path of the view.
    fn entry(&self, place: usize) -> Option<Entry> {
        let entry = self.0.entries().get(place)?;
        Some(Entry {
            path: entry.path.clone(),
            meta: entry.meta.clone(),
            inode: place as u64,
        })
    }

    /// Gives the places of what is below a directory; the root is the empty path.
    fn below(&self, directory: &str) -> (String, impl Iterator<Item = usize>) {
        let prefix = match directory {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        let entries = self.0.entries();
        let start = entries.partition_point(|entry| entry.path.as_str() < prefix.as_str());
        let rest = entries.get(start..).unwrap_or_default();
        let count = rest.partition_point(|entry| entry.path.starts_with(&prefix));
        (prefix, start..start + count)
    }
}

impl Tree for MergedTree {
    fn format(&self) -> &'static str {
        "merged"
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let mut all = (0..self.0.entries().len()).filter_map(|place| self.entry(place));
        all.try_for_each(visit)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        Ok(self.0.index_of(path).and_then(|place| self.entry(place)))
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        let directory = self
            .0
            .get(path)
            .is_some_and(|e| e.meta.kind == FileType::Directory);
        if !path.is_empty() && !directory {
            return Ok(None);
        }
        let (prefix, places) = self.below(path);
        let own = |entry: &Entry| {
            entry
                .path
                .get(prefix.len()..)
                .is_some_and(|name| !name.contains('/'))
        };
        let entries = places.filter_map(|place| self.entry(place));
        Ok(Some(entries.filter(own).collect()))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let place = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        match self.0.entries().get(place) {
            Some(entry) => self.0.open_plain(entry),
            None => Err(FormatError::corrupt(
                "merged",
                0,
                format!("`{}` is not there", entry.path),
            )),
        }
    }
}
