//! The second stage: the series, applied in a work tree of its own.

use super::error::GenerateError;
use super::event::Stage;
use super::inputs::Inputs;
use super::journal::Success;
use super::paths::Paths;
use super::recipe::{Recipe, Variant};
use super::session::{Session, StageEnd, Stop};
use super::verify::{Failure, Place};
use crate::model::Sha256Digest;
use crate::probe::git::{self, Git, Series, SeriesError};
use crate::probe::record::PatchRecord;
use crate::probe::store;
use std::path::PathBuf;

/// Gives what the stage depends on: the commit, the series, each patch.
pub(super) fn inputs(recipe: &Recipe, variant: &Variant, commit: &str) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add("the upstream's commit", commit);
    inputs.extend(&patches(recipe, variant));
    inputs
}

/// Digests the order of a series and each patch; one that is not there counts as such.
pub(super) fn patches(recipe: &Recipe, variant: &Variant) -> Inputs {
    let mut inputs = Inputs::default();
    let Some(name) = &variant.series else {
        return inputs;
    };
    let path = recipe.project.join(name);
    match Series::read(&path) {
        Ok(series) => {
            // The order counts; a comment does not.
            let names = series.patches.iter().map(|p| p.name.as_str());
            inputs.add(name.clone(), names.collect::<Vec<_>>().join("\n"));
            for patch in &series.patches {
                inputs.add_digest(recipe.shown(&patch.path), patch.digest);
            }
        }
        // A patch that is missing is told from one that is there by what is said of it.
        Err(error) => inputs.add(name.clone(), error.to_string()),
    }
    inputs
}

/// Lists the files of a series: itself, and each patch.
pub(super) fn files(recipe: &Recipe, variant: &Variant) -> Vec<PathBuf> {
    let Some(name) = &variant.series else {
        return Vec::new();
    };
    let path = recipe.project.join(name);
    let patches = Series::read(&path).map(|s| s.patches).unwrap_or_default();
    let mut files = vec![path];
    files.extend(patches.into_iter().map(|p| p.path));
    files
}

/// Lists a series for the record of a build.
pub(super) fn listed(recipe: &Recipe, variant: &Variant) -> Vec<PatchRecord> {
    let path = variant
        .series
        .as_ref()
        .map(|name| recipe.project.join(name));
    let series = path.and_then(|path| Series::read(&path).ok());
    let patches = series.map(|s| s.patches).unwrap_or_default();
    let record = |p: git::Patch| PatchRecord {
        name: p.name,
        sha256: p.digest.to_string(),
    };
    patches.into_iter().map(record).collect()
}

/// Gives the commit a variant's work tree stands on, if it is there.
pub(super) fn standing(paths: &Paths, variant: &str) -> Option<String> {
    let link = std::fs::read_to_string(paths.work(variant).join(".git")).ok()?;
    let folder = link.trim().strip_prefix("gitdir: ")?;
    let head = std::fs::read_to_string(PathBuf::from(folder).join("HEAD")).ok()?;
    Some(head.trim().to_owned())
}

/// Makes the work tree anew and applies the series; `patched` is false for a look at the bare
/// upstream.
pub(super) fn apply(
    session: &mut Session<'_>,
    variant: &Variant,
    commit: &str,
    patched: bool,
) -> Result<StageEnd, Stop> {
    let work = session.paths.work(&variant.name);
    // A tree that is made anew has nothing stale in it, whatever ended the last attempt.
    store::remove(&work).map_err(GenerateError::io(&work))?;
    if let Some(parent) = work.parent() {
        std::fs::create_dir_all(parent).map_err(GenerateError::io(parent))?;
    }
    let source = Git::at(session.paths.source()).cancel(session.cancel);
    let tree = {
        let _alone = session.locks.source();
        source.add_worktree(&work, commit)?
    };
    let series = match &variant.series {
        Some(name) if patched => match Series::read(&session.recipe.project.join(name)) {
            Ok(series) => series,
            Err(error) => return Ok(unreadable(session.recipe, name, &error)),
        },
        Some(_) | None => Series {
            path: PathBuf::new(),
            patches: Vec::new(),
        },
    };
    let applied = git::apply(&tree, &series)?;
    let Some(failure) = applied.failure else {
        let count = applied.applied.len();
        return Ok(StageEnd::Done {
            success: Success {
                head: applied.head,
                ..Success::default()
            },
            summary: match count {
                0 => "no patch to apply".into(),
                1 => "1 patch applied".into(),
                n => format!("{n} patches applied"),
            },
        });
    };
    let line = series
        .patches
        .iter()
        .find(|p| p.name == failure.patch)
        .map_or(1, |p| p.line);
    let message = failure.to_string();
    Ok(StageEnd::Failed {
        summary: format!(
            "{} does not apply ({} of {} did)",
            failure.patch,
            applied.applied.len(),
            series.patches.len()
        ),
        failures: vec![Failure {
            trial: Stage::Patch.to_string(),
            check: format!("{} applies", failure.patch),
            kind: "patches".into(),
            verdict: "fail",
            spec: Place {
                file: session.recipe.shown(&series.path),
                line: u32::try_from(line).unwrap_or(1),
            },
            mismatches: Vec::new(),
            hunks: failure.hunks,
            evidence: None,
            message: message.clone(),
        }],
        tail: message,
        far: applied.applied.len(),
    })
}

fn unreadable(recipe: &Recipe, name: &str, error: &SeriesError) -> StageEnd {
    let line = match error {
        SeriesError::Unreadable { .. } => 1,
        SeriesError::Missing { line, .. } | SeriesError::Line { line, .. } => *line,
    };
    let project = format!("{}/", recipe.project.display());
    let message = error.to_string().replace(&project, "");
    StageEnd::Failed {
        summary: format!("{name} cannot be used"),
        failures: vec![Failure {
            trial: Stage::Patch.to_string(),
            check: format!("{name} is a series"),
            kind: "patches".into(),
            verdict: "fail",
            spec: Place {
                file: name.to_owned(),
                line: u32::try_from(line).unwrap_or(1),
            },
            mismatches: Vec::new(),
            hunks: Vec::new(),
            evidence: None,
            message: message.clone(),
        }],
        tail: message,
        far: 0,
    }
}

/// Digests a work tree's patched commit and nothing else: what a build starts from.
pub(super) fn head_input(inputs: &mut Inputs, head: &str) {
    inputs.add_digest("the patched tree", Sha256Digest::of(head.as_bytes()));
}
