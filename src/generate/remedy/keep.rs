//! The patches as they were before a remedy, so that half of one can be undone.

use super::super::error::GenerateError;
use super::super::recipe::Variant;
use super::super::series;
use super::super::session::{Session, Stop};
use crate::probe::store;
use std::path::PathBuf;

/// Keeps the series and its patches as they are, so that half a remedy can be undone.
pub(super) fn keep(session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let place = session.paths.before_remedy(&variant.name);
    store::remove(&place).map_err(GenerateError::io(&place))?;
    for file in series::files(session.recipe, variant) {
        let to = place.join(session.recipe.shown(&file));
        if file.is_file() {
            store::copy(&file, &to).map_err(GenerateError::io(&to))?;
        }
    }
    Ok(())
}

/// Puts the series and its patches back as they were before the remedy.
///
/// What is written over is kept under `.tdg/replaced`.
pub(in super::super) fn restore(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let place = session.paths.before_remedy(&variant.name);
    let mut undone = Vec::new();
    for entry in walkdir::WalkDir::new(&place).into_iter().flatten() {
        let from = entry.path();
        let Ok(name) = from.strip_prefix(&place) else {
            continue;
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let to = session.paths.project().join(name);
        let same = match (std::fs::read(from), std::fs::read(&to)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        if same {
            continue;
        }
        let replaced: PathBuf = session.paths.own().join("replaced").join(name);
        if to.is_file() {
            store::copy(&to, &replaced).map_err(GenerateError::io(&replaced))?;
        }
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
