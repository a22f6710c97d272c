//! What is served: the folder, the folder of its assets, and what is started.

use super::error::ServeError;
use super::folder::{Folder, Found, Refusal, Stamp};
use super::{groups, kernels::Kernels};
use std::collections::BTreeMap;
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
    /// Whether groups decide what a machine gets.
    pub grouped: bool,
    /// What is appended to the kernel's command line where no groups decide.
    pub cmdline: String,
}

impl Site {
    /// Opens a folder; files that were judged are served as long as they are what was judged.
    ///
    /// # Errors
    /// Where it is no folder, or may not be read.
    pub fn open(
        path: &Path,
        judged: BTreeMap<String, Stamp>,
        cmdline: &str,
    ) -> Result<Arc<Self>, ServeError> {
        let open = || Folder::open(path).map(|folder| folder.with_judged(judged.clone()));
        let failed = |source| ServeError::Folder {
            path: path.to_owned(),
            source,
        };
        let folder = open().map_err(failed)?;
        let grouped = groups::decide(&folder);
        let assets = match grouped {
            true => folder.below("assets"),
            false => Some(open().map_err(failed)?),
        };
        Ok(Arc::new(Self {
            folder,
            assets,
            grouped,
            cmdline: cmdline.to_owned(),
        }))
    }

    /// Finds an asset.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn asset(&self, name: &str) -> Result<Found, Refusal> {
        self.assets
            .as_ref()
            .map_or(Err(Refusal::NotThere), |assets| assets.find(name))
    }

    /// Gives what there is to start, as it is now.
    pub fn kernels(&self) -> Kernels {
        self.assets.as_ref().map(Kernels::find).unwrap_or_default()
    }

    /// Says what there is to know before anybody asks.
    pub fn notes(&self) -> Vec<String> {
        let path = self.folder.path().display();
        if self.grouped {
            return vec![match &self.assets {
                Some(_) => format!("groups and profiles of {path} decide"),
                None => format!("groups and profiles of {path} decide; there is no assets/"),
            }];
        }
        let kernels = self.kernels();
        vec![match kernels.script(None, &self.cmdline) {
            Ok(script) => {
                let lines = script.lines().skip(1).filter(|line| *line != "boot");
                format!("{path}: {}", lines.collect::<Vec<_>>().join("; "))
            }
            Err(why) => format!("{path}: {why}"),
        }]
    }
}
