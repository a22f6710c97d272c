//! What a program that tdg started must leave alone: seen before it, looked at after it, undone.
//!
//! Specs, recipe, lock, tdg's own files and the settings of the project's repository decide what
//! a loop comes to; they are kept and put back. Everything else of the project is seen and named.
//! Times of change (`ctime`) give away what a program set back. Nothing is followed.

use super::law;
use super::paths::Paths;
use super::recipe::{Recipe, Variant};
use crate::probe::store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// No project has more entries than this.
const MAX_ENTRIES: usize = 1_000_000;
/// A file that decides is kept where it is not larger than this, in bytes.
const MAX_KEPT: u64 = 1 << 20;
/// All that is kept together.
const MAX_KEPT_ALL: u64 = 64 << 20;

/// What of tdg's own folder is watched; `*` stands for the variant.
const OWN: &[&str] = &[
    ".gitignore",
    "candidates/*",
    "records/*.json",
    "source.git/HEAD",
    "source.git/config",
    "source.git/config.worktree",
    "source.git/hooks",
    "source.git/info",
    "source.git/objects/info",
    "source.git/refs/replace",
    "source.git/worktrees/*/HEAD",
    "source.git/worktrees/*/commondir",
    "source.git/worktrees/*/config.worktree",
    "source.git/worktrees/*/gitdir",
    "work/*",
];

/// What in a repository changes whenever somebody looks at it, or is named by its content.
const PASSING_GIT: &[&str] = &[
    "objects",
    "logs",
    "index",
    "index.lock",
    "FETCH_HEAD",
    "ORIG_HEAD",
    "COMMIT_EDITMSG",
];

/// An entry as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    inode: u64,
    size: u64,
    /// When it or its numbers changed last; nothing for a folder, whose entries are seen.
    changed: (i64, i64),
    target: Option<PathBuf>,
}

impl Seen {
    fn of(path: &Path, meta: &Metadata) -> Self {
        let folder = meta.is_dir();
        Self {
            mode: meta.mode(),
            inode: meta.ino(),
            size: if folder { 0 } else { meta.len() },
            changed: if folder {
                (0, 0)
            } else {
                (meta.ctime(), meta.ctime_nsec())
            },
            target: meta
                .is_symlink()
                .then(|| fs::read_link(path).ok())
                .flatten(),
        }
    }
}

/// A project before a program was let loose on it.
pub(super) struct Watch {
    rules: Rules,
    seen: BTreeMap<PathBuf, Seen>,
    kept: BTreeMap<PathBuf, Vec<u8>>,
}

/// Which paths of a project are looked at, and which of them decide.
struct Rules {
    project: PathBuf,
    variant: String,
    /// Where this variant's artifacts are, and where all are.
    assets: PathBuf,
    all_assets: PathBuf,
    /// What the program may change: the folder of the series, or the series and its patches.
    series: BTreeSet<PathBuf>,
    law: BTreeSet<PathBuf>,
}

/// What was changed that must not be.
pub(super) struct Breach {
    /// Each change, in words, with what became of it.
    pub(super) changes: Vec<String>,
}

impl Watch {
    /// Looks at a project.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub(super) fn look(
        paths: &Paths,
        recipe: &Recipe,
        variant: &Variant,
        law: &law::Law,
        patches: &[PathBuf],
    ) -> io::Result<Self> {
        let rules = Rules::new(paths, recipe, variant, law, patches);
        let seen = rules.look()?;
        let mut kept = BTreeMap::new();
        let mut all = 0;
        for (path, entry) in &seen {
            let file = entry.mode & 0o170_000 == 0o100_000;
            if !file || !rules.decides(path) || entry.size > MAX_KEPT {
                continue;
            }
            all += entry.size;
            if all > MAX_KEPT_ALL {
                break;
            }
            if !path.starts_with(rules.work()) {
                kept.insert(path.clone(), fs::read(rules.project.join(path))?);
            }
        }
        Ok(Self { rules, seen, kept })
    }

    /// Looks again; undoes and names what is not as it was. `patches` are those the series names
    /// now.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub(super) fn again(mut self, patches: &[PathBuf]) -> io::Result<Option<Breach>> {
        let project = self.rules.project.clone();
        for path in patches {
            let path = path.strip_prefix(&project).unwrap_or(path);
            self.rules.series.insert(path.to_owned());
        }
        let now = self.rules.look()?;
        let names: BTreeSet<&PathBuf> = self.seen.keys().chain(now.keys()).collect();
        let mut changes = Vec::new();
        let mut tree = false;
        for path in names {
            let (before, after) = (self.seen.get(path), now.get(path));
            if before == after || self.rules.may(path) || self.same(path, before, after) {
                continue;
            }
            if path.starts_with(self.rules.work()) {
                tree = true;
                continue;
            }
            let word = match (before, after) {
                (Some(_), Some(_)) => "was changed",
                (Some(_), None) => "was removed",
                (None, _) => "was added",
            };
            let end = match self.rules.decides(path) {
                true => match self.undo(path, before) {
                    Ok(true) => "undone",
                    Ok(false) | Err(_) => "could not be undone",
                },
                false => "left as it is",
            };
            changes.push(format!("{} {word} ({end})", path.display()));
        }
        if tree {
            let work = self.rules.work();
            let end = match store::remove(&project.join(&work)) {
                Ok(()) => "it is made anew",
                Err(_) => "could not be undone",
            };
            changes.push(format!("{} was changed ({end})", work.display()));
        }
        Ok((!changes.is_empty()).then_some(Breach { changes }))
    }

    /// Tells whether a file that decides says what it said, whatever its times.
    fn same(&self, path: &Path, before: Option<&Seen>, after: Option<&Seen>) -> bool {
        let (Some(before), Some(after), Some(kept)) = (before, after, self.kept.get(path)) else {
            return false;
        };
        before.mode == after.mode
            && before.size == after.size
            && fs::read(self.rules.project.join(path)).is_ok_and(|now| now == *kept)
    }

    /// Puts an entry back; what is there is moved to `.tdg/replaced`. Tells whether it is as before.
    fn undo(&self, path: &Path, before: Option<&Seen>) -> io::Result<bool> {
        let here = self.rules.project.join(path);
        let Some(before) = before else {
            if fs::symlink_metadata(&here).is_ok() {
                self.set_aside(path)?;
            }
            return Ok(true);
        };
        if before.mode & 0o170_000 == 0o040_000 {
            if !fs::symlink_metadata(&here).is_ok_and(|m| m.is_dir()) {
                self.set_aside(path)?;
                fs::create_dir_all(&here)?;
            }
            fs::set_permissions(&here, Permissions::from_mode(before.mode & 0o7777))?;
            return Ok(true);
        }
        if let Some(target) = &before.target {
            self.set_aside(path)?;
            std::os::unix::fs::symlink(target, &here)?;
            return Ok(true);
        }
        let Some(kept) = self.kept.get(path) else {
            return Ok(false);
        };
        self.set_aside(path)?;
        store::write(&here, kept)?;
        fs::set_permissions(&here, Permissions::from_mode(before.mode & 0o7777))?;
        Ok(true)
    }

    fn set_aside(&self, path: &Path) -> io::Result<()> {
        set_aside(&self.rules.project, path)
    }
}

/// Moves an entry of a project, whatever it is, to `.tdg/replaced`; nothing there is fine.
pub(super) fn set_aside(project: &Path, path: &Path) -> io::Result<()> {
    let here = project.join(path);
    if fs::symlink_metadata(&here).is_err() {
        return Ok(());
    }
    let aside = project.join(".tdg/replaced");
    if fs::symlink_metadata(&aside).is_ok_and(|m| !m.is_dir()) {
        fs::remove_file(&aside)?;
    }
    // One flat name: no folder on the way could lead elsewhere.
    let flat = path.to_string_lossy().replace('/', "%");
    let to = aside.join(flat);
    store::remove(&to)?;
    fs::create_dir_all(&aside)?;
    fs::rename(&here, &to)
}

impl Rules {
    fn new(
        paths: &Paths,
        recipe: &Recipe,
        variant: &Variant,
        law: &law::Law,
        patches: &[PathBuf],
    ) -> Self {
        let project = paths.project().to_owned();
        let relative = |path: &Path| path.strip_prefix(&project).unwrap_or(path).to_owned();
        let mut series: BTreeSet<PathBuf> = patches.iter().map(|p| relative(p)).collect();
        if let Some(name) = &variant.series {
            let name = Path::new(name);
            series.insert(name.to_owned());
            // A folder of patches is the program's to work in.
            let folder = name.parent().filter(|f| !f.as_os_str().is_empty());
            series.extend(folder.map(Path::to_owned));
        }
        let mut law: BTreeSet<PathBuf> = law.keys().map(PathBuf::from).collect();
        law.insert(relative(&recipe.path));
        law.insert(relative(&paths.lock()));
        law.insert(PathBuf::from("tdg.lock"));
        law.extend(variant.verify.iter().map(PathBuf::from));
        Self {
            variant: variant.name.clone(),
            assets: paths.assets(variant),
            all_assets: PathBuf::from("_out/assets"),
            series,
            law,
            project,
        }
    }

    fn work(&self) -> PathBuf {
        Path::new(".tdg/work").join(&self.variant)
    }

    /// Tells whether the program may change a path.
    fn may(&self, path: &Path) -> bool {
        self.series.contains(path)
            || (self.series.iter().any(|s| path.starts_with(s))
                && !self.law.iter().any(|law| path.starts_with(law)))
    }

    /// Tells whether a path decides what a loop comes to.
    fn decides(&self, path: &Path) -> bool {
        path.starts_with(".tdg")
            || path.starts_with(".git")
            || self.law.iter().any(|law| path.starts_with(law))
    }

    /// Tells whether a path is looked at, and what is below it.
    fn watched(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == "__pycache__" || law::passing(&name) {
            return false;
        }
        if let Ok(below) = path.strip_prefix(".git") {
            let mut parts = below.iter();
            let first = parts.next().unwrap_or_default();
            return !PASSING_GIT.iter().any(|passing| first == *passing);
        }
        if let Ok(below) = path.strip_prefix(".tdg") {
            return self.own(below);
        }
        // The artifacts of other variants may be collected meanwhile.
        let others = path.starts_with(&self.all_assets) && path != self.all_assets;
        !others || path.starts_with(&self.assets) || self.assets.starts_with(path)
    }

    fn own(&self, below: &Path) -> bool {
        OWN.iter().any(|own| {
            let own = PathBuf::from(own.replace('*', &self.variant));
            below.starts_with(&own) || own.starts_with(below)
        })
    }

    fn look(&self) -> io::Result<BTreeMap<PathBuf, Seen>> {
        let mut seen = BTreeMap::new();
        let relative = |path: &Path| path.strip_prefix(&self.project).unwrap_or(path).to_owned();
        let walk = walkdir::WalkDir::new(&self.project).min_depth(1);
        let walk = walk.into_iter().filter_entry(|entry| {
            let path = relative(entry.path());
            path.as_os_str().is_empty() || self.watched(&path)
        });
        for entry in walk {
            let path = match &entry {
                Ok(entry) => entry.path().to_owned(),
                // What goes while it is looked at is gone.
                Err(error) if error.io_error().is_some_and(gone) => continue,
                Err(error) => return Err(io::Error::other(error.to_string())),
            };
            match fs::symlink_metadata(&path) {
                Ok(meta) => {
                    seen.insert(relative(&path), Seen::of(&path, &meta));
                }
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
            }
            if seen.len() > MAX_ENTRIES {
                return Err(io::Error::other(format!(
                    "the project has more than {MAX_ENTRIES} files"
                )));
            }
        }
        Ok(seen)
    }
}

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
