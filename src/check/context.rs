//! What an observation may use: subjects opened once, limits, and the way to be stopped.

use super::ProbeError;
use crate::format::Limits;
use crate::image::{Image, ImageError};
use crate::probe::exec::Cancel;
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

    /// Opens a subject as an image, once for all checks of the run.
    ///
    /// # Errors
    /// Where the file is missing, is not a regular file, is empty or cannot be read.
    pub fn image(&self, path: &Path) -> Result<Arc<Image>, ProbeError> {
        self.subjects.image(path)
    }

    /// Makes a path absolute or relative to the root.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

type Opened = Arc<OnceLock<Result<Arc<Image>, ImageError>>>;

/// The subjects of a run.
#[derive(Default)]
pub struct Subjects {
    opened: Mutex<HashMap<PathBuf, Opened>>,
    limits: Limits,
}

impl Subjects {
    /// Makes an empty set; every image is read within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            opened: Mutex::default(),
            limits,
        }
    }

    fn image(&self, path: &Path) -> Result<Arc<Image>, ProbeError> {
        let cell = match self.opened.lock() {
            Ok(mut opened) => opened.entry(path.to_owned()).or_default().clone(),
            Err(_) => return Err(ProbeError::new("another check panicked on this subject")),
        };
        let image = cell.get_or_init(|| Image::open(path, self.limits.clone()));
        image.clone().map_err(ProbeError::from)
    }

    /// Forgets a subject whose last check has run, and with it everything decoded from it.
    pub fn release(&self, path: &Path) {
        if let Ok(mut opened) = self.opened.lock() {
            opened.remove(path);
        }
    }
}

impl From<ImageError> for ProbeError {
    fn from(error: ImageError) -> Self {
        ProbeError::new(error.to_string())
    }
}
