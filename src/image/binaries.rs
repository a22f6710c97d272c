//! The programs, libraries and modules of a view.

use std::sync::Arc;

use rayon::prelude::*;

use super::libraries::{Roots, root_of, search};
use super::merged::{Merged, MergedEntry};
use super::{ImageError, Pattern};
use crate::format::elf::Elf;
use crate::format::{FileType, FormatError, ReadAt};

/// Libraries that the files of one view need together; a distribution's
/// thousands of programs need some ten thousand.
const MAX_NEEDED: u64 = 500_000;

/// What a first look at a regular file gave: its ELF headers, or why they
/// could not be read.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) elf: Result<Elf, String>,
}

/// The program that loads another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The path that the file asks for.
    pub path: Option<String>,
    /// Whether it is there and of the same machine; `true` where none is
    /// asked for.
    pub resolves: bool,
}

/// A library that a file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The name that the file asks for.
    pub name: String,
    /// The path in the view at which it was found, of the same machine.
    pub path: Option<String>,
}

impl Library {
    /// Says whether the library was found.
    #[must_use]
    pub fn resolves(&self) -> bool {
        self.path.is_some()
    }
}

/// One ELF file of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The path without leading `/`.
    pub path: String,
    /// The layer it came from.
    pub layer: String,
    /// Bytes of the file.
    pub size: u64,
    /// The whole mode.
    pub mode: u32,
    /// What its headers say; `None` where they could not be read.
    pub elf: Option<Elf>,
    /// Why they could not be read. Such a file is reported, never left out.
    pub damaged: Option<String>,
    /// The program that loads it.
    pub interpreter: Interpreter,
    /// The libraries it needs, in its order.
    pub needed: Vec<Library>,
}

impl Merged {
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
        let candidate = |entry: &MergedEntry| {
            entry.meta.kind == FileType::File
                && entry.meta.size >= 4
                && pattern.matches(&entry.path)
        };
        let mut chosen: Vec<usize> = (0..self.entries().len())
            .filter(|index| self.entries().get(*index).is_some_and(candidate))
            .collect();
        // Neighbours in an image share blocks: look at them one after another.
        chosen.sort_by_key(|index| self.place(*index));
        let look = |index: &usize| {
            self.examine(*index);
        };
        chosen.par_iter().with_min_len(8).for_each(look);
        self.check_needed(&chosen)?;
        let roots = self.roots()?;
        chosen.sort_unstable();
        let found = |index: &usize| self.binary(*index, roots).cloned();
        Ok(chosen
            .par_iter()
            .with_min_len(8)
            .filter_map(found)
            .collect())
    }

    /// Bounds the work of looking for libraries: each name may be looked for
    /// in dozens of directories.
    fn check_needed(&self, chosen: &[usize]) -> Result<(), ImageError> {
        let needed = |index: &usize| {
            self.examine(*index)?
                .elf
                .as_ref()
                .ok()
                .map(|elf| elf.needed.len())
        };
        let needed: usize = chosen.iter().filter_map(needed).sum();
        if needed as u64 > MAX_NEEDED {
            let error = FormatError::Limit {
                format: "elf",
                offset: 0,
                limit: "needed libraries of all files",
                value: MAX_NEEDED,
                remedy: "choose fewer files with a narrower pattern",
            };
            return Err(ImageError::format(self.subject(), error));
        }
        Ok(())
    }

    fn roots(&self) -> Result<&Roots, ImageError> {
        let roots = self.roots.get_or_init(|| Roots::read(self));
        roots.as_ref().map_err(Clone::clone)
    }

    /// Reads the headers of the file at `index`; `None` where it is no ELF
    /// file.
    pub(super) fn examine(&self, index: usize) -> Option<&Examined> {
        let slot = self.examined.get(index)?;
        slot.get_or_init(|| {
            let entry = self.entries().get(index)?;
            let file = match self.open(entry) {
                Ok(file) => file,
                Err(error) => {
                    return Some(Examined {
                        elf: Err(error.to_string()),
                    });
                }
            };
            let mut start = [0; 4];
            match file.read_at(0, &mut start) {
                Ok(4) if Elf::is_elf(&start) => Some(Examined {
                    elf: Elf::read(&file).map_err(|error| error.to_string()),
                }),
                Ok(_) => None,
                Err(error) => Some(Examined {
                    elf: Err(error.to_string()),
                }),
            }
        })
        .as_ref()
    }

    fn binary(&self, index: usize, roots: &Roots) -> Option<&Arc<Binary>> {
        let slot = self.binaries.get(index)?;
        slot.get_or_init(|| {
            let entry = self.entries().get(index)?;
            let examined = self.examine(index)?;
            Some(Arc::new(self.describe(entry, examined, roots)))
        })
        .as_ref()
    }

    fn describe(&self, entry: &MergedEntry, examined: &Examined, roots: &Roots) -> Binary {
        let mut binary = Binary {
            path: entry.path.clone(),
            layer: self.layer(entry).to_owned(),
            size: entry.meta.size,
            mode: entry.meta.mode,
            elf: None,
            damaged: None,
            interpreter: Interpreter {
                path: None,
                resolves: true,
            },
            needed: Vec::new(),
        };
        let elf = match &examined.elf {
            Ok(elf) => elf,
            Err(reason) => {
                binary.damaged = Some(reason.clone());
                binary.interpreter.resolves = false;
                return binary;
            }
        };
        let root = root_of(&entry.path);
        if let Some(path) = &elf.interpreter {
            binary.interpreter = Interpreter {
                resolves: self.same_machine(root, path, elf).is_some(),
                path: Some(path.clone()),
            };
        }
        if !elf.needed.is_empty() {
            let directories = roots.directories(root, entry, elf);
            let library = |name: &String| Library {
                path: search(self, root, &directories, name, elf),
                name: name.clone(),
            };
            binary.needed = elf.needed.iter().map(library).collect();
        }
        binary.elf = Some(elf.clone());
        binary
    }

    /// Resolves `path` below `root` to an ELF file of the machine and class of
    /// `elf`, as a dynamic linker would; gives its path in the view.
    pub(super) fn same_machine(&self, root: &str, path: &str, elf: &Elf) -> Option<&str> {
        let entry = self.resolve_in(root, path).ok()?;
        if entry.meta.kind != FileType::File {
            return None;
        }
        let found = self.examine(self.index_of(&entry.path)?)?;
        let found = found.elf.as_ref().ok()?;
        (found.machine == elf.machine && found.class == elf.class).then_some(entry.path.as_str())
    }
}
