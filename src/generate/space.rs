//! Room on the disk: how much is free, and what of tdg's own could make some.

use super::event::Stage;
use super::paths::Paths;
use super::recipe::{Recipe, Variant};
use super::session::{Session, StageEnd};
use super::verify::{Failure, Place};
use crate::model::size::show_size;
use crate::probe::cache::Cache;
use crate::probe::store;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something of tdg's own that can be made again or that nobody needs any more.
#[derive(Clone, Debug)]
pub(super) struct Clearable {
    /// What it is, in words, with its place.
    pub(super) what: String,
    /// How much it takes.
    pub(super) bytes: u64,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    Folder(PathBuf),
    Cache(Arc<Cache>),
}

/// Gives the bytes that are free for this user on the file system of a path.
pub(super) fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let seen = nix::sys::statvfs::statvfs(there).ok()?;
    // The fields are as wide as the platform's, which is why they are widened here.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (
        u64::from(seen.blocks_available()),
        u64::from(seen.fragment_size()),
    );
    blocks.checked_mul(size)
}

/// Ends a stage before it begins where there is too little room for what it writes: hours of work are
/// not begun that a full disk would end.
pub(super) fn lacking(session: &Session<'_>, variant: &Variant, stage: Stage) -> Option<StageEnd> {
    let paths = &session.paths;
    let written = |stage| {
        let success = session.state.success(&variant.name, stage);
        let files = success.map(|(_, success)| success.files.as_slice());
        let sizes = files.unwrap_or_default().iter().map(|file| file.bytes);
        sizes.fold(0, u64::saturating_add)
    };
    let (needed, what) = match stage {
        Stage::Build => (variant.build.space.unwrap_or(0), "`build.space` asks for"),
        Stage::Collect => (written(Stage::Build), "the artifacts take"),
        Stage::Package => (written(Stage::Collect), "the package takes"),
        Stage::Source | Stage::Patch | Stage::Verify => return None,
    };
    let here = free(&paths.own())?;
    if here >= needed {
        return None;
    }
    let mut message = format!(
        "{what} {}, and {} are free at .tdg: free {} more",
        show_size(needed),
        show_size(here),
        show_size(needed - here)
    );
    let cache = session.options.cache.as_ref();
    let found = clearable(paths, session.recipe, cache, session.number);
    if !found.is_empty() {
        message.push_str(&format!("; tdg's own that can go: {}", show(&found)));
    }
    let line = variant.build.steps.first().map_or(1, |step| step.line);
    let failure = Failure {
        trial: stage.to_string(),
        check: "there is room for it".into(),
        kind: stage.to_string(),
        verdict: "error",
        spec: Place {
            file: session.recipe.shown(&session.recipe.path),
            line,
        },
        mismatches: Vec::new(),
        hunks: Vec::new(),
        evidence: None,
        message: message.clone(),
    };
    Some(StageEnd::Failed {
        failures: vec![failure],
        tail: message.clone(),
        far: 0,
        summary: message,
    })
}

/// Says how much is free where the loop works.
pub(super) fn show_free(paths: &Paths) -> String {
    let temporary = std::env::temp_dir();
    let places = [
        (paths.own(), ".tdg".to_owned()),
        (temporary.clone(), temporary.display().to_string()),
    ];
    let shown = places
        .iter()
        .filter_map(|(path, name)| Some(format!("{} free at {name}", show_size(free(path)?))));
    shown.collect::<Vec<_>>().join(", ")
}

/// Lists what could be cleared: work trees of variants the recipe no longer has, logs of loops
/// that are over, the cache. Nothing of the user's is among it.
pub(super) fn clearable(
    paths: &Paths,
    recipe: &Recipe,
    cache: Option<&Arc<Cache>>,
    number: u32,
) -> Vec<Clearable> {
    let mut found = Vec::new();
    let entries = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut named: Vec<(String, PathBuf)> = entries
            .map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()))
            .collect();
        named.sort();
        named
    };
    let folder = |what: String, path: PathBuf| Clearable {
        what,
        bytes: size(&path),
        kept: Kept::Folder(path),
    };
    for (name, path) in entries(paths.own().join("work")) {
        if !recipe.variants.iter().any(|v| v.name == name) {
            let what = format!("the old work tree .tdg/work/{name}");
            found.push(folder(what, path));
        }
    }
    for (name, path) in entries(paths.own().join("logs")) {
        if name.parse::<u32>().is_ok_and(|n| n < number) {
            found.push(folder(format!("the old logs .tdg/logs/{name}"), path));
        }
    }
    if let Some(cache) = cache {
        let bytes = cache.usage().bytes;
        if bytes > 0 {
            found.push(Clearable {
                what: format!("tdg's cache {}", cache.root().display()),
                bytes,
                kept: Kept::Cache(cache.clone()),
            });
        }
    }
    found
}

/// Clears; gives what is gone. What cannot be removed stays.
pub(super) fn clear(what: Vec<Clearable>) -> Vec<Clearable> {
    let gone = |c: &Clearable| match &c.kept {
        Kept::Folder(path) => store::remove(path).is_ok(),
        Kept::Cache(cache) => cache.clear().is_ok(),
    };
    what.into_iter().filter(gone).collect()
}

/// Lists things with their sizes, in a line.
pub(super) fn show(what: &[Clearable]) -> String {
    let shown = what
        .iter()
        .map(|c| format!("{} ({})", c.what, show_size(c.bytes)));
    shown.collect::<Vec<_>>().join(", ")
}

/// Gives what a folder takes on the disk.
fn size(path: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(path).into_iter().flatten();
    entries
        .filter_map(|e| e.metadata().ok())
        .map(|meta| meta.blocks().saturating_mul(512))
        .fold(0, u64::saturating_add)
}
