//! The variants of a loop, several at once within a limit, each by a worker of its own.

use super::event::{LoopEvent, VariantEnd, VariantOutcome};
use super::journal::{Journal, Record};
use super::law::Law;
use super::locks::Locks;
use super::paths::Paths;
use super::recipe::{Recipe, Variant};
use super::session::{Front, Session, Stop};
use super::state::State;
use super::verify::Verifier;
use super::{LoopOptions, best, candidates, remedy};
use crate::probe::exec::Cancel;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the work on a variant stands.
struct Desk<'v> {
    variant: &'v Variant,
    /// What the journal amounts to for it.
    state: State,
    /// How it ended, and the digest of what that rests on.
    done: Option<(VariantOutcome, String)>,
}

/// Works on each variant, and again where another's remedy changed its patches.
pub(super) fn work(
    session: &mut Session<'_>,
    chosen: &[&Variant],
    max_attempts: u32,
    jobs: u32,
) -> Result<Vec<VariantOutcome>, Stop> {
    undo(session)?;
    let mut desks: Vec<Desk<'_>> = chosen
        .iter()
        .map(|variant| Desk {
            variant,
            state: session.state.clone(),
            done: None,
        })
        .collect();
    for _ in 0..=chosen.len() {
        let due = due(session, &mut desks)?;
        if due.is_empty() {
            return Ok(outcomes(desks));
        }
        match round(session, due, max_attempts, jobs) {
            Ok(()) => {}
            Err(Stop::Interrupted) => return Ok(outcomes(desks)),
            Err(stop) => return Err(stop),
        }
    }
    for desk in &mut desks {
        if moved(session, desk)?
            && let Some((outcome, _)) = &mut desk.done
        {
            outcome.end = VariantEnd::Stuck;
            outcome.why = "another variant's remedy changes its patches again and again".into();
        }
    }
    Ok(outcomes(desks))
}

/// Undoes what remedies that broke off have done, before anybody reads a patch.
fn undo(session: &mut Session<'_>) -> Result<(), Stop> {
    for variant in &session.recipe.variants {
        let open = session.state.open.as_ref();
        let progress = open.and_then(|open| open.progress.get(&variant.name));
        if progress.is_some_and(|progress| progress.in_remedy) {
            session.note(variant, "a remedy broke off: what it did is undone");
            remedy::restore(session, variant)?;
            session.record(Record::RemedyUndone {
                variant: variant.name.clone(),
            })?;
        }
        best::go_on(session, variant)?;
    }
    Ok(())
}

/// Tells whether a green variant rests on what is no longer so.
fn moved(session: &mut Session<'_>, desk: &Desk<'_>) -> Result<bool, Stop> {
    Ok(match &desk.done {
        Some((outcome, before)) if outcome.end == VariantEnd::Green => {
            *before != candidates::inputs(session, desk.variant)?
        }
        Some(_) | None => false,
    })
}

/// Picks what there is to work on.
fn due<'d, 'v>(
    session: &mut Session<'_>,
    desks: &'d mut [Desk<'v>],
) -> Result<VecDeque<&'d mut Desk<'v>>, Stop> {
    let mut due = VecDeque::new();
    for desk in desks {
        if moved(session, desk)? {
            session.note(
                desk.variant,
                "its patches were changed by another variant's remedy",
            );
            desk.done = None;
        }
        if desk.done.is_none() {
            due.push_back(desk);
        }
    }
    Ok(due)
}

/// Works on variants, as many at once as there may be, until each has come to an end.
fn round(
    session: &mut Session<'_>,
    due: VecDeque<&mut Desk<'_>>,
    max_attempts: u32,
    jobs: u32,
) -> Result<(), Stop> {
    let workers = due.len().min(usize::try_from(jobs).unwrap_or(usize::MAX));
    let queue = Mutex::new(due);
    let stopped: Mutex<Option<Stop>> = Mutex::new(None);
    let stop = session.cancel;
    let front: Mutex<&mut Front<'_>> = Mutex::new(&mut *session.on_event);
    let shared = Parts {
        options: session.options,
        recipe: session.recipe,
        paths: &session.paths,
        journal: session.journal,
        locks: session.locks,
        verifier: session.verifier,
        cancel: session.cancel,
        number: session.number,
        law: &session.law,
        budget: session.budget,
        began: session.began,
        spent_before: session.spent_before,
    };
    let worker = || {
        loop {
            // The lock is not held while the work is done.
            let next = held(&queue).pop_front();
            let Some(desk) = next.filter(|_| held(&stopped).is_none()) else {
                return;
            };
            let mut emit = |event: &LoopEvent<'_>| held(&front)(event);
            let mut own = shared.session(std::mem::take(&mut desk.state), &mut emit);
            let done = candidates::work(&mut own, desk.variant, max_attempts);
            desk.state = own.state;
            match done {
                Ok(done) => desk.done = Some(done),
                Err(why) => {
                    // What ends one ends all; the first reason is the one to tell.
                    held(&stopped).get_or_insert(why);
                    stop.set();
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

fn held<T: ?Sized>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the sessions of all variants share.
#[derive(Clone, Copy)]
struct Parts<'l> {
    options: &'l LoopOptions,
    recipe: &'l Recipe,
    paths: &'l Paths,
    journal: &'l Journal,
    locks: &'l Locks,
    verifier: &'l dyn Verifier,
    cancel: &'l Cancel,
    number: u32,
    law: &'l Law,
    budget: Option<Duration>,
    began: Instant,
    spent_before: Duration,
}

impl<'l> Parts<'l> {
    fn session<'s>(&self, state: State, on_event: &'s mut Front<'s>) -> Session<'s>
    where
        'l: 's,
    {
        Session {
            options: self.options,
            recipe: self.recipe,
            paths: self.paths.clone(),
            journal: self.journal,
            locks: self.locks,
            state,
            verifier: self.verifier,
            cancel: self.cancel,
            on_event,
            number: self.number,
            law: self.law.clone(),
            budget: self.budget,
            began: self.began,
            spent_before: self.spent_before,
        }
    }
}

fn outcomes(desks: Vec<Desk<'_>>) -> Vec<VariantOutcome> {
    let outcome = |desk: Desk<'_>| match desk.done {
        Some((outcome, _)) => outcome,
        None => VariantOutcome {
            variant: desk.variant.name.clone(),
            end: VariantEnd::Interrupted,
            attempts: 0,
            unchanged: false,
            why: "interrupted; `tdg generate --resume` goes on".into(),
            failures: Vec::new(),
            best: None,
            artifacts: Vec::new(),
            package: None,
            look_at: Vec::new(),
            remedies: Vec::new(),
            candidate: None,
            candidates: Vec::new(),
            passed: 0,
            skipped: 0,
        },
    };
    desks.into_iter().map(outcome).collect()
}
