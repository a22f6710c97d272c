//! What a person changes while `--watch` waits: the recipe, series, patches and specs.

use super::recipe::{self, Recipe};
use super::{LoopOptions, law, series};
use crate::model::Sha256Digest;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No more files than this are looked at.
const MAX_FILES: usize = 20_000;

/// The files that a loop rests on, as they are at a moment.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    files: BTreeMap<String, Seen>,
    /// The files of the last recipe that could be read: one that is wrong names none.
    paths: Vec<PathBuf>,
    project: PathBuf,
}

/// One file: while its stamp holds, so does its digest.
#[derive(Clone, Debug)]
struct Seen {
    stamp: Stamp,
    digest: String,
}

/// What changes with a file: its device, number, size, and the time of its last change.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

pub(super) fn stamp(meta: &Metadata) -> Stamp {
    let (device, inode) = (meta.dev(), meta.ino());
    (device, inode, meta.len(), meta.ctime(), meta.ctime_nsec())
}

impl Changes {
    /// Looks at the files; what has not been touched since `before` is not read again.
    #[must_use]
    pub fn look(options: &LoopOptions, before: &Self) -> Self {
        let (paths, project) = match recipe::load(&options.recipe, &options.vars) {
            Ok(recipe) => (roots(&recipe), recipe.project),
            Err(_) => (before.paths.clone(), before.project.clone()),
        };
        let mut now = Self {
            files: BTreeMap::new(),
            paths,
            project,
        };
        let mut roots = now.paths.clone();
        roots.push(options.recipe.clone());
        for root in roots {
            for entry in walkdir::WalkDir::new(&root)
                .follow_links(true)
                .into_iter()
                .flatten()
            {
                let passing = law::passing(&entry.file_name().to_string_lossy());
                if !passing && entry.file_type().is_file() && now.files.len() < MAX_FILES {
                    now.add(entry.path(), before);
                }
            }
        }
        now
    }

    fn add(&mut self, path: &Path, before: &Self) {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = path.strip_prefix(&self.project).unwrap_or(&path);
        let name = name.display().to_string();
        let Ok(meta) = path.metadata() else {
            return;
        };
        let stamp = stamp(&meta);
        let known = before.files.get(&name).filter(|seen| seen.stamp == stamp);
        let digest = match known {
            Some(seen) => seen.digest.clone(),
            None => match File::open(&path).and_then(Sha256Digest::of_reader) {
                Ok(digest) => digest.to_string(),
                Err(error) => error.to_string(),
            },
        };
        self.files.insert(name, Seen { stamp, digest });
    }

    /// Names what is not as it was: `patches/01.patch changed`.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, seen) in &self.files {
            match before.files.get(name) {
                None => changes.push(format!("{name} is new")),
                Some(was) if was.digest != seen.digest => changes.push(format!("{name} changed")),
                Some(_) => {}
            }
        }
        let gone = before
            .files
            .keys()
            .filter(|name| !self.files.contains_key(*name));
        changes.extend(gone.map(|name| format!("{name} is gone")));
        changes
    }

    /// Takes some files as they are in another look: what a remedy changed is no person's change.
    pub fn take(&mut self, names: &[String], from: &Self) {
        for name in names {
            match from.files.get(name) {
                Some(seen) => self.files.insert(name.clone(), seen.clone()),
                None => self.files.remove(name),
            };
        }
    }

    /// Takes the series and patches as they are in another look.
    pub fn take_patches(&mut self, from: &Self, options: &LoopOptions) {
        let Ok(recipe) = recipe::load(&options.recipe, &options.vars) else {
            return;
        };
        let files = recipe
            .variants
            .iter()
            .flat_map(|v| series::files(&recipe, v));
        let names: Vec<String> = files.map(|file| recipe.shown(&file)).collect();
        self.take(&names, from);
    }
}

/// Lists what is looked at: each series with its patches, and what `verify` names.
fn roots(recipe: &Recipe) -> Vec<PathBuf> {
    let mut paths = vec![recipe.path.clone()];
    for variant in &recipe.variants {
        paths.extend(series::files(recipe, variant));
        paths.extend(variant.verify.iter().map(|p| recipe.project.join(p)));
    }
    paths.sort();
    paths.dedup();
    paths
}
