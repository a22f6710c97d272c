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

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
    /// Files that were judged, by their path in the folder, as they were then.
    judged: BTreeMap<String, Stamp>,
}

/// Why a name leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is there.
    NotThere,
    /// It leads out of the folder.
    Outside,
    /// It, or a folder on the way, begins with a dot.
    Hidden,
    /// It is neither a file nor a folder.
    Special,
    /// It may not be read.
    Unreadable,
    /// It is not what was judged any more.
    Changed,
}

impl Refusal {
    /// Says it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::NotThere => "nothing is there",
            Self::Outside => "it leads out of the folder",
            Self::Hidden => "names that begin with a dot are not served",
            Self::Special => "it is neither a file nor a folder",
            Self::Unreadable => "it may not be read",
            Self::Changed => "it was changed after it was judged",
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
            judged: BTreeMap::new(),
        };
        folder.beneath(".", OFlag::O_DIRECTORY)?;
        Ok(folder)
    }

    /// Serves these files only as long as they are what was judged.
    #[must_use]
    pub fn with_judged(mut self, judged: BTreeMap<String, Stamp>) -> Self {
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
        let within = format!("{within}/");
        let judged = self.judged.iter();
        let judged = judged
            .filter_map(|(path, stamp)| Some((path.strip_prefix(&within)?.to_owned(), *stamp)));
        Some(Self {
            root,
            path: self.path.join(name),
            judged: judged.collect(),
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
        openat2(
            &self.root,
            path,
            OpenHow::new().flags(flags).resolve(resolve),
        )
    }

    /// Finds what a name leads to. Slashes at its beginning and end do not matter.
    ///
    /// # Errors
    /// Says why it leads to nothing.
    pub fn find(&self, name: &str) -> Result<Found, Refusal> {
        let path = plain(name)?;
        let opened = self.beneath(if path.is_empty() { "." } else { &path }, OFlag::empty());
        let file = File::from(opened.map_err(refusal)?);
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
            if self.judged.get(&at).is_some_and(|then| *then != now) {
                return Err(Refusal::Changed);
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

    /// Reads a small file whole; `None` where it is none, or larger.
    pub fn small(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let opened = self.file(name).ok()?;
        let bytes = opened.read_at(0, most + 1).ok()?;
        (bytes.len() <= most).then_some(bytes)
    }

    /// Lists a folder in the order of names, without those that begin with a dot.
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
            let folder = match self.find(&format!("{name}/{entry}")) {
                Ok(Found::Folder(_)) => true,
                Ok(Found::File(_)) => false,
                // What cannot be had is not shown.
                Err(_) => continue,
            };
            entries.push(Entry {
                name: entry.to_owned(),
                folder,
            });
        }
        entries.sort();
        Ok(entries)
    }
}

fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::EXDEV | Errno::ELOOP => Refusal::Outside,
        Errno::EACCES | Errno::EPERM => Refusal::Unreadable,
        Errno::ENXIO | Errno::ENODEV => Refusal::Special,
        // Whatever else: no name is given away by it.
        _ => Refusal::NotThere,
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
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        std::fs::create_dir_all(at("in/sub")).unwrap();
        std::fs::write(at("secret"), "s").unwrap();
        std::fs::write(at("in/file"), "abc").unwrap();
        std::fs::write(at("in/.env"), "s").unwrap();
        symlink("../secret", at("in/out")).unwrap();
        symlink(at("secret"), at("in/absolute")).unwrap();
        symlink("../../..", at("in/sub/up")).unwrap();
        symlink("../file", at("in/sub/good")).unwrap();
        symlink("loop", at("in/loop")).unwrap();
        nix::unistd::mkfifo(&at("in/pipe"), Mode::S_IRWXU).unwrap();
        let folder = Folder::open(&at("in")).unwrap();
        for (name, why) in [
            ("../secret", Refusal::Outside),
            ("sub/../../secret", Refusal::Outside),
            ("/../in/file", Refusal::Outside),
            ("out", Refusal::Outside),
            ("absolute", Refusal::Outside),
            ("loop", Refusal::Outside),
            ("sub/up/secret", Refusal::Outside),
            (".env", Refusal::Hidden),
            ("sub/.x/y", Refusal::Hidden),
            ("pipe", Refusal::Special),
            ("nothing", Refusal::NotThere),
            ("file/x", Refusal::NotThere),
            ("file\0", Refusal::NotThere),
        ] {
            assert_eq!(folder.file(name).unwrap_err(), why, "{name}");
        }
        for name in ["file", "/file", "//./file", "sub/good"] {
            assert_eq!(folder.small(name, 3).unwrap(), b"abc", "{name}");
        }
        assert_eq!(folder.small("file", 2), None);
        let names = |name: &str| {
            let listed = folder.list(name).unwrap();
            listed.into_iter().map(|e| e.name).collect::<Vec<_>>()
        };
        assert_eq!(names("/"), ["file", "sub"]);
        assert_eq!(names("sub"), ["good"]);
        assert_eq!(folder.below("sub").unwrap().list("").unwrap().len(), 0);
    }

    #[test]
    fn what_was_judged_is_served_only_as_it_was() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("sub");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("kernel"), "abc").unwrap();
        let meta = std::fs::metadata(path.join("kernel")).unwrap();
        let stamp = Stamp {
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: 3,
        };
        let folder = Folder::open(world.path()).unwrap();
        let folder = folder.with_judged(BTreeMap::from([("sub/kernel".to_owned(), stamp)]));
        let sub = folder.below("sub").unwrap();
        assert!(folder.file("sub/kernel").is_ok() && sub.file("kernel").is_ok());
        std::fs::write(path.join("kernel"), "abcd").unwrap();
        assert_eq!(folder.file("/sub//kernel").unwrap_err(), Refusal::Changed);
        assert_eq!(sub.file("kernel").unwrap_err(), Refusal::Changed);
    }

    #[test]
    fn a_link_to_what_was_judged_is_no_way_around() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/kernel"), "abc").unwrap();
        std::fs::write(at("other"), "none judged this").unwrap();
        symlink("sub/kernel", at("link")).unwrap();
        symlink("sub", at("latest")).unwrap();
        let meta = std::fs::metadata(at("sub/kernel")).unwrap();
        let stamp = Stamp {
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: 3,
        };
        let folder = Folder::open(world.path()).unwrap();
        let folder = folder.with_judged(BTreeMap::from([("sub/kernel".to_owned(), stamp)]));
        let latest = folder.below("latest").unwrap();
        let found = || {
            let of = |folder: &Folder, name: &str| folder.file(name).err();
            [
                of(&folder, "link"),
                of(&folder, "latest/kernel"),
                of(&latest, "kernel"),
                of(&folder, "other"),
            ]
        };
        assert_eq!(found(), [None; 4]);
        let changed = Some(Refusal::Changed);
        std::fs::write(at("sub/kernel"), "xyz").unwrap();
        assert_eq!(found(), [changed, changed, changed, None]);
        // Another file of that name is none that was judged, whatever it holds.
        std::fs::write(at("new"), "abc").unwrap();
        std::fs::rename(at("new"), at("sub/kernel")).unwrap();
        assert_eq!(found(), [changed, changed, changed, None]);
    }
}
