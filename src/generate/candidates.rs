//! Candidates: one ref or value after the other, until one is green.
//!
//! Each is worked on as if the recipe named nothing else: with all its attempts and remedies, and
//! from the patches as they were before the first one. The lock of the project is written once one
//! is green; until then each has a lock of its own under `.tdg`.

use super::error::GenerateError;
use super::event::{CandidateOutcome, LoopEvent, VariantEnd, VariantOutcome};
use super::journal::Record;
use super::lock;
use super::paths::Paths;
use super::recipe::{self, Candidates, Recipe, Variant};
use super::session::{Session, Stop};
use super::verify::Failure;
use super::{LoopOptions, attempt, cycle, series, tools};
use crate::model::value::Value;
use crate::probe::store;
use std::fs;

/// The recipe, and how a loop goes about it, with one candidate put in.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) recipe: Recipe,
    pub(super) options: LoopOptions,
    pub(super) paths: Paths,
    /// The commit that the project's lock pins for it.
    pub(super) pinned: Option<String>,
}

impl Choice {
    /// Gives a variant as it is with the candidate put in.
    pub(super) fn variant<'c>(&'c self, variant: &'c Variant) -> &'c Variant {
        let found = self.recipe.variants.iter().find(|v| v.name == variant.name);
        found.unwrap_or(variant)
    }
}

/// Works on a variant to its end, or that of its candidates; gives with it the digest of what the
/// end rests on.
pub(super) fn work(
    session: &mut Session<'_>,
    variant: &Variant,
    max_attempts: u32,
) -> Result<(VariantOutcome, String), Stop> {
    let Some(names) = names(session.recipe) else {
        return cycle::variant(session, variant, max_attempts);
    };
    let (begun, mut failed) = session.state.candidates(&variant.name);
    keep(session, variant, begun.is_some())?;
    let locked = lock::chosen(&session.paths.lock(), &variant.name).map_err(GenerateError::from)?;
    let order = order(&names, locked);
    let mut last = None;
    for name in order {
        if failed.iter().any(|f| f.candidate == name) {
            continue;
        }
        let choice = choice(session, variant, &name)?;
        if begun.as_ref() != Some(&name) {
            put_back(session, variant)?;
            session.record(Record::CandidateStarted {
                variant: variant.name.clone(),
                candidate: name.clone(),
            })?;
        }
        session.note(variant, &format!("candidate {name}"));
        let (mut outcome, inputs) = within(session, variant, &choice, |own, variant| {
            cycle::variant(own, variant, max_attempts)
        })?;
        match outcome.end {
            VariantEnd::Green => {
                settle(session, variant, &choice, &names)?;
                outcome.candidate = Some(name);
                outcome.candidates = failed;
                return Ok((outcome, inputs));
            }
            VariantEnd::Interrupted => return Ok((outcome, inputs)),
            VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed => {}
        }
        let report = CandidateOutcome {
            candidate: name,
            end: outcome.end,
            attempts: outcome.attempts,
            why: outcome.why.clone(),
            // The journal keeps it for good: what was seen is not for that.
            failures: outcome
                .failures
                .iter()
                .map(Failure::without_evidence)
                .collect(),
        };
        session.record(Record::CandidateFinished {
            variant: variant.name.clone(),
            outcome: report.clone(),
        })?;
        failed.push(report);
        last = Some((outcome, inputs));
        if session.left().is_some_and(|left| left.is_zero()) {
            break;
        }
    }
    let (mut outcome, inputs) = match last {
        Some(last) => last,
        // Every one had failed before the loop was interrupted.
        None => return cycle::variant(session, variant, max_attempts),
    };
    let tried: Vec<&str> = failed.iter().map(|f| f.candidate.as_str()).collect();
    outcome.why = format!(
        "no candidate is green ({} of {} tried: {}); the last: {}",
        tried.len(),
        names.len(),
        tried.join(", "),
        outcome.why
    );
    outcome.candidates = failed;
    Ok((outcome, inputs))
}

/// Digests what a variant's end rests on, with the candidate that is locked.
pub(super) fn inputs(session: &mut Session<'_>, variant: &Variant) -> Result<String, Stop> {
    let names = names(session.recipe).unwrap_or_default();
    let locked = lock::chosen(&session.paths.lock(), &variant.name).map_err(GenerateError::from)?;
    match locked.or_else(|| names.first().cloned()) {
        Some(name) if names.contains(&name) => {
            let choice = choice(session, variant, &name)?;
            within(session, variant, &choice, |own, variant| {
                attempt::all_inputs(own, variant)
            })
        }
        Some(_) | None => attempt::all_inputs(session, variant),
    }
}

/// Lists the candidates in the order they are tried, the recipe's own first unless it is listed.
fn names(recipe: &Recipe) -> Option<Vec<String>> {
    let candidates = recipe.candidates()?;
    let (own, listed) = match candidates {
        Candidates::Ref(refs) => (Some(recipe.source.reference.clone()), refs),
        Candidates::Var { values, .. } => (None, values),
    };
    let mut names = listed.clone();
    if let Some(own) = own.filter(|own| !names.contains(own)) {
        names.insert(0, own);
    }
    Some(names)
}

/// Puts what was green before first.
fn order(names: &[String], locked: Option<String>) -> Vec<String> {
    let mut order = names.to_vec();
    if let Some(locked) = locked.filter(|name| order.contains(name)) {
        order.retain(|name| *name != locked);
        order.insert(0, locked);
    }
    order
}

/// Gives the candidate that a new loop begins with, where the recipe names any; touches nothing.
pub(super) fn first(
    recipe: &Recipe,
    options: &LoopOptions,
    paths: &Paths,
    variant: &Variant,
) -> Result<Option<Choice>, GenerateError> {
    let Some(names) = names(recipe) else {
        return Ok(None);
    };
    let locked = lock::chosen(&paths.lock(), &variant.name)?;
    let first = order(&names, locked).into_iter().next();
    first
        .map(|name| put_in(recipe, options, paths, variant, &name))
        .transpose()
}

/// Puts a candidate into the recipe; touches nothing.
fn put_in(
    recipe: &Recipe,
    options: &LoopOptions,
    paths: &Paths,
    variant: &Variant,
    name: &str,
) -> Result<Choice, GenerateError> {
    let mut options = options.clone();
    let mut reference = None;
    match recipe.candidates() {
        Some(Candidates::Ref(_)) => reference = Some(name.to_owned()),
        Some(Candidates::Var { var, .. }) => {
            options.vars.retain(|(known, _)| known != var);
            options
                .vars
                .push((var.clone(), Value::String(name.to_owned())));
        }
        None => {}
    }
    let mut recipe = recipe::load(&recipe.path, &options.vars)?;
    tools::ask(&mut recipe, &options);
    if let Some(reference) = reference {
        recipe.source.reference = reference;
    }
    let pinned = lock::pinned_for(&paths.lock(), &recipe.source, &variant.name)?;
    Ok(Choice {
        name: name.to_owned(),
        recipe,
        options,
        pinned,
        paths: paths.candidate(&variant.name, name),
    })
}

fn choice(session: &Session<'_>, variant: &Variant, name: &str) -> Result<Choice, Stop> {
    let (recipe, options) = (session.recipe, session.options);
    let choice = put_in(recipe, options, &session.paths, variant, name)?;
    // A lock of its own, which begins with what the project's says.
    if let Some(commit) = &choice.pinned {
        lock::pin(&choice.paths.lock(), &choice.recipe.source, commit)
            .map_err(GenerateError::from)?;
    }
    Ok(choice)
}

/// Does something in a session that has a candidate put in.
fn within<T>(
    session: &mut Session<'_>,
    variant: &Variant,
    choice: &Choice,
    work: impl FnOnce(&mut Session<'_>, &Variant) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let variant = choice.variant(variant);
    let on_event = &mut *session.on_event;
    let mut emit = |event: &LoopEvent<'_>| on_event(event);
    let mut own = Session {
        options: &choice.options,
        recipe: &choice.recipe,
        paths: choice.paths.clone(),
        journal: session.journal,
        locks: session.locks,
        state: std::mem::take(&mut session.state),
        verifier: session.verifier,
        cancel: session.cancel,
        on_event: &mut emit,
        number: session.number,
        law: session.law.clone(),
        budget: session.budget,
        began: session.began,
        spent_before: session.spent_before,
    };
    let done = work(&mut own, variant);
    let state = std::mem::take(&mut own.state);
    drop(own);
    session.state = state;
    done
}

/// Writes down which candidate is green.
fn settle(
    session: &Session<'_>,
    variant: &Variant,
    choice: &Choice,
    names: &[String],
) -> Result<(), Stop> {
    let locks = session.locks;
    let _alone = locks.source();
    let source = &choice.recipe.source;
    let Some(commit) = lock::pinned(&choice.paths.lock(), source).map_err(GenerateError::from)?
    else {
        return Ok(());
    };
    let first = names.first() == Some(&choice.name);
    let own = first && *source == session.recipe.source;
    let path = session.paths.lock();
    lock::choose(
        &path,
        &variant.name,
        (!own).then_some(&choice.name),
        source,
        &commit,
    )
    .map_err(GenerateError::from)?;
    Ok(())
}

/// Keeps the patches as they are before the first candidate.
fn keep(session: &Session<'_>, variant: &Variant, again: bool) -> Result<(), Stop> {
    let place = session.paths.before_candidates(&variant.name);
    if again {
        return Ok(());
    }
    store::remove(&place).map_err(GenerateError::io(&place))?;
    for file in series::files(session.recipe, variant) {
        let to = place.join(session.recipe.shown(&file));
        if file.is_file() {
            store::copy(&file, &to).map_err(GenerateError::io(&to))?;
        }
    }
    Ok(())
}

/// Puts the patches back as they were before the first candidate.
fn put_back(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let locks = session.locks;
    let _alone = locks.remedy();
    let place = session.paths.before_candidates(&variant.name);
    let mut undone = Vec::new();
    for entry in walkdir::WalkDir::new(&place).into_iter().flatten() {
        let Ok(name) = entry.path().strip_prefix(&place) else {
            continue;
        };
        let to = session.paths.project().join(name);
        let same = || fs::read(entry.path()).ok() == fs::read(&to).ok();
        if entry.file_type().is_file() && !same() {
            store::copy(entry.path(), &to).map_err(GenerateError::io(&to))?;
            undone.push(name.display().to_string());
        }
    }
    if !undone.is_empty() {
        let text = format!("{} put back for the next candidate", undone.join(", "));
        session.note(variant, &text);
    }
    Ok(())
}
