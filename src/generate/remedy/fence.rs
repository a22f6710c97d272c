//! The fence around a program: what it may not touch is seen before it and looked at after it.

use super::super::error::GenerateError;
use super::super::objects::Objects;
use super::super::recipe::Variant;
use super::super::secrets::Secrets;
use super::super::series;
use super::super::session::{Session, Stop};
use super::super::watch::Watch;
use super::keep;
use super::scan::{self, Escape, Root};
use super::unit::{Did, Situation};
use crate::model::Sha256Digest;
use crate::probe::store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// No patch that is looked into is larger than this, in bytes.
const MAX_PATCH: u64 = 64 << 20;

/// What was there before a program ran.
pub(super) struct Fence {
    watch: Watch,
    patches: Patches,
    objects: Objects,
}

/// The folder of a series, or the files of one that lies in the project's own.
struct Patches {
    folder: PathBuf,
    /// The folder as it was, where it is the series' own.
    root: Option<Root>,
    escapes: BTreeSet<Escape>,
    digests: BTreeMap<PathBuf, Sha256Digest>,
}

impl Fence {
    /// Looks at everything before the program runs.
    pub(super) fn put_up(session: &Session<'_>, situation: &Situation<'_>) -> Result<Self, Stop> {
        let variant = situation.variant;
        let project = session.paths.project();
        let io = |e| GenerateError::io(project)(e);
        let files = series::files(session.recipe, variant);
        Ok(Self {
            objects: Objects::look(&session.paths.source()).map_err(io)?,
            patches: Patches::look(session, variant, &files).map_err(io)?,
            watch: Watch::look(
                &session.paths,
                session.recipe,
                variant,
                &session.law,
                &files,
            )
            .map_err(io)?,
        })
    }

    /// Looks again; gives what to make of it where a bound was broken. Then everything that can be
    /// is as it was.
    pub(super) fn look(
        self,
        session: &mut Session<'_>,
        situation: &Situation<'_>,
        secrets: &Secrets,
    ) -> Result<Option<Did>, Stop> {
        let variant = situation.variant;
        let project = session.paths.project().to_owned();
        let io = |e| GenerateError::io(&project)(e);
        // Before anything is read through a link.
        let mut wrong = self.patches.wrong(session, variant).map_err(io)?;
        if wrong.is_some() {
            keep::restore(session, variant)?;
        }
        let files = series::files(session.recipe, variant);
        let breach = self.watch.again(&files).map_err(io)?;
        let mut changes = breach.map(|b| b.changes).unwrap_or_default();
        if self.objects.are_changed() {
            let clone = session.paths.source();
            let end = match store::remove(&clone) {
                Ok(()) => "it is made anew",
                Err(_) => "could not be undone",
            };
            changes.push(format!(".tdg/source.git/objects was changed ({end})"));
        }
        if let Some(forged) = session.journal.forged().map_err(GenerateError::from)? {
            changes.push(format!(".tdg/journal.jsonl {forged}"));
        }
        if !changes.is_empty() {
            let changes = changes.join(", ");
            return Ok(Some(Did::fatal(changes)));
        }
        if wrong.is_none() {
            let found = self.patches.secret(session, variant, secrets);
            wrong = found.map_err(io)?;
            if wrong.is_some() {
                keep::restore(session, variant)?;
            }
        }
        Ok(wrong.map(Did::refused))
    }
}

impl Patches {
    fn look(session: &Session<'_>, variant: &Variant, files: &[PathBuf]) -> io::Result<Self> {
        let project = session.paths.project();
        let own = keep::folder(variant).map(|folder| project.join(folder));
        let root = match &own {
            Some(folder) if fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir()) => {
                Some(Root::of(folder)?)
            }
            Some(_) | None => None,
        };
        let mut patches = Self {
            folder: own.unwrap_or_else(|| project.to_owned()),
            root,
            escapes: BTreeSet::new(),
            digests: BTreeMap::new(),
        };
        patches.escapes = patches.scan(files)?;
        patches.digests = patches.digests(files)?;
        Ok(patches)
    }

    fn scan(&self, files: &[PathBuf]) -> io::Result<BTreeSet<Escape>> {
        scan::patches(&self.folder, self.root.is_none().then_some(files))
    }

    /// Says what leads out since the program ran.
    fn wrong(&self, session: &Session<'_>, variant: &Variant) -> io::Result<Option<String>> {
        let shown = session.recipe.shown(&self.folder);
        if self.root.is_some() && Root::of(&self.folder).ok() != self.root {
            return Ok(Some(format!("{shown} leads elsewhere now")));
        }
        let series = variant
            .series
            .iter()
            .map(|s| session.paths.project().join(s));
        let mut files: Vec<PathBuf> = series.collect();
        if self.root.is_none() {
            let own = self.scan(&files)?;
            if own.difference(&self.escapes).next().is_none() {
                files = series::files(session.recipe, variant);
            }
        }
        let now = self.scan(&files)?;
        let new: Vec<String> = now
            .difference(&self.escapes)
            .take(5)
            .map(|e| {
                format!(
                    "{} {}",
                    session.recipe.shown(&self.folder.join(&e.path)),
                    e.what
                )
            })
            .collect();
        Ok((!new.is_empty()).then(|| new.join("; ")))
    }

    fn paths(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        if self.root.is_none() {
            return files.to_vec();
        }
        let walk = walkdir::WalkDir::new(&self.folder).into_iter().flatten();
        let files = walk.filter(|e| e.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }

    fn digests(&self, files: &[PathBuf]) -> io::Result<BTreeMap<PathBuf, Sha256Digest>> {
        let mut digests = BTreeMap::new();
        for path in self.paths(files) {
            if let Some(bytes) = read(&path)? {
                digests.insert(path, Sha256Digest::of(&bytes));
            }
        }
        Ok(digests)
    }

    /// Says which secret a patch that is new or changed contains.
    fn secret(
        &self,
        session: &Session<'_>,
        variant: &Variant,
        secrets: &Secrets,
    ) -> io::Result<Option<String>> {
        if secrets.is_empty() {
            return Ok(None);
        }
        for path in self.paths(&series::files(session.recipe, variant)) {
            let shown = session.recipe.shown(&path);
            if let Some(name) = secrets.find(shown.as_bytes()) {
                return Ok(Some(format!(
                    "the name of a patch contains the secret {name}"
                )));
            }
            let Some(bytes) = read(&path)? else {
                return Ok(Some(format!("{shown} is too large to be looked into")));
            };
            if self.digests.get(&path) == Some(&Sha256Digest::of(&bytes)) {
                continue;
            }
            if let Some(name) = secrets.find_in_patch(&bytes) {
                return Ok(Some(format!("{shown} contains the secret {name}")));
            }
            if memchr::memmem::find(&bytes, b"\nGIT binary patch").is_some() {
                return Ok(Some(format!(
                    "{shown} is binary: whether a secret is in it cannot be seen; change the work tree instead"
                )));
            }
        }
        Ok(None)
    }
}

/// Reads a regular file; nothing where it is too large, or gone.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_PATCH {
        return Ok(None);
    }
    fs::read(path).map(Some)
}
