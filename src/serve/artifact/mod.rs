//! The files of an OCI artifact, served from the blobs of a layout as they lie there.
//!
//! A blob is held to its digest and size before anything of it is given, and again where its file was
//! touched since. What the layout leads to is looked at again when its `index.json` changes: an
//! artifact that is packaged anew, or taken away, is so while it is served.
//!
//! Sources: OCI image specification 1.1, `image-layout.md`, `annotations.md`; OCI distribution
//! specification 1.1, "Listing Referrers".

mod blob;
mod contents;
mod layout;

use super::error::ServeError;
use super::found::{Entry, Found, Listing};
use super::opened::Opened;
use super::refusal::{Red, Refusal, plain};
use contents::Contents;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long nobody looks again whether the layout is the same.
const FRESH: Duration = Duration::from_millis(100);
/// For how long what could not be had is not tried again, and how many times longer than trying took.
const AGAIN: Duration = Duration::from_secs(1);
const REST: u32 = 20;

/// What of a layout is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The name or digest of what is meant; not needed where the layout leads to one thing.
    pub reference: Option<String>,
    /// Whether it is served whatever its verdict is.
    pub force: bool,
}

/// An artifact that is served.
#[derive(Debug)]
pub struct Artifact {
    place: PathBuf,
    choice: Choice,
    held: Mutex<Held>,
}

/// What the layout led to when somebody looked last.
#[derive(Debug)]
struct Held {
    looked: Instant,
    /// When it may be tried again, where it could not be had.
    again: Instant,
    /// The file and its state by which a change is known.
    index: Option<Index>,
    now: Result<Arc<Contents>, Red>,
}

/// A file `index.json` as it was: device, inode, change, size.
type Index = (u64, u64, (i64, i64), u64);

impl Artifact {
    /// Opens what a layout leads to, and holds all that is served to its digest.
    ///
    /// # Errors
    /// Says why it is not served.
    pub fn open(place: &Path, choice: &Choice) -> Result<Arc<Self>, ServeError> {
        // Before it is read: what changes meanwhile is read again.
        let index = index(place);
        let contents = contents::open(place, choice, None)?;
        let now = Instant::now();
        Ok(Arc::new(Self {
            place: place.to_owned(),
            choice: choice.clone(),
            held: Mutex::new(Held {
                looked: now,
                again: now,
                index,
                now: Ok(Arc::new(contents)),
            }),
        }))
    }

    /// Gives what the layout leads to now, where it is green.
    ///
    /// # Errors
    /// Says why nothing is given.
    pub fn green(&self) -> Result<Arc<Contents>, Refusal> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked.elapsed() >= FRESH {
            let index = index(&self.place);
            let begin = Instant::now();
            if index != held.index || held.now.is_err() && begin >= held.again {
                let had = held.now.as_ref().ok().map(Arc::clone);
                let opened = contents::open(&self.place, &self.choice, had.as_deref());
                held.now = opened.map(Arc::new).map_err(|error| red(&error));
                held.index = index;
                // All blobs may have been read for it.
                let rest = begin.elapsed().saturating_mul(REST).max(AGAIN);
                held.again = begin.checked_add(rest).unwrap_or(begin);
            }
            held.looked = Instant::now();
        }
        held.now.clone().map_err(Refusal::NotGreen)
    }

    /// Gives the path of a folder of it, where there is one.
    pub fn folder(&self, within: &str, name: &str) -> Option<String> {
        let path = joined(within, &plain(name).ok()?);
        self.green().ok()?.is_folder(&path).then_some(path)
    }

    /// Finds what a name leads to in a folder of it.
    ///
    /// # Errors
    /// Says why it leads to nothing.
    pub fn find(&self, within: &str, name: &str) -> Result<Found, Refusal> {
        let path = joined(within, &plain(name)?);
        let contents = self.green()?;
        if let Some(item) = contents.files.get(&path) {
            return contents.give(&path, item).map(Found::File);
        }
        match contents.is_folder(&path) {
            true => Ok(Found::Folder),
            false => Err(Refusal::NotThere),
        }
    }

    /// Lists a folder of it.
    ///
    /// # Errors
    /// Says why it leads to no folder.
    pub fn list(&self, within: &str, name: &str) -> Result<Listing, Refusal> {
        let path = joined(within, &plain(name)?);
        let contents = self.green()?;
        if !contents.is_folder(&path) {
            let file = contents.files.contains_key(&path);
            return Err(if file {
                Refusal::Special
            } else {
                Refusal::NotThere
            });
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (rest, item) in contents.below(&path) {
            let (name, folder) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            // What is in one folder may not stand together.
            if folder && entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            entries.push(Entry {
                name: name.to_owned(),
                folder,
                refused: match folder {
                    true => None,
                    false => contents.blob(item).err(),
                },
            });
        }
        entries.sort();
        Ok(Listing {
            entries,
            cut: false,
        })
    }

    /// Names all files in a folder of it.
    ///
    /// # Errors
    /// Where it is not green.
    pub fn all(&self, within: &str) -> Result<Vec<String>, Refusal> {
        let contents = self.green()?;
        Ok(contents
            .below(within)
            .map(|(rest, _)| rest.to_owned())
            .collect())
    }

    /// Says what is served, and how it was judged.
    pub fn notes(&self) -> Vec<String> {
        match self.green() {
            Ok(contents) => contents.notes.clone(),
            Err(why) => vec![why.shown().to_owned()],
        }
    }
}

fn joined(within: &str, path: &str) -> String {
    match (within, path) {
        ("", path) => path.to_owned(),
        (within, "") => within.to_owned(),
        (within, path) => format!("{within}/{path}"),
    }
}

/// Says what is wrong; where the layout lies is told to the one who serves alone.
fn red(error: &ServeError) -> Red {
    let told = match error {
        ServeError::NotGreen { why, .. } => format!("the artifact is not green: {why}"),
        ServeError::Which { what, .. } => format!("the layout {what}"),
        ServeError::Folder { .. }
        | ServeError::Layout { .. }
        | ServeError::Privilege { .. }
        | ServeError::Taken { .. }
        | ServeError::NoAddress { .. }
        | ServeError::Interface { .. }
        | ServeError::Version6
        | ServeError::NoAddressToTell(_)
        | ServeError::Local { .. } => "the artifact cannot be had".to_owned(),
    };
    Red::known(told, error.to_string())
}

fn index(place: &Path) -> Option<Index> {
    let meta = fs::metadata(place.join("index.json")).ok()?;
    let changed = (meta.ctime(), meta.ctime_nsec());
    Some((meta.dev(), meta.ino(), changed, meta.len()))
}

impl Contents {
    /// Opens a file, of a blob that is what its descriptor says.
    fn give(&self, path: &str, item: &contents::Item) -> Result<Opened, Refusal> {
        let (blob, stamp) = self.blob(item)?;
        let tag = [blob.digest(), path];
        let held = (blob.file(), stamp);
        Ok(Opened::blob(
            Arc::clone(&item.source),
            item.size,
            held,
            &tag,
        ))
    }
}
