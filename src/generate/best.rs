//! The best attempt: which one it was, its patches kept, and put back where a later one is worse.
//!
//! Kept under `.tdg/best/VARIANT/attempt-N`, whole before the journal names it. What a remedy made
//! and is put back is kept under `.tdg/replaced`.

use super::attempt::{self, Attempt};
use super::error::GenerateError;
use super::event::{BestAttempt, LoopEvent, Stage};
use super::journal::Record;
use super::recipe::Variant;
use super::session::{Session, Stop};
use super::standing::RolledBack;
use super::state::Best;
use super::verify::Failure;
use super::{series, source};
use crate::probe::store;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

/// What is kept of an attempt beside its patches.
#[derive(Serialize, Deserialize)]
struct Kept {
    failures: Vec<Failure>,
    tail: String,
    judged: bool,
    inputs: String,
}

/// Weighs an attempt that is not green: keeps it where it is the best so far; gives whether it is
/// worse than the best.
pub(super) fn weigh(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    attempt: &Attempt,
) -> Result<bool, Stop> {
    let standing = attempt.standing();
    if let Some(best) = session.state.best(&variant.name)
        && best.attempt != number
    {
        match standing.against(&best.standing) {
            Ordering::Less => return Ok(true),
            Ordering::Equal => return Ok(false),
            Ordering::Greater => {}
        }
    }
    let all = session.paths.best(&variant.name);
    let place = folder(&all, number);
    let keep = || {
        store::remove(&place)?;
        for (name, bytes) in &attempt.patches.0 {
            store::write(&place.join("files").join(name), bytes)?;
        }
        let kept = Kept {
            failures: attempt.failures.clone(),
            tail: attempt.tail.clone(),
            judged: attempt.judged,
            inputs: attempt.inputs.clone(),
        };
        store::write(&place.join("attempt.json"), &serde_json::to_vec(&kept)?)
    };
    keep().map_err(GenerateError::io(&place))?;
    session.record(Record::BestKept {
        variant: variant.name.clone(),
        attempt: number,
        standing,
        patches: attempt.patches_digest.clone(),
    })?;
    // Only now is what was the best before nobody's any more.
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        if entry.path() != place {
            store::remove(&entry.path()).map_err(GenerateError::io(entry.path()))?;
        }
    }
    Ok(false)
}

fn folder(all: &Path, attempt: u32) -> PathBuf {
    all.join(format!("attempt-{attempt}"))
}

/// Gives what is known of the best attempt; nothing where it was removed.
pub(super) fn load(session: &Session<'_>, variant: &Variant) -> Option<Attempt> {
    let best = session.state.best(&variant.name)?;
    let place = folder(&session.paths.best(&variant.name), best.attempt);
    let bytes = std::fs::read(place.join("attempt.json")).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    Some(Attempt {
        failures: kept.failures,
        tail: kept.tail,
        judged: kept.judged,
        worked: true,
        left: kept.inputs.clone(),
        inputs: kept.inputs,
        patches_digest: best.patches.clone(),
        ..Attempt::default()
    })
}

/// Puts the best attempt's patches back, and its work tree, for the remedy that is tried next.
///
/// The caller holds the patches. Gives nothing where the best was removed under the loop.
pub(super) fn roll_back(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    attempt: &Attempt,
) -> Result<Option<(Attempt, RolledBack)>, Stop> {
    let (Some(best), Some(kept)) = (
        session.state.best(&variant.name).cloned(),
        load(session, variant),
    ) else {
        return Ok(None);
    };
    let rolled = RolledBack {
        attempt: number,
        to: best.attempt,
        red: attempt.standing().red,
        replaced: replaced(session, variant, number),
    };
    session.record(Record::RolledBack {
        variant: variant.name.clone(),
        rolled: rolled.clone(),
    })?;
    put_back(session, variant, &best, &rolled.replaced)?;
    session.emit(&LoopEvent::RolledBack {
        variant: &variant.name,
        attempt: number,
        to: best.attempt,
        replaced: &rolled.replaced,
    });
    // A remedy's work tree is made from this one: it finds the patches it is asked to mend.
    let commit = session.state.success(&variant.name, Stage::Source);
    if let Some(commit) = commit.map(|(_, success)| success.head.clone())
        && source::has(&session.paths, &commit)
    {
        let why = format!("put back to attempt {}", best.attempt);
        let inputs = series::inputs(session.recipe, variant, &commit);
        session.stage(variant, Stage::Patch, &why, inputs, |s| {
            series::apply(s, variant, &commit, true)
        })?;
    }
    Ok(Some((kept, rolled)))
}

/// Finishes a rollback that broke off: what was put back stays so, what was not follows.
pub(super) fn go_on(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let rolled = session.state.rolled(&variant.name).cloned();
    let best = session.state.best(&variant.name).cloned();
    match (rolled, best) {
        (Some(rolled), Some(best)) => put_back(session, variant, &best, &rolled.replaced),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Leaves the best attempt's patches in place at an end that is not green; gives what is wrong
/// with those, and which attempt that was.
pub(super) fn settle(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    attempt: Attempt,
) -> Result<(Attempt, Option<BestAttempt>), Stop> {
    let locks = session.locks;
    let _alone = locks.remedy();
    let Some(best) = session.state.best(&variant.name).cloned() else {
        return Ok((attempt, None));
    };
    let in_place = series::patches(session.recipe, variant).digest() == best.patches;
    // What another variant's remedy made of a shared patch is not this one's to undo.
    let own = attempt.left == attempt::all_inputs(session, variant)?;
    let Some(kept) = load(session, variant).filter(|_| in_place || own) else {
        return Ok((attempt, None));
    };
    let mut told = BestAttempt {
        attempt: best.attempt,
        replaced: None,
    };
    if !in_place {
        let replaced = replaced(session, variant, number);
        session.record(Record::RolledBack {
            variant: variant.name.clone(),
            rolled: RolledBack {
                attempt: number,
                to: best.attempt,
                red: attempt.standing().red,
                replaced: replaced.clone(),
            },
        })?;
        put_back(session, variant, &best, &replaced)?;
        told.replaced = Some(replaced);
    }
    let inputs = attempt::all_inputs(session, variant)?;
    let attempt = if best.attempt == number {
        attempt
    } else {
        kept
    };
    Ok((Attempt { inputs, ..attempt }, Some(told)))
}

/// Names the folder for what an attempt's patches were, relative to the project.
fn replaced(session: &Session<'_>, variant: &Variant, number: u32) -> String {
    format!(
        ".tdg/replaced/{:04}/{}-attempt-{number}",
        session.number, variant.name
    )
}

/// Writes the best's patches; what they write over is kept. Done twice, it does no more.
fn put_back(
    session: &Session<'_>,
    variant: &Variant,
    best: &Best,
    replaced: &str,
) -> Result<(), Stop> {
    let project = session.paths.project();
    let files = folder(&session.paths.best(&variant.name), best.attempt).join("files");
    for entry in walkdir::WalkDir::new(&files).sort_by_file_name() {
        let entry = entry.map_err(|e| GenerateError::io(&files)(io::Error::from(e)))?;
        let Ok(name) = entry.path().strip_prefix(&files) else {
            continue;
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let to = project.join(name);
        let wanted = std::fs::read(entry.path()).map_err(GenerateError::io(entry.path()))?;
        let now = std::fs::read(&to).ok();
        if now.as_ref() == Some(&wanted) {
            continue;
        }
        if let Some(now) = now {
            let keep = project.join(replaced).join(name);
            store::write(&keep, &now).map_err(GenerateError::io(&keep))?;
        }
        store::write(&to, &wanted).map_err(GenerateError::io(&to))?;
    }
    Ok(())
}
