//! What is served as a folder: one on disk, or the files of an artifact.

use super::artifact::{Artifact, Choice};
use super::beneath::Beneath;
use super::error::ServeError;
use super::found::{Found, Listing};
use super::judged::Judge;
use super::opened::Opened;
use super::refusal::Refusal;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    held: Held,
    path: PathBuf,
}

#[derive(Debug)]
enum Held {
    Disk(Beneath),
    /// An artifact, and a folder of it.
    Artifact(Arc<Artifact>, String),
}

impl Folder {
    /// Opens a folder on disk; files that were judged are served as long as they are what was judged.
    ///
    /// # Errors
    /// Where it is none, may not be read, or the system cannot keep names inside of it.
    pub fn open(path: &Path, judge: Arc<dyn Judge>) -> io::Result<Self> {
        Ok(Self {
            held: Held::Disk(Beneath::open(path, judge)?),
            path: path.to_owned(),
        })
    }

    /// Opens the artifact of an OCI layout.
    ///
    /// # Errors
    /// Says why it is not served, and what to do.
    pub fn of_layout(path: &Path, choice: &Choice) -> Result<Self, ServeError> {
        Ok(Self {
            held: Held::Artifact(Artifact::open(path, choice)?, String::new()),
            path: path.to_owned(),
        })
    }

    /// Gives the folder below this one, where there is one.
    pub fn below(&self, name: &str) -> Option<Self> {
        let held = match &self.held {
            Held::Disk(folder) => Held::Disk(folder.below(name)?),
            Held::Artifact(artifact, within) => {
                let place = artifact.folder(within, name)?;
                Held::Artifact(Arc::clone(artifact), place)
            }
        };
        let path = match name {
            "" => self.path.clone(),
            name => self.path.join(name),
        };
        Some(Self { held, path })
    }

    /// Gives where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether what was judged is green, so that something of it may be given.
    ///
    /// # Errors
    /// Says why it is not.
    pub fn green(&self) -> Result<(), Refusal> {
        match &self.held {
            Held::Disk(folder) => folder.green().map(drop),
            Held::Artifact(artifact, _) => artifact.green().map(drop),
        }
    }

    /// Finds what a name leads to. Slashes at its beginning and end do not matter.
    ///
    /// # Errors
    /// Says why it leads to nothing.
    pub fn find(&self, name: &str) -> Result<Found, Refusal> {
        match &self.held {
            Held::Disk(folder) => folder.find(name),
            Held::Artifact(artifact, within) => artifact.find(within, name),
        }
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Says why it leads to none.
    pub fn file(&self, name: &str) -> Result<Opened, Refusal> {
        match self.find(name)? {
            Found::File(opened) => Ok(opened),
            Found::Folder => Err(Refusal::Special),
        }
    }

    /// Reads a small file whole.
    ///
    /// # Errors
    /// Says why it cannot be had.
    pub fn small(&self, name: &str, most: usize) -> Result<Vec<u8>, Refusal> {
        let opened = self.file(name)?;
        let bytes = opened.read_at(0, most + 1);
        let bytes = bytes.map_err(|_| Refusal::Unreadable)?;
        match bytes.len() <= most {
            true => Ok(bytes),
            false => Err(Refusal::Large),
        }
    }

    /// Lists a folder in the order of names, without those that begin with a dot: also what cannot be
    /// had, and what was judged and is gone.
    ///
    /// # Errors
    /// Says why it leads to no folder.
    pub fn list(&self, name: &str) -> Result<Listing, Refusal> {
        match &self.held {
            Held::Disk(folder) => folder.list(name),
            Held::Artifact(artifact, within) => artifact.list(within, name),
        }
    }

    /// Says what there is to know of it before anybody asks.
    pub fn notes(&self) -> Vec<String> {
        match &self.held {
            Held::Disk(_) => Vec::new(),
            Held::Artifact(artifact, _) => artifact.notes(),
        }
    }

    /// Names all files of an artifact; of a folder on disk, whose files may be many, none.
    ///
    /// # Errors
    /// Where it is not green.
    pub fn all(&self) -> Result<Option<Vec<String>>, Refusal> {
        match &self.held {
            Held::Disk(_) => Ok(None),
            Held::Artifact(artifact, within) => artifact.all(within).map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
