//! The kernel modules of a view.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{ImageError, MergedEntry, View, spool};
use crate::format::kmod::Module;
use crate::format::{Budget, Bytes, Compression, FormatError, Limits, Source, parallel, stream};

/// Compressed modules up to this size are decoded several at a time; a larger
/// one alone, so that memory stays bounded.
const SMALL: u64 = 1 << 20;
/// Modules that one thread reads before it takes more.
const BATCH: usize = 8;
/// What every byte of such a module may become there, and what any may.
const RATIO: u64 = 16;
const FREE: u64 = 1 << 20;
/// Bytes that the modules of one view may say about themselves. Those of a
/// distribution say 6 MB.
const MAX_TOLD: usize = 64 << 20;

/// One module file of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// The path without leading `/`.
    pub path: String,
    /// The layer it came from.
    pub layer: String,
    /// Bytes of the file.
    pub size: u64,
    /// How it is compressed, by its content.
    pub compression: Compression,
    /// What it says about itself, or why that cannot be read.
    pub module: Result<Module, String>,
}

type Read = Result<Arc<ModuleFile>, ImageError>;

/// What was found out about the modules of one view, each once.
#[derive(Debug)]
pub(super) struct Modules {
    limits: Limits,
    /// By the entry's place in the view.
    read: Vec<OnceLock<Box<Read>>>,
    /// Held while a large module is decoded.
    large: Mutex<()>,
    told: Mutex<usize>,
}

impl Modules {
    pub(super) fn new(view: &View, limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            read: view.entries().iter().map(|_| OnceLock::new()).collect(),
            large: Mutex::new(()),
            told: Mutex::new(0),
        }
    }

    /// Reads the module files at some paths; see [`super::Merged::modules`].
    pub(super) fn read(
        &self,
        view: &View,
        paths: &[&str],
    ) -> Result<Vec<Arc<ModuleFile>>, ImageError> {
        let mut chosen: Vec<usize> = paths.iter().filter_map(|p| view.index_of(p)).collect();
        // Neighbours in an image share blocks: look at them one after another.
        chosen.sort_by_key(|index| view.place(*index));
        let look = |index: &usize| self.one(view, *index).map(drop);
        parallel::try_map(&chosen, BATCH, look)?;
        chosen.sort_unstable();
        chosen.iter().map(|index| self.one(view, *index)).collect()
    }

    fn one(&self, view: &View, index: usize) -> Read {
        let (Some(slot), Some(entry)) = (self.read.get(index), view.entries().get(index)) else {
            let error = FormatError::corrupt("view", 0, "no such entry");
            return Err(ImageError::format(view.subject(), error));
        };
        let read = slot.get_or_init(|| Box::new(self.look(view, entry).map(Arc::new)));
        Read::clone(read)
    }

    fn look(&self, view: &View, entry: &MergedEntry) -> Result<ModuleFile, ImageError> {
        let mut file = ModuleFile {
            path: entry.path.clone(),
            layer: view.layer(entry).to_owned(),
            size: entry.meta.size,
            compression: Compression::None,
            module: Err(String::new()),
        };
        let read = self
            .limits
            .check_deadline("kmod", 0)
            .and_then(|()| view.open_plain(entry))
            .and_then(|source| {
                file.compression = Compression::detect(&source.up_to(0, 8)?);
                self.module(&source, file.compression)
            })
            .and_then(|module| self.book(&module).map(|()| module));
        file.module = match read {
            Ok(module) => Ok(module),
            Err(error) if is_about_the_module(&error) => Err(error.to_string()),
            Err(error) => return Err(view.broken(entry, error)),
        };
        Ok(file)
    }

    fn module(&self, source: &Source, compression: Compression) -> Result<Module, FormatError> {
        if compression == Compression::None {
            return Module::read(&**source);
        }
        let size = source.size()?;
        if size <= SMALL {
            let input = source.up_to(0, usize::try_from(size).unwrap_or(usize::MAX))?;
            let mut budget = Budget::of(size * RATIO + FREE);
            match stream::decode_all(compression, &input, &mut budget) {
                Ok(data) => return Module::read(&Bytes::new(data)),
                Err(FormatError::Limit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let _alone = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        Module::read(&*spool::decoded(source, compression, &self.limits)?)
    }

    /// Counts what is kept, so that a million small modules cost no more
    /// memory than a few large ones.
    fn book(&self, module: &Module) -> Result<(), FormatError> {
        let texts = module.info().iter().map(|(k, v)| k.len() + v.len() + 48);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told += texts.sum::<usize>();
        if *told <= MAX_TOLD {
            return Ok(());
        }
        Err(FormatError::Limit {
            format: "kmod",
            offset: 0,
            limit: "what all modules say",
            value: MAX_TOLD as u64,
            remedy: "choose fewer modules with a narrower pattern",
        })
    }
}

/// Tells an error that says what is wrong with the module from one that only
/// kept it from being judged.
fn is_about_the_module(error: &FormatError) -> bool {
    match error {
        FormatError::Truncated { .. } | FormatError::Corrupt { .. } => true,
        FormatError::Limit { .. } | FormatError::Unsupported { .. } | FormatError::Io { .. } => {
            false
        }
        FormatError::Inside { source, .. } => is_about_the_module(source),
    }
}
