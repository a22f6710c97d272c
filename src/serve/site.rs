//! What is served: the folder, the folder of its assets, and what is started.

use super::artifact::Choice;
use super::error::ServeError;
use super::folder::Folder;
use super::found::{Found, Listing, MAX_ENTRIES};
use super::judged::Judge;
use super::opened::Opened;
use super::refusal::{Red, Refusal};
use super::{groups, kernels::Kernels, menu};
use std::path::Path;
use std::sync::Arc;

/// Where what is served lies, and who says whether it may be given.
#[derive(Clone, Debug)]
pub enum Place<'p> {
    /// In a folder on disk.
    Folder(&'p Path, Arc<dyn Judge>),
    /// In an OCI layout, which has its verdict with it.
    Layout(&'p Path, Choice),
}

impl Place<'_> {
    fn open(&self) -> Result<Folder, ServeError> {
        match self {
            Self::Folder(path, judge) => {
                let opened = Folder::open(path, Arc::clone(judge));
                opened.map_err(|source| ServeError::Folder {
                    path: (*path).to_owned(),
                    source,
                })
            }
            Self::Layout(path, choice) => Folder::of_layout(path, choice),
        }
    }
}

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
    /// Where it is no folder and no artifact, may not be read, or is not green.
    pub fn open(
        place: &Place<'_>,
        loaders: Option<&Place<'_>>,
        cmdline: &str,
    ) -> Result<Arc<Self>, ServeError> {
        let folder = place.open()?;
        let loaders = loaders.map(Place::open).transpose()?;
        let grouped = groups::decide(&folder);
        let assets = folder.below(if grouped { "assets" } else { "" });
        Ok(Arc::new(Self {
            folder,
            assets,
            loaders,
            grouped,
            cmdline: cmdline.to_owned(),
        }))
    }

    /// Tells whether all that was judged is green, so that something may be given.
    ///
    /// # Errors
    /// Says why it is not.
    pub fn green(&self) -> Result<(), Refusal> {
        self.as_begun()?;
        self.loaders.as_ref().map_or(Ok(()), Folder::green)
    }

    /// Tells whether groups decide now where they did at the beginning: else what was no asset would be
    /// given as one.
    fn as_begun(&self) -> Result<(), Refusal> {
        self.folder.green()?;
        match groups::decide(&self.folder) == self.grouped {
            true => Ok(()),
            false => Err(Refusal::NotGreen(Red::told(match self.grouped {
                true => "groups/ and profiles/ are gone: start tdg serve again",
                false => "groups/ or profiles/ came to be: start tdg serve again",
            }))),
        }
    }

    /// Lists a folder of the assets.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn listed(&self, name: &str) -> Result<Listing, Refusal> {
        self.as_begun()?;
        let assets = self.assets.as_ref();
        assets.map_or(Err(Refusal::NotThere), |assets| assets.list(name))
    }

    /// Finds an asset: a file of the folder, a configuration for GRUB that is made where the folder
    /// has none, a file of the boot loaders' folder.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn asset(&self, name: &str) -> Result<Found, Refusal> {
        self.as_begun()?;
        match self.own(name) {
            Err(Refusal::NotThere) => {}
            other => return other,
        }
        match self.menu(name) {
            Some(Ok(text)) => return Ok(Found::File(Opened::text(text))),
            // Another configuration would boot something else in the place of what is lacking.
            Some(Err(why @ Refusal::Without { .. })) => return Err(why),
            Some(Err(_)) | None => {}
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
    pub fn menu(&self, name: &str) -> Option<Result<String, Refusal>> {
        (!self.grouped && menu::is_one(name)).then(|| {
            self.as_begun()?;
            let kernels = self.kernels();
            menu::grub(&kernels, &self.cmdline).map_err(|why| kernels.refusal(None, why))
        })
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
        let mut notes = self.folder.notes();
        for folder in [self.assets.as_ref(), self.loaders.as_ref()]
            .into_iter()
            .flatten()
        {
            if folder.list("").is_ok_and(|found| found.cut) {
                notes.push(format!(
                    "{} has more than {MAX_ENTRIES} entries: no more are looked at, and no kernel is \
                     found in it; each is given by its name",
                    folder.path().display()
                ));
            }
        }
        if let Some(loaders) = &self.loaders {
            notes.extend(loaders.notes());
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
