//! The folder that is served: nothing outside of it is opened, whatever a name or a link says.
//!
//! The kernel resolves each name beneath the folder (`openat2` with `RESOLVE_BENEATH`): a link that
//! leads out is refused by it, also where it is put there between a look and the opening.

use super::opened::Opened;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, fstat};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// How often a name that is renamed meanwhile is looked for.
const TRIES: usize = 32;
/// Bytes of a name.
const MAX_NAME: usize = 4096;

/// When a file was changed last, seconds and nanoseconds, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the last change of content or status.
    pub changed: (i64, i64),
    /// Bytes.
    pub size: u64,
}

/// What was judged in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Files, by their path in the folder, as they were then.
    pub files: BTreeMap<String, Stamp>,
    /// Folders in it of which nothing else is served; an empty name is the folder itself.
    pub alone: Vec<String>,
}

impl Judged {
    /// Tells why a file, by its path and as it is now, is not served.
    fn refuses(&self, path: &str, now: Stamp) -> Option<Refusal> {
        let within = |folder: &String| {
            folder.is_empty()
                || path
                    .strip_prefix(folder)
                    .is_some_and(|r| r.starts_with('/'))
        };
        match self.files.get(path) {
            Some(then) => (*then != now).then_some(Refusal::Changed),
            None => self.alone.iter().any(within).then_some(Refusal::Unjudged),
        }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.alone.is_empty()
    }

    /// Gives what was judged in a folder in it.
    fn below(&self, folder: &str) -> Self {
        let within = format!("{folder}/");
        let inside = |path: &String| path.strip_prefix(&within).map(str::to_owned);
        let files = self.files.iter();
        let files = files.filter_map(|(path, stamp)| Some((inside(path)?, *stamp)));
        let alone = self.alone.iter().filter_map(|of| {
            let around = of.is_empty() || of == folder || folder.starts_with(&format!("{of}/"));
            if around {
                Some(String::new())
            } else {
                inside(of)
            }
        });
        Self {
            files: files.collect(),
            alone: alone.collect(),
        }
    }
}

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
    judged: Judged,
}

/// Why a name leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Nothing is there.
    NotThere,
    /// It leads out of the folder.
    Outside,
    /// It, or a folder on the way, begins with a dot.
    Hidden,
    /// It is neither a file nor a folder.
    Special,
    /// It may not be read, or cannot be just now.
    Unreadable,
    /// It is not what was judged any more.
    Changed,
    /// A loop's folder holds it, and no loop judged it.
    Unjudged,
    /// It is larger than what is read of it.
    Large,
}

impl Refusal {
    /// Says it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::NotThere => "nothing is there",
            Self::Outside => "it leads out of the folder",
            Self::Hidden => "names that begin with a dot are not served",
            Self::Special => "it is neither a file nor a folder",
            Self::Unreadable => "it cannot be read",
            Self::Changed => {
                "it was changed after it was judged: build it until it is green and start tdg serve \
                 again"
            }
            Self::Unjudged => {
                "no loop judged it: start tdg serve again once it is green, or with --force"
            }
            Self::Large => "it is too large",
        }
    }
}

/// What a name leads to.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Opened),
    /// A folder.
    Folder(OwnedFd),
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder; of a link, what it leads to.
    pub folder: bool,
    /// Why it cannot be had.
    pub refused: Option<Refusal>,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// Where it is none, may not be read, or the system cannot keep names inside of it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let root = open(path, flags, Mode::empty())?;
        let folder = Self {
            root,
            path: path.to_owned(),
            judged: Judged::default(),
        };
        folder.beneath(".", OFlag::O_DIRECTORY)?;
        Ok(folder)
    }

    /// Serves what was judged only as long as it is what was judged.
    #[must_use]
    pub fn with_judged(mut self, judged: Judged) -> Self {
        self.judged = judged;
        self
    }

    /// Gives the folder below this one, where there is one.
    pub fn below(&self, name: &str) -> Option<Self> {
        let Ok(Found::Folder(root)) = self.find(name) else {
            return None;
        };
        // A link leads to where it was judged under another name.
        let within = match self.judged.is_empty() {
            true => name.to_owned(),
            false => self.place(&root)?,
        };
        Some(Self {
            root,
            path: self.path.join(name),
            judged: self.judged.below(&within),
        })
    }

    /// Gives where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beneath(&self, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        // A pipe would be waited for.
        let flags =
            flags | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        // The kernel gives up where something on the way was renamed meanwhile.
        for _ in 0..TRIES {
            match openat2(&self.root, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                opened => return opened,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Finds what a name leads to. Slashes at its beginning and end do not matter.
    ///
    /// # Errors
    /// Says why it leads to nothing.
    pub fn find(&self, name: &str) -> Result<Found, Refusal> {
        let path = plain(name)?;
        let opened = self.beneath(if path.is_empty() { "." } else { &path }, OFlag::empty());
        let file = opened.map_err(|error| match refusal(error) {
            // That it is gone makes nothing else what was judged.
            Refusal::NotThere if self.judged.files.contains_key(&path) => Refusal::Changed,
            why => why,
        });
        let file = File::from(file?);
        let meta = file.metadata().map_err(|_| Refusal::Unreadable)?;
        if meta.is_dir() {
            return Ok(Found::Folder(file.into()));
        }
        if !meta.is_file() {
            return Err(Refusal::Special);
        }
        let now = Stamp {
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.len(),
        };
        if !self.judged.is_empty() {
            let at = self.place(&file).ok_or(Refusal::Changed)?;
            if let Some(why) = self.judged.refuses(&at, now) {
                return Err(why);
            }
        }
        Ok(Found::File(Opened::file(file, &meta)))
    }

    /// Gives the path of what is open, links on the way to it aside; `None` where it is not there any
    /// more. What was judged is known by this path, whatever name led to it.
    fn place(&self, opened: &impl AsFd) -> Option<String> {
        let real = |file: std::os::fd::BorrowedFd<'_>| {
            std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
        };
        let (root, path) = (real(self.root.as_fd())?, real(opened.as_fd())?);
        let path = path.strip_prefix(root).ok()?.to_str()?.to_owned();
        // A name may have been given to another file since, and a name that is gone is shown as one.
        let again = self.beneath(&path, OFlag::O_NOFOLLOW).ok()?;
        let same = |file: &dyn AsFd| {
            let found = fstat(file.as_fd()).ok()?;
            Some((found.st_dev, found.st_ino))
        };
        (same(opened)? == same(&again)?).then_some(path)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Says why it leads to none.
    pub fn file(&self, name: &str) -> Result<Opened, Refusal> {
        match self.find(name)? {
            Found::File(opened) => Ok(opened),
            Found::Folder(_) => Err(Refusal::Special),
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
    pub fn list(&self, name: &str) -> Result<Vec<Entry>, Refusal> {
        let Found::Folder(folder) = self.find(name)? else {
            return Err(Refusal::Special);
        };
        let mut entries = Vec::new();
        let mut opened = Dir::from_fd(folder).map_err(refusal)?;
        for entry in opened.iter().take(MAX_ENTRIES) {
            let entry = entry.map_err(refusal)?;
            let Ok(entry) = entry.file_name().to_str() else {
                continue;
            };
            if entry.starts_with('.') {
                continue;
            }
            let (folder, refused) = match self.find(&format!("{name}/{entry}")) {
                Ok(Found::Folder(_)) => (true, None),
                Ok(Found::File(_)) => (false, None),
                Err(why) => (false, Some(why)),
            };
            entries.push(Entry {
                name: entry.to_owned(),
                folder,
                refused,
            });
        }
        let within = match plain(name)? {
            own if own.is_empty() => own,
            other => format!("{other}/"),
        };
        for path in self.judged.files.keys() {
            let gone = path.strip_prefix(&within);
            let gone = gone.filter(|n| !n.contains('/') && entries.iter().all(|e| e.name != *n));
            entries.extend(gone.map(|name| Entry {
                name: name.to_owned(),
                folder: false,
                refused: Some(Refusal::Changed),
            }));
        }
        entries.sort();
        Ok(entries)
    }
}

fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::EXDEV | Errno::ELOOP => Refusal::Outside,
        Errno::ENXIO | Errno::ENODEV => Refusal::Special,
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => Refusal::NotThere,
        // Also where there is no room for another file: that says nothing of what is there.
        _ => Refusal::Unreadable,
    }
}

/// Gives the parts of a name, or refuses one that would lead elsewhere.
fn plain(name: &str) -> Result<String, Refusal> {
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(Refusal::NotThere);
    }
    let parts = name.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.filter(|part| *part != ".").collect();
    if parts.contains(&"..") {
        return Err(Refusal::Outside);
    }
    match parts.iter().any(|part| part.starts_with('.')) {
        true => Err(Refusal::Hidden),
        false => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests;
