//! What an observation may use: subjects opened once, limits, and the way to be stopped.

use super::ProbeError;
use crate::format::{Keep, Limits};
use crate::image::{Image, ImageError, LocalFile, one_on_disk};
use crate::model::address::shown;
use crate::model::{Address, Origin};
use crate::probe::cache::{Cache, FileIdentity, Identity, Place};
use crate::probe::exec::Cancel;
use crate::probe::qemu::Booted;
use crate::probe::{http, registry};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What every observation gets.
pub struct Context<'c> {
    /// What relative paths are relative to.
    pub root: &'c Path,
    /// The subjects of the run, each opened once.
    pub subjects: &'c Subjects,
    /// When this observation has to be over.
    pub deadline: Instant,
    /// Set when the run is to end.
    pub cancel: &'c Cancel,
    /// The fields of the evidence that are asked for; `None` where it is all of them.
    pub wanted: Option<&'c [String]>,
}

impl Context<'_> {
    /// Gives the time that is left; zero when it is over.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Tells whether a field of the evidence is asked for; what is costly is seen only then.
    pub fn wants(&self, field: &str) -> bool {
        self.wanted
            .is_none_or(|fields| fields.iter().any(|f| f == field))
    }

    /// Opens a subject as an image, once for all checks of the run, and with it everything that
    /// its address leads through.
    ///
    /// # Errors
    /// Where the file is missing, is no regular file, is empty or cannot be read, and where the
    /// address leads nowhere.
    pub fn image(&self, address: &Address) -> Result<Arc<Image>, ProbeError> {
        self.subjects.image(address)
    }

    /// Gives the path of a subject that has to lie on this machine's disk.
    ///
    /// # Errors
    /// Where it is inside of an image, or elsewhere.
    pub fn on_disk<'a>(&self, address: &'a Address) -> Result<&'a Path, ProbeError> {
        address.disk_path().ok_or_else(|| {
            let shown = crate::model::path::printable(&address.to_string());
            ProbeError::new(format!("{shown} is not a path on disk")).remedy(
                "name a file or folder of this machine; this kind does not look inside of images",
            )
        })
    }

    /// Makes a path absolute or relative to the root.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

type Opened = Arc<OnceLock<Result<Arc<Image>, ImageError>>>;
type Boots = HashMap<String, Arc<OnceLock<Result<Arc<Booted>, ProbeError>>>>;

/// The subjects of a run.
pub struct Subjects {
    /// By the first part of the address; what is inside is kept by each image.
    opened: Mutex<HashMap<String, Opened>>,
    /// By what was asked of the machine.
    boots: Mutex<Boots>,
    /// What was asked of the machine whose files are kept in a folder.
    kept: Mutex<HashMap<PathBuf, String>>,
    limits: Limits,
    cache: Option<Arc<Cache>>,
}

impl Subjects {
    /// Makes an empty set; every image is read within `limits`, and what was costly to decode or to
    /// fetch is kept in the cache that the environment names.
    pub fn new(limits: Limits) -> Self {
        Self {
            opened: Mutex::default(),
            boots: Mutex::default(),
            kept: Mutex::default(),
            limits,
            cache: Cache::shared(),
        }
    }

    /// Opens what an address leads to; every part of the way is opened once.
    ///
    /// # Errors
    /// Where a part is missing or cannot be read.
    pub fn image(&self, address: &Address) -> Result<Arc<Image>, ProbeError> {
        let cell = match self.opened.lock() {
            Ok(mut opened) => opened
                .entry(address.source().to_owned())
                .or_default()
                .clone(),
            Err(_) => return Err(ProbeError::new("another check panicked on this subject")),
        };
        let mut image = cell.get_or_init(|| self.open(address)).clone()?;
        for part in address.inner() {
            image = image.enter(part)?;
        }
        Ok(image)
    }

    /// Gives what came of a boot, booting only where nothing has asked the same in this run: a machine
    /// is too slow to be started for each check, and what is looked at is one and the same start.
    ///
    /// # Errors
    /// Where nothing could be seen of it.
    pub fn boot(
        &self,
        question: String,
        boot: impl FnOnce() -> Result<Booted, ProbeError>,
    ) -> Result<Arc<Booted>, ProbeError> {
        let cell = match self.boots.lock() {
            Ok(mut boots) => boots.entry(question).or_default().clone(),
            Err(_) => return Err(ProbeError::new("another check panicked while it booted")),
        };
        cell.get_or_init(|| boot().map(Arc::new)).clone()
    }

    /// Tells whether a folder is for the files of the boot that asks this, and of no other in this run.
    ///
    /// # Errors
    /// Where another check panicked just here.
    pub fn keeps(&self, folder: &Path, question: &str) -> Result<bool, ProbeError> {
        match self.kept.lock() {
            Ok(mut kept) => {
                let first = kept.entry(folder.to_owned());
                Ok(first.or_insert_with(|| question.to_owned()) == question)
            }
            Err(_) => Err(ProbeError::new("another check panicked while it booted")),
        }
    }

    fn open(&self, address: &Address) -> Result<Arc<Image>, ImageError> {
        let (source, limits) = (address.source(), &self.limits);
        match address.origin() {
            Origin::Disk => {
                let path = one_on_disk(Path::new(source), limits)?;
                if path.is_dir() {
                    return Image::open(path, limits.clone());
                }
                let file = LocalFile::open(&path)?;
                let keep = self.place_of(file.file());
                let image = Image::of_source(&path, Arc::new(file), None, limits.clone())?;
                Ok(image.kept_at(keep))
            }
            Origin::Http => {
                let (cache, path) = (self.cache.clone(), PathBuf::from(shown(source)));
                let opened = http::open(source, limits, cache);
                let (bytes, keep) = opened.map_err(|error| ImageError::Remote {
                    what: error.to_string(),
                    transient: error.is_transient(),
                    path: path.clone(),
                })?;
                let image = Image::of_source(&path, bytes, None, limits.clone())?;
                Ok(image.kept_at(keep))
            }
            Origin::Registry => {
                let path = PathBuf::from(shown(source));
                let opened = registry::open(source, limits, self.cache.clone());
                let opened = opened.map_err(|error| ImageError::Remote {
                    what: error.to_string(),
                    transient: error.is_transient(),
                    path: path.clone(),
                })?;
                let image = Image::of_folder(&path, opened.tree, None, limits.clone());
                Ok(image.kept_at(opened.keep))
            }
        }
    }

    /// Gives the place of what is made from a file of this machine.
    fn place_of(&self, file: &std::fs::File) -> Option<Arc<dyn Keep>> {
        let cache = Arc::clone(self.cache.as_ref()?);
        let file = file.try_clone().ok()?;
        let identity = FileIdentity::of(Arc::clone(&cache), file).ok()?;
        let identity = Identity::File(Arc::new(identity));
        Some(Arc::new(Place::new(cache, identity, self.limits.deadline)))
    }

    /// Forgets the first part of an address whose last check has run, and with it everything
    /// decoded from it.
    pub fn release(&self, source: &str) {
        if let Ok(mut opened) = self.opened.lock() {
            opened.remove(source);
        }
    }
}

impl From<ImageError> for ProbeError {
    fn from(error: ImageError) -> Self {
        let text = ProbeError::new(error.to_string());
        match error {
            ImageError::Remote {
                transient: true, ..
            } => text.transient(),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_the_files_of_one_boot() {
        let subjects = Subjects::new(Limits::default());
        let keeps = |folder: &str, question| subjects.keeps(Path::new(folder), question).unwrap();
        assert!(
            keeps("/a", "one") && keeps("/a", "one"),
            "one boot, many checks"
        );
        assert!(!keeps("/a", "two") && keeps("/b", "two"));
    }
}
