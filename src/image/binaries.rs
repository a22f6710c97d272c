//! The programs, libraries and modules of a view.

use std::sync::{Arc, OnceLock};

use super::libraries::{Roots, root_of, search};
use super::{ImageError, MergedEntry, Pattern, ServiceFile, View};
use crate::format::elf::Elf;
use crate::format::{FileType, FormatError, parallel};

/// Libraries that the files of one view need together; a distribution's
/// thousands of programs need some ten thousand.
const MAX_NEEDED: u64 = 500_000;
/// Files that one thread looks at before it takes more.
const BATCH: usize = 8;

/// What a first look at a regular file gave: its ELF headers, or why they
/// could not be read.
#[derive(Debug)]
struct Examined {
    elf: Result<Elf, String>,
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

/// What was found out about the entries of one view, each once.
#[derive(Debug)]
pub(super) struct Binaries {
    /// By the entry's place in the view; `None` for what is no ELF file.
    examined: Vec<OnceLock<Option<Examined>>>,
    described: Vec<OnceLock<Option<Arc<Binary>>>>,
    roots: OnceLock<Result<Roots, ImageError>>,
}

impl Binaries {
    pub(super) fn new(view: &View) -> Self {
        Self {
            examined: view.entries().iter().map(|_| OnceLock::new()).collect(),
            described: view.entries().iter().map(|_| OnceLock::new()).collect(),
            roots: OnceLock::new(),
        }
    }

    /// Gives the ELF files whose path matches; see [`super::Merged::binaries`].
    pub(super) fn find(
        &self,
        view: &View,
        services: &[ServiceFile],
        pattern: &Pattern,
    ) -> Result<Vec<Arc<Binary>>, ImageError> {
        let candidate = |entry: &MergedEntry| {
            entry.meta.kind == FileType::File
                && entry.meta.size >= 4
                && pattern.matches(&entry.path)
        };
        let mut chosen: Vec<usize> = view
            .within(pattern)
            .filter(|index| view.entries().get(*index).is_some_and(candidate))
            .collect();
        // Neighbours in an image share blocks: look at them one after another.
        chosen.sort_by_key(|index| view.place(*index));
        let look = |index: &usize| {
            self.examine(view, *index);
        };
        parallel::map(&chosen, BATCH, look);
        self.check_needed(view, &chosen)?;
        let roots = self.roots(view, services)?;
        chosen.sort_unstable();
        let found = |index: &usize| self.binary(view, *index, roots).cloned();
        let found = parallel::map(&chosen, BATCH, found);
        Ok(found.into_iter().flatten().collect())
    }

    /// Gives the ELF file at exactly this path; `None` where it is none.
    pub(super) fn at(
        &self,
        view: &View,
        services: &[ServiceFile],
        path: &str,
    ) -> Result<Option<Arc<Binary>>, ImageError> {
        let roots = self.roots(view, services)?;
        let file = view.get(path).filter(|e| e.meta.kind == FileType::File);
        let index = file.and_then(|entry| view.index_of(&entry.path));
        Ok(index.and_then(|index| self.binary(view, index, roots).cloned()))
    }

    /// Gives what each root of the view configures.
    ///
    /// Errors where that cannot be read.
    pub(super) fn roots(
        &self,
        view: &View,
        services: &[ServiceFile],
    ) -> Result<&Roots, ImageError> {
        let roots = self.roots.get_or_init(|| Roots::read(view, services));
        roots.as_ref().map_err(Clone::clone)
    }

    /// Bounds the work of looking for libraries: each name may be looked for
    /// in dozens of directories.
    fn check_needed(&self, view: &View, chosen: &[usize]) -> Result<(), ImageError> {
        let needed = |index: &usize| {
            self.examine(view, *index)?
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
            return Err(ImageError::format(view.subject(), error));
        }
        Ok(())
    }

    /// Reads the headers of the file at `index`; `None` where it is no ELF
    /// file.
    fn examine(&self, view: &View, index: usize) -> Option<&Examined> {
        let slot = self.examined.get(index)?;
        slot.get_or_init(|| {
            let entry = view.entries().get(index)?;
            let file = match view.open(entry) {
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
                    elf: Elf::read(&*file).map_err(|error| error.to_string()),
                }),
                Ok(_) => None,
                Err(error) => Some(Examined {
                    elf: Err(error.to_string()),
                }),
            }
        })
        .as_ref()
    }

    fn binary(&self, view: &View, index: usize, roots: &Roots) -> Option<&Arc<Binary>> {
        let slot = self.described.get(index)?;
        slot.get_or_init(|| {
            let entry = view.entries().get(index)?;
            let examined = self.examine(view, index)?;
            Some(Arc::new(self.describe(view, entry, examined, roots)))
        })
        .as_ref()
    }

    fn describe(
        &self,
        view: &View,
        entry: &MergedEntry,
        examined: &Examined,
        roots: &Roots,
    ) -> Binary {
        let mut binary = Binary {
            path: entry.path.clone(),
            layer: view.layer(entry).to_owned(),
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
        let root = root_of(view, &entry.path);
        if let Some(path) = &elf.interpreter {
            binary.interpreter = Interpreter {
                resolves: self.same_machine(view, roots, root, path, elf).is_some(),
                path: Some(path.clone()),
            };
        }
        if !elf.needed.is_empty() {
            let directories = roots.directories(root, entry, elf);
            let library = |name: &String| Library {
                path: search(&directories, name, |path| {
                    self.same_machine(view, roots, root, path, elf)
                }),
                name: name.clone(),
            };
            binary.needed = elf.needed.iter().map(library).collect();
        }
        binary.elf = Some(elf.clone());
        binary
    }

    /// Resolves `path` below `root` to an ELF file of the machine and class of
    /// `elf`, as a dynamic linker would; gives its path in the view.
    fn same_machine<'v>(
        &self,
        view: &'v View,
        roots: &Roots,
        root: &str,
        path: &str,
        elf: &Elf,
    ) -> Option<&'v str> {
        let entry = roots.resolve(view, root, path).ok()?;
        if entry.meta.kind != FileType::File {
            return None;
        }
        let found = self.examine(view, view.index_of(&entry.path)?)?;
        let found = found.elf.as_ref().ok()?;
        (found.machine == elf.machine && found.class == elf.class).then_some(entry.path.as_str())
    }
}
