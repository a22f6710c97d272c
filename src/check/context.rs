//! What an observation may use: subjects opened once, limits, and the way to be stopped.

use super::ProbeError;
use crate::format::Limits;
use crate::image::{Image, ImageError, one_on_disk};
use crate::model::{Address, Origin};
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

/// The subjects of a run.
#[derive(Default)]
pub struct Subjects {
    /// By the first part of the address; what is inside is kept by each image.
    opened: Mutex<HashMap<String, Opened>>,
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

    fn open(&self, address: &Address) -> Result<Arc<Image>, ImageError> {
        if address.origin() != Origin::Disk {
            let path = address.source().into();
            return Err(ImageError::Elsewhere { path });
        }
        let path = one_on_disk(Path::new(address.source()), &self.limits)?;
        Image::open(path, self.limits.clone())
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
        ProbeError::new(error.to_string())
    }
}
