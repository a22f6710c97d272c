//! What is served: the folder, the folder of its assets, and what is started.

use super::error::ServeError;
use super::folder::{Folder, Found, Judged, Refusal};
use super::opened::Opened;
use super::{groups, kernels::Kernels, menu};
use std::path::Path;
use std::sync::Arc;

/// What is served.
#[derive(Debug)]
pub struct Site {
    /// The folder with `groups/` and `profiles/`, where there are any.
    pub folder: Folder,
    /// What is below `/assets/`, and what TFTP gives: `assets/` of a folder that has groups (whose
    /// metadata are not for everybody), or the folder itself.
    pub assets: Option<Folder>,
    /// The folder whose boot loaders are given too, with what belongs to them.
    pub loaders: Option<Folder>,
    /// Whether groups decide what a machine gets.
    pub grouped: bool,
    /// What is appended to the kernel's command line where no groups decide.
    pub cmdline: String,
}

impl Site {
    /// Opens a folder, and the one of boot loaders; files that were judged are served as long as they
    /// are what was judged.
    ///
    /// # Errors
    /// Where it is no folder, or may not be read.
    pub fn open(
        (path, judged): (&Path, &Judged),
        loaders: Option<(&Path, &Judged)>,
        cmdline: &str,
    ) -> Result<Arc<Self>, ServeError> {
        let open = |path: &Path, judged: &Judged| {
            let folder = Folder::open(path).map_err(|source| ServeError::Folder {
                path: path.to_owned(),
                source,
            })?;
            Ok(folder.with_judged(judged.clone()))
        };
        let folder = open(path, judged)?;
        let loaders = loaders
            .map(|(path, judged)| open(path, judged))
            .transpose()?;
        let grouped = groups::decide(&folder);
        let assets = match grouped {
            true => folder.below("assets"),
            false => Some(open(path, judged)?),
        };
        Ok(Arc::new(Self {
            folder,
            assets,
            loaders,
            grouped,
            cmdline: cmdline.to_owned(),
        }))
    }

    /// Finds an asset: a file of the folder, a configuration for GRUB that is made where the folder
    /// has none, a file of the boot loaders' folder.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn asset(&self, name: &str) -> Result<Found, Refusal> {
        match self.own(name) {
            Err(Refusal::NotThere) => {}
            other => return other,
        }
        if let Some(Ok(text)) = self.menu(name) {
            return Ok(Found::File(Opened::text(text)));
        }
        let loaders = self.loaders.as_ref();
        loaders.map_or(Err(Refusal::NotThere), |loaders| loaders.find(name))
    }

    fn own(&self, name: &str) -> Result<Found, Refusal> {
        let assets = self.assets.as_ref();
        assets.map_or(Err(Refusal::NotThere), |assets| assets.find(name))
    }

    /// Writes the configuration that GRUB asks for by a name; `None` where it is none of those, or
    /// groups decide.
    pub fn menu(&self, name: &str) -> Option<Result<String, String>> {
        (!self.grouped && menu::is_one(name)).then(|| menu::grub(&self.kernels(), &self.cmdline))
    }

    /// Gives what there is to start, as it is now.
    pub fn kernels(&self) -> Kernels {
        let kernels = self.assets.as_ref().map(Kernels::find).unwrap_or_default();
        match &self.loaders {
            Some(loaders) => {
                let taken = |name: &str| !matches!(self.own(name), Err(Refusal::NotThere));
                kernels.with_loaders(loaders, taken)
            }
            None => kernels,
        }
    }

    /// Says what there is to know before anybody asks.
    pub fn notes(&self) -> Vec<String> {
        let path = self.folder.path().display();
        let kernels = self.kernels();
        let mut notes = Vec::new();
        if let Some(loaders) = &self.loaders {
            let names = kernels
                .loaders
                .iter()
                .map(|l| format!("{} ({})", l.name, l.arch));
            let names = names.collect::<Vec<_>>().join(", ");
            notes.push(match names.is_empty() {
                true => format!("no boot loader is in {}", loaders.path().display()),
                false => format!("boot loaders: {names}"),
            });
        }
        if self.grouped {
            notes.push(match &self.assets {
                Some(_) => format!("groups and profiles of {path} decide"),
                None => format!("groups and profiles of {path} decide; there is no assets/"),
            });
            return notes;
        }
        notes.push(match kernels.script(None, &self.cmdline) {
            Ok(script) => {
                let lines = script.lines().skip(1).filter(|line| *line != "boot");
                format!("{path}: {}", lines.collect::<Vec<_>>().join("; "))
            }
            Err(why) => format!("{path}: {why}"),
        });
        notes
    }
}
