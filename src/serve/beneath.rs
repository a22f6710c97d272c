//! A folder on disk: nothing outside of it is opened, whatever a name or a link says.
//!
//! The kernel resolves each name beneath the folder (`openat2` with `RESOLVE_BENEATH`): a link that
//! leads out is refused by it, also where it is put there between a look and the opening.

use super::found::{Entry, Found, Listing, MAX_ENTRIES};
use super::judged::{Judge, Judged, Stamp};
use super::opened::Opened;
use super::refusal::{Refusal, plain};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, fstat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// How a file is opened: a pipe would be waited for.
const OPEN: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);
/// How often a name that is renamed meanwhile is looked for.
const TRIES: usize = 32;

/// A folder on disk.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
    judge: Arc<dyn Judge>,
    /// Where it lies in the folder that is judged; empty where it is that folder.
    within: String,
}

/// What is open.
enum Seen {
    File(Opened),
    Folder(OwnedFd),
}

impl Beneath {
    /// Opens a folder.
    ///
    /// # Errors
    /// Where it is none, may not be read, or the system cannot keep names inside of it.
    pub fn open(path: &Path, judge: Arc<dyn Judge>) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let root = open(path, flags, Mode::empty())?;
        let folder = Self {
            root,
            judge,
            within: String::new(),
        };
        folder.resolve(".", OPEN | OFlag::O_DIRECTORY)?;
        Ok(folder)
    }

    /// Gives the folder below this one, where there is one.
    pub fn below(&self, name: &str) -> Option<Self> {
        let Ok(Seen::Folder(root)) = self.see(name, &Judged::default()) else {
            return None;
        };
        // A link leads to where it was judged under another name.
        let within = self.judged_as(&self.place(&root)?);
        Some(Self {
            root,
            judge: Arc::clone(&self.judge),
            within,
        })
    }

    /// Tells whether what was judged is green.
    ///
    /// # Errors
    /// Says why it is not.
    pub fn green(&self) -> Result<Arc<Judged>, Refusal> {
        self.judge.now().map_err(Refusal::NotGreen)
    }

    /// Finds what a name leads to. Slashes at its beginning and end do not matter.
    ///
    /// # Errors
    /// Says why it leads to nothing.
    pub fn find(&self, name: &str) -> Result<Found, Refusal> {
        Ok(match self.see(name, &*self.green()?)? {
            Seen::File(file) => Found::File(file),
            Seen::Folder(_) => Found::Folder,
        })
    }

    fn resolve(&self, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(resolve);
        // The kernel gives up where something on the way was renamed meanwhile.
        for _ in 0..TRIES {
            match openat2(&self.root, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                opened => return opened,
            }
        }
        Err(Errno::EAGAIN)
    }

    fn see(&self, name: &str, judged: &Judged) -> Result<Seen, Refusal> {
        let path = plain(name)?;
        let opened = self.resolve(if path.is_empty() { "." } else { &path }, OPEN);
        let file = opened.map_err(|error| match refusal(error) {
            // That it is gone makes nothing else what was judged.
            Refusal::NotThere if judged.files.contains_key(&self.judged_as(&path)) => {
                Refusal::Changed
            }
            Refusal::NotThere if self.dangles(&path) => Refusal::Dangling,
            why => why,
        });
        let file = File::from(file?);
        let meta = file.metadata().map_err(|_| Refusal::Unreadable)?;
        if meta.is_dir() {
            return Ok(Seen::Folder(file.into()));
        }
        if !meta.is_file() {
            return Err(Refusal::Special);
        }
        if !judged.is_empty() {
            let at = self.place(&file).ok_or(Refusal::Changed)?;
            if let Some(why) = judged.refuses(&self.judged_as(&at), Stamp::of(&meta)) {
                return Err(why);
            }
        }
        Ok(Seen::File(Opened::file(file, &meta)))
    }

    /// Tells whether a link is what leads to nothing: its name is taken.
    fn dangles(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let part = path.get(..end).unwrap_or_default();
            let itself = self.resolve(part, OFlag::O_PATH | OFlag::O_NOFOLLOW);
            // Nothing has the name.
            if itself.is_err() {
                return false;
            }
            if self.resolve(part, OFlag::O_PATH).err() == Some(Errno::ENOENT) {
                return true;
            }
        }
        false
    }

    /// Gives the path by which what lies at a path was judged.
    fn judged_as(&self, path: &str) -> String {
        match (self.within.as_str(), path) {
            ("", path) => path.to_owned(),
            (within, "") => within.to_owned(),
            (within, path) => format!("{within}/{path}"),
        }
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
        let named = if path.is_empty() { "." } else { &path };
        let again = self.resolve(named, OPEN | OFlag::O_NOFOLLOW).ok()?;
        let same = |file: &dyn AsFd| {
            let found = fstat(file.as_fd()).ok()?;
            Some((found.st_dev, found.st_ino))
        };
        (same(opened)? == same(&again)?).then_some(path)
    }

    /// Lists a folder in the order of names, without those that begin with a dot: also what cannot be
    /// had, and what was judged and is gone.
    ///
    /// # Errors
    /// Says why it leads to no folder.
    pub fn list(&self, name: &str) -> Result<Listing, Refusal> {
        let judged = self.green()?;
        let Seen::Folder(folder) = self.see(name, &judged)? else {
            return Err(Refusal::Special);
        };
        let mut found = Listing::default();
        let mut opened = Dir::from_fd(folder).map_err(refusal)?;
        // The folder itself and the one above are listed as well.
        for (number, entry) in opened.iter().enumerate() {
            if number >= MAX_ENTRIES + 2 {
                found.cut = true;
                break;
            }
            let entry = entry.map_err(refusal)?;
            let Ok(entry) = entry.file_name().to_str() else {
                continue;
            };
            if entry.starts_with('.') {
                continue;
            }
            let (folder, refused) = match self.see(&format!("{name}/{entry}"), &judged) {
                Ok(Seen::Folder(_)) => (true, None),
                Ok(Seen::File(_)) => (false, None),
                Err(why) => (false, Some(why)),
            };
            found.entries.push(Entry {
                name: entry.to_owned(),
                folder,
                refused,
            });
        }
        let within = match self.judged_as(&plain(name)?) {
            own if own.is_empty() => own,
            other => format!("{other}/"),
        };
        for path in judged.files.keys() {
            let gone = path.strip_prefix(&within);
            let there = |name: &str| found.entries.iter().any(|e| e.name == name);
            let gone = gone.filter(|name| !name.contains('/') && !there(name));
            found.entries.extend(gone.map(|name| Entry {
                name: name.to_owned(),
                folder: false,
                refused: Some(Refusal::Changed),
            }));
        }
        found.entries.sort();
        Ok(found)
    }
}

pub(super) fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::EXDEV | Errno::ELOOP => Refusal::Outside,
        Errno::ENXIO | Errno::ENODEV => Refusal::Special,
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => Refusal::NotThere,
        // Also where there is no room for another file: that says nothing of what is there.
        _ => Refusal::Unreadable,
    }
}
