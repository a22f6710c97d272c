//! Remedies: what is tried between two attempts, one unit a file.
//!
//! The recipe lists them; [`apply`] goes through the list until one has changed what the next
//! attempt rests on. Each is a [`Unit`](unit::Unit): what it is for, what it may touch, what it
//! does. The dispatcher keeps the patches before it, looks at what differs after it, holds it to
//! the law, journals what it did, and undoes half a remedy.

mod candidates;
mod facts;
mod fence;
mod keep;
mod patch;
mod rebase;
mod report;
mod retry;
mod run;
mod scan;
mod tree;
mod unit;

pub(super) use keep::restore;
pub use report::{Excerpt, LogReport, PatchReport, REPORT_VERSION, RemedyReport, SourceReport};

use super::error::GenerateError;
use super::event::LoopEvent;
use super::journal::Record;
use super::recipe::{Remedy, Variant};
use super::remedied::{RemedyEnd, RemedyRecord};
use super::series;
use super::session::{Session, Stop};
use super::standing::RolledBack;
use super::verify::Failure;
use std::time::Instant;
use unit::{Did, Situation, Touch, Unit};

/// What the remedies came to.
pub(super) enum Remedied {
    /// The next attempt rests on something else now.
    Changed,
    /// Remedies ran, and everything is what it was; with what each said or why it failed.
    Unchanged(Vec<String>),
    /// The recipe names no remedy that has to do with these failures.
    None,
}

/// Gives the unit of a remedy: the one list of them.
fn unit(remedy: &Remedy) -> Box<dyn Unit + '_> {
    match remedy {
        Remedy::Candidates(_) => Box::new(candidates::Next),
        Remedy::Rebase => Box::new(rebase::Rebase),
        Remedy::Retry(_) => Box::new(retry::Retry),
        Remedy::Run(run) => Box::new(run::Program(run)),
    }
}

/// Tries each remedy in order until one has changed something.
pub(super) fn apply(
    session: &mut Session<'_>,
    variant: &Variant,
    attempt: u32,
    failures: &[Failure],
    tail: &str,
    rolled_back: Option<&RolledBack>,
) -> Result<Remedied, Stop> {
    let mut said = Vec::new();
    let mut remedies = session.recipe.iterate.remedies.clone();
    if rolled_back.is_some()
        && let Some(last) = session.state.remedies(&variant.name).last()
        && let Some(at) = remedies.iter().position(|r| r.show() == last.remedy)
    {
        // The one that made it worse has its turn again after the others.
        remedies.rotate_left(at + 1);
    }
    for remedy in remedies {
        let unit = unit(&remedy);
        let tried = session.state.remedies(&variant.name);
        let situation = Situation {
            variant,
            attempt,
            failures,
            tail,
            rolled_back,
            tried: &tried,
        };
        if !unit.is_for(&situation) {
            continue;
        }
        let record = one(session, unit.as_ref(), &situation)?;
        let name = &record.remedy;
        match record.end {
            RemedyEnd::Changed | RemedyEnd::Again => return Ok(Remedied::Changed),
            RemedyEnd::Nothing if record.why.is_empty() => {
                said.push(format!("the remedy `{name}` changed nothing"));
            }
            RemedyEnd::Nothing => said.push(record.why),
            RemedyEnd::Failed => said.push(format!("the remedy `{name}` failed: {}", record.why)),
            RemedyEnd::Refused => {
                said.push(format!("the remedy `{name}` was refused: {}", record.why))
            }
        }
    }
    Ok(if said.is_empty() {
        Remedied::None
    } else {
        Remedied::Unchanged(said)
    })
}

/// Tries one remedy: kept before, journalled around, looked at after.
fn one(
    session: &mut Session<'_>,
    unit: &dyn Unit,
    situation: &Situation<'_>,
) -> Result<RemedyRecord, Stop> {
    let Situation {
        variant, attempt, ..
    } = *situation;
    session.check_cancel()?;
    let name = unit.name();
    keep::keep(session, variant)?;
    session.record(Record::RemedyStarted {
        variant: variant.name.clone(),
        attempt,
        remedy: name.clone(),
    })?;
    session.emit(&LoopEvent::RemedyStarted {
        variant: &variant.name,
        remedy: &name,
    });
    let begin = Instant::now();
    let before = series::patches(session.recipe, variant);
    let Did {
        mut end,
        looked_at,
        mut why,
        log,
        fatal,
    } = unit.apply(session, situation)?;
    session.check_cancel()?;
    if !fatal {
        session.check_law(&format!("the remedy `{name}`"))?;
    }
    let differs = match end {
        RemedyEnd::Changed | RemedyEnd::Again | RemedyEnd::Nothing => {
            series::patches(session.recipe, variant).changed(&before)
        }
        RemedyEnd::Failed | RemedyEnd::Refused => Vec::new(),
    };
    if !differs.is_empty() && !unit.may_touch().contains(&Touch::Series) {
        end = RemedyEnd::Refused;
        why = format!("it may not touch {}", differs.join(", "));
    }
    let changed = match end {
        RemedyEnd::Changed | RemedyEnd::Again | RemedyEnd::Nothing => differs,
        RemedyEnd::Failed | RemedyEnd::Refused => {
            // Half a remedy is none.
            let text = format!("the remedy `{name}` {}: {why}", end.name());
            session.note(variant, &text);
            keep::restore(session, variant)?;
            Vec::new()
        }
    };
    let record = RemedyRecord {
        remedy: name,
        attempt,
        end: match (end, changed.is_empty()) {
            (RemedyEnd::Changed | RemedyEnd::Nothing, false) => RemedyEnd::Changed,
            (RemedyEnd::Changed | RemedyEnd::Nothing, true) => RemedyEnd::Nothing,
            (RemedyEnd::Again | RemedyEnd::Failed | RemedyEnd::Refused, _) => end,
        },
        looked_at,
        changed,
        why,
        log,
        took_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    session.record(Record::RemedyFinished {
        variant: variant.name.clone(),
        attempt,
        changed: record.changed.clone(),
        record: Some(record.clone()),
    })?;
    session.emit(&LoopEvent::RemedyFinished {
        variant: &variant.name,
        record: &record,
        duration: begin.elapsed(),
    });
    if fatal {
        return Err(Stop::Error(GenerateError::OutOfBounds {
            by: format!("the remedy `{}`", record.remedy),
            changes: record.why,
        }));
    }
    Ok(record)
}
