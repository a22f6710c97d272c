//! The directories of modules in a view: one for each kernel release.

use std::collections::{BTreeMap, HashSet};

use super::{ImageError, View};
use crate::format::kmod::index::{self, Dependencies};
use crate::format::kmod::{is_module, module_name, place, trie};
use crate::format::tree::join;
use crate::format::{FileType, FormatError, Limits};
use crate::model::path::normalise;

/// The directory of the modules of one kernel, such as
/// `usr/lib/modules/6.18.38-talos`.
#[derive(Debug)]
pub struct Release {
    /// Its path in the view.
    pub path: String,
    /// Its name: the release of the kernel that looks into it.
    pub release: String,
    /// The files below it whose names are those of modules, sorted by path.
    pub modules: Vec<String>,
    /// The files right in it that are called `modules.…`, by name.
    pub indexes: Vec<String>,
}

/// What the indexes of one directory say. Most stand there twice, as a text and
/// in the binary form that `modprobe` reads.
#[derive(Debug)]
pub struct Indexes {
    /// `modules.dep`, where it is there.
    pub dependencies: Option<Vec<Dependencies>>,
    /// `modules.dep.bin`, where it is there.
    pub binary: Option<Vec<Dependencies>>,
    /// The names of the modules in `modules.builtin`, where it is there in
    /// either form.
    pub builtin: Option<HashSet<String>>,
    /// The number of aliases in `modules.alias`, where it is there in either
    /// form.
    pub aliases: Option<u64>,
    /// The number of modules in `modules.order`, where it is there.
    pub ordered: Option<u64>,
    /// The number of modules in `modules.softdep`, where it is there.
    pub soft_dependencies: Option<u64>,
}

impl View {
    /// Finds the directories of modules and the modules that lie in none,
    /// sorted by path. Nothing is read for it but names.
    #[must_use]
    pub fn releases(&self) -> (Vec<Release>, Vec<String>) {
        let mut found: BTreeMap<&str, Release> = BTreeMap::new();
        let mut stray = Vec::new();
        for entry in self.entries() {
            let file = entry.meta.kind == FileType::File;
            let module = file && is_module(&entry.path);
            let Some(place) = place(&entry.path) else {
                if module {
                    stray.push(entry.path.clone());
                }
                continue;
            };
            let directory = entry.meta.kind == FileType::Directory;
            // A file beside the directories is no directory of a kernel.
            if place.rest.is_empty() && !directory {
                if module {
                    stray.push(entry.path.clone());
                }
                continue;
            }
            let release = found.entry(place.directory).or_insert_with(|| Release {
                path: place.directory.to_owned(),
                release: place.release.to_owned(),
                modules: Vec::new(),
                indexes: Vec::new(),
            });
            if module {
                release.modules.push(entry.path.clone());
            } else if file && place.rest.starts_with("modules.") && !place.rest.contains('/') {
                release.indexes.push(place.rest.to_owned());
            }
        }
        (found.into_values().collect(), stray)
    }

    /// Reads the indexes of a directory of modules.
    ///
    /// Errors where one that is there cannot be read.
    pub fn indexes(&self, release: &Release, limits: &Limits) -> Result<Indexes, ImageError> {
        let count = |lines: usize| lines as u64;
        let mut builtin = self.index(release, "modules.builtin", |text| {
            let files = index::files(text, limits)?;
            Ok(files.iter().map(|path| module_name(path)).collect())
        })?;
        if builtin.is_none() {
            builtin = self.index(release, "modules.builtin.bin", |bytes| {
                // `depmod` leaves an empty file where there is no list to make it of.
                let values = match bytes {
                    [] => Vec::new(),
                    bytes => trie::values(bytes, limits)?,
                };
                Ok(values.into_iter().map(|found| found.key).collect())
            })?;
        }
        let mut aliases = self.index(release, "modules.alias", |text| {
            index::aliases(text, limits).map(|lines| count(lines.len()))
        })?;
        if aliases.is_none() {
            aliases = self.index(release, "modules.alias.bin", |bytes| {
                trie::values(bytes, limits).map(|values| count(values.len()))
            })?;
        }
        Ok(Indexes {
            dependencies: self.index(release, "modules.dep", |text| {
                index::dependencies(text, limits)
            })?,
            binary: self.index(release, "modules.dep.bin", |bytes| {
                index::binary_dependencies(bytes, limits)
            })?,
            builtin,
            aliases,
            ordered: self.index(release, "modules.order", |text| {
                index::files(text, limits).map(|lines| count(lines.len()))
            })?,
            soft_dependencies: self.index(release, "modules.softdep", |text| {
                index::soft_dependencies(text, limits).map(|lines| count(lines.len()))
            })?,
        })
    }

    /// Reads one index; `None` where it is not there.
    fn index<T>(
        &self,
        release: &Release,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<Option<T>, ImageError> {
        let entry = self.get(&join(&release.path, name));
        let Some(entry) = entry.filter(|entry| entry.meta.kind == FileType::File) else {
            return Ok(None);
        };
        let parsed = parse(&self.read(entry)?).map_err(|error| self.broken(entry, error))?;
        Ok(Some(parsed))
    }

    /// Gives the path in the view of a file that `modules.dep` names, links
    /// followed; the error is the path at which nothing is. A name is a path
    /// below the directory, of older versions of `depmod` an absolute one.
    pub fn listed(&self, release: &Release, name: &str) -> Result<&str, String> {
        let path = match name.starts_with('/') {
            true => normalise(name),
            false => normalise(&join(&release.path, name)),
        };
        match self.resolve(&path) {
            Ok(entry) if entry.meta.kind == FileType::File => Ok(&entry.path),
            Ok(_) | Err(_) => Err(path),
        }
    }
}

impl Indexes {
    /// Gives the forms of `modules.dep` that are there.
    pub fn forms(&self) -> impl Iterator<Item = &[Dependencies]> {
        let forms = [&self.dependencies, &self.binary];
        forms.into_iter().filter_map(Option::as_deref)
    }
}
