//! The patches as they were before a remedy, so that half of one can be undone.

use super::super::error::GenerateError;
use super::super::recipe::Variant;
use super::super::series;
use super::super::session::{Session, Stop};
use super::super::watch::set_aside;
use crate::probe::store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What stood in the folder of a series.
#[derive(Default, Serialize, Deserialize)]
struct Listed {
    /// The folder, relative to the project; nothing where it is the project's own.
    folder: Option<PathBuf>,
    /// The names in it.
    names: BTreeSet<String>,
}

/// Gives the folder that a series has for itself, relative to the project.
pub(super) fn folder(variant: &Variant) -> Option<PathBuf> {
    let folder = Path::new(variant.series.as_deref()?).parent()?;
    (!folder.as_os_str().is_empty()).then(|| folder.to_owned())
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |e: fs::DirEntry| e.file_name().to_string_lossy().into_owned();
    entries.map(name).collect()
}

/// Keeps the series and its patches as they are.
pub(super) fn keep(session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let place = session.paths.before_remedy(&variant.name);
    store::remove(&place).map_err(GenerateError::io(&place))?;
    for file in series::files(session.recipe, variant) {
        let to = place.join("files").join(session.recipe.shown(&file));
        if file.is_file() {
            store::copy(&file, &to).map_err(GenerateError::io(&to))?;
        }
    }
    let folder = folder(variant);
    let listed = Listed {
        names: folder
            .as_ref()
            .map(|f| names(&session.paths.project().join(f)))
            .unwrap_or_default(),
        folder,
    };
    let list = place.join("list.json");
    let text = serde_json::to_vec(&listed).unwrap_or_default();
    store::write(&list, &text).map_err(GenerateError::io(&list))?;
    Ok(())
}

/// Puts the series and its patches back as they were before the remedy.
///
/// What is written over, or is new, is kept under `.tdg/replaced`. Nothing is followed.
pub(in super::super) fn restore(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let place = session.paths.before_remedy(&variant.name);
    let project = session.paths.project().to_owned();
    let list = fs::read(place.join("list.json")).ok();
    let listed: Listed = list
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let mut undone = Vec::new();
    let aside = |path: &Path| set_aside(&project, path).map_err(GenerateError::io(path));
    if let Some(folder) = &listed.folder {
        let here = project.join(folder);
        if !fs::symlink_metadata(&here).is_ok_and(|m| m.is_dir()) {
            aside(folder)?;
            undone.push(folder.display().to_string());
        }
        for name in names(&here) {
            if !listed.names.contains(&name) {
                let path = folder.join(&name);
                aside(&path)?;
                undone.push(path.display().to_string());
            }
        }
    }
    let files = place.join("files");
    for entry in walkdir::WalkDir::new(&files).into_iter().flatten() {
        let from = entry.path();
        let Ok(name) = from.strip_prefix(&files) else {
            continue;
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let to = project.join(name);
        if is_file_like(from, &to) {
            continue;
        }
        aside(name)?;
        store::copy(from, &to).map_err(GenerateError::io(&to))?;
        undone.push(name.display().to_string());
    }
    if !undone.is_empty() {
        let text = format!(
            "{} put back as before the remedy; what it was is in .tdg/replaced",
            undone.join(", ")
        );
        session.note(variant, &text);
    }
    Ok(())
}

/// Tells whether a path is a file of its own with the same content.
fn is_file_like(kept: &Path, now: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = fs::symlink_metadata(now).is_ok_and(|m| m.is_file() && m.nlink() == 1);
    own && matches!((fs::read(kept), fs::read(now)), (Ok(a), Ok(b)) if a == b)
}

/// Tells whether the series or one of its patches is not as it was kept.
pub(super) fn differs(session: &Session<'_>, variant: &Variant, place: &Path) -> bool {
    let files = place.join("files");
    let project = session.paths.project();
    series::files(session.recipe, variant)
        .iter()
        .any(|file| match file.strip_prefix(project) {
            Ok(name) => !is_file_like(&files.join(name), file),
            Err(_) => true,
        })
}
