//! A variant's attempts: until green, or until going on would do the same again.

use super::attempt::{self, Attempt, attempt};
use super::error::GenerateError;
use super::event::{LoopEvent, PackageOutcome, Stage, VariantEnd, VariantOutcome};
use super::journal::{Record, Success};
use super::recipe::Variant;
use super::remedy::{self, Remedied};
use super::session::{Session, Stop};
use super::standing::RolledBack;
use super::state::Progress;
use super::verify::Failure;
use super::{best, red_first, series};
use crate::model::Sha256Digest;
use crate::model::size::show_duration;
use crate::probe::record::BuildRecord;
use crate::probe::store;
use std::time::{Duration, Instant};

/// Works on a variant to its end; gives with it the digest of what the end rests on.
pub(super) fn variant(
    session: &mut Session<'_>,
    variant: &Variant,
    max_attempts: u32,
) -> Result<(VariantOutcome, String), Stop> {
    let progress = progress(session, variant);
    let mut number = match (progress.attempt, progress.remedied) {
        (0, _) => 1,
        (last, true) => last + 1,
        (last, false) => last,
    };
    if number == 1 {
        red_first::look(session, variant)?;
    }
    let mut forced = session.options.from;
    // A rollback that was made is not made again, nor what led to it.
    let mut undone = progress
        .rolled
        .and_then(|r| Some((best::load(session, variant)?, r)));
    loop {
        session.check_cancel()?;
        let (mut attempt, rolled) = match undone.take() {
            Some((attempt, rolled)) => (attempt, Some(rolled)),
            None => match tried(session, variant, number, max_attempts, forced.take())? {
                Tried::Ended(ended) => return Ok(*ended),
                Tried::Red(attempt) => (*attempt, None),
            },
        };
        let red = match attempt.judged {
            true => VariantEnd::Red,
            false => VariantEnd::Failed,
        };
        let remedied = mend(session, variant, number, &mut attempt, rolled)?;
        let over = session.left().is_some_and(|left| left.is_zero());
        match remedied {
            Remedied::Changed => {}
            // A remedy that the end of the budget cut short says nothing about what it would have
            // changed.
            Remedied::Unchanged(_) if over => {
                let why = over_budget(session);
                return finish(session, variant, number, red, why, attempt);
            }
            Remedied::Unchanged(tried) => {
                return stuck(session, variant, number, tried.join("; "), attempt);
            }
            Remedied::None => {
                let why = "the recipe names no remedy that could mend this".to_owned();
                return finish(session, variant, number, red, why, attempt);
            }
        }
        let seen = self::progress(session, variant).seen;
        if let Some((earlier, ..)) = seen.iter().find(|(_, i, _)| *i == attempt.left) {
            let why =
                format!("the remedy made the patches again what they were in attempt {earlier}");
            return stuck(session, variant, number, why, attempt);
        }
        if over {
            let why = format!(
                "{}, and what the last remedy made was not tried",
                over_budget(session)
            );
            return finish(session, variant, number, red, why, attempt);
        }
        number += 1;
    }
}

/// What an attempt led to.
enum Tried {
    /// The variant is done with.
    Ended(Box<(VariantOutcome, String)>),
    /// It is not green, and a remedy may help.
    Red(Box<Attempt>),
}

/// Makes an attempt, weighs it, and looks whether there is any use in going on.
fn tried(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    max_attempts: u32,
    forced: Option<Stage>,
) -> Result<Tried, Stop> {
    let mut attempt = one(session, variant, number, max_attempts, forced)?;
    let ended = |outcome| Ok(Tried::Ended(Box::new(outcome)));
    if attempt.failures.is_empty() {
        let why = if attempt.worked {
            format!(
                "every spec holds after {}",
                super::words::count(number as usize, "attempt")
            )
        } else {
            "unchanged: the last success still stands".to_owned()
        };
        return ended(finish(
            session,
            variant,
            number,
            VariantEnd::Green,
            why,
            attempt,
        )?);
    }
    attempt.worse = best::weigh(session, variant, number, &attempt)?;
    if attempt.beyond_remedy {
        let why = match attempt.stage == Some(Stage::Package) {
            true => "what holds could not be packaged".to_owned(),
            false => attempt.tail.clone(),
        };
        return ended(finish(
            session,
            variant,
            number,
            VariantEnd::Failed,
            why,
            attempt,
        )?);
    }
    let failures = fingerprint(&attempt.failures);
    let red = match attempt.judged {
        true => VariantEnd::Red,
        false => VariantEnd::Failed,
    };
    let seen = progress(session, variant).seen;
    let same =
        |(n, i, f): &&(u32, String, String)| *n < number && *i == attempt.inputs && *f == failures;
    if let Some((earlier, ..)) = seen.iter().find(same) {
        let why = format!("attempt {earlier} failed the same way on the same inputs");
        return ended(stuck(session, variant, number, why, attempt)?);
    }
    if number >= max_attempts {
        let why = match max_attempts {
            1 => "the one attempt is used up".to_owned(),
            n => format!("all {n} attempts are used up"),
        };
        return ended(finish(session, variant, number, red, why, attempt)?);
    }
    if session.left().is_some_and(|left| left.is_zero()) {
        let why = over_budget(session);
        return ended(finish(session, variant, number, red, why, attempt)?);
    }
    Ok(Tried::Red(Box::new(attempt)))
}

/// Tries the remedies, while no other variant reads or changes a patch; takes down what the next
/// attempt rests on.
///
/// What was worse than the best is undone first, and the remedies asked to mend the best.
fn mend(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    attempt: &mut Attempt,
    mut rolled: Option<RolledBack>,
) -> Result<Remedied, Stop> {
    let locks = session.locks;
    let _alone = locks.remedy();
    session.check_cancel()?;
    let inputs = attempt::all_inputs(session, variant)?;
    if inputs != attempt.inputs {
        session.note(
            variant,
            "another variant's remedy changed its patches meanwhile",
        );
        attempt.left = inputs;
        return Ok(Remedied::Changed);
    }
    if attempt.worse
        && let Some((best, undone)) = best::roll_back(session, variant, number, attempt)?
    {
        *attempt = best;
        rolled = Some(undone);
    }
    let (failures, tail) = (attempt.failures.clone(), attempt.tail.clone());
    let remedied = remedy::apply(session, variant, number, &failures, &tail, rolled.as_ref())?;
    attempt.left = attempt::all_inputs(session, variant)?;
    Ok(remedied)
}

fn over_budget(session: &Session<'_>) -> String {
    let budget = session.budget.unwrap_or_default();
    format!("the budget of {} is used up", show_duration(budget))
}

/// Makes one attempt.
fn one(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    of: u32,
    forced: Option<Stage>,
) -> Result<Attempt, Stop> {
    let begin = Instant::now();
    session.record(Record::AttemptStarted {
        variant: variant.name.clone(),
        attempt: number,
    })?;
    session.emit(&LoopEvent::AttemptStarted {
        variant: &variant.name,
        attempt: number,
        of,
    });
    let attempt = attempt(session, variant, number, forced)?;
    let loop_time = session.spent();
    session.record(Record::AttemptFinished {
        variant: variant.name.clone(),
        attempt: number,
        inputs: attempt.inputs.clone(),
        failures: fingerprint(&attempt.failures),
        spent_ms: millis(begin.elapsed()),
        loop_ms: millis(loop_time),
    })?;
    session.emit(&LoopEvent::AttemptFinished {
        variant: &variant.name,
        attempt: number,
        failures: &attempt.failures,
    });
    Ok(attempt)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn progress(session: &Session<'_>, variant: &Variant) -> Progress {
    let open = session.state.open.as_ref();
    let progress = open.and_then(|open| open.progress.get(&variant.name));
    progress.cloned().unwrap_or_default()
}

/// Digests what failed and how, whatever its order and wording.
fn fingerprint(failures: &[Failure]) -> String {
    let mut all: Vec<String> = failures.iter().map(Failure::fingerprint).collect();
    all.sort();
    Sha256Digest::of(all.join("\n").as_bytes()).to_string()
}

fn stuck(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    why: String,
    attempt: Attempt,
) -> Result<(VariantOutcome, String), Stop> {
    let look_at = look_at(session, variant, &attempt.failures);
    session.emit(&LoopEvent::Stuck {
        variant: &variant.name,
        why: &why,
        look_at: &look_at,
    });
    finish(session, variant, number, VariantEnd::Stuck, why, attempt)
}

fn finish(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    end: VariantEnd,
    why: String,
    attempt: Attempt,
) -> Result<(VariantOutcome, String), Stop> {
    let (attempt, best) = match end {
        VariantEnd::Green => {
            // There is nothing to go back to from here.
            let place = session.paths.best(&variant.name);
            store::remove(&place).map_err(GenerateError::io(&place))?;
            (attempt, None)
        }
        VariantEnd::Interrupted => (attempt, None),
        VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed => {
            best::settle(session, variant, number, attempt)?
        }
    };
    session.record(Record::VariantFinished {
        variant: variant.name.clone(),
        attempts: number,
        end,
    })?;
    let success = |stage| {
        session
            .state
            .success(&variant.name, stage)
            .map(|(_, s)| s.clone())
    };
    let verified = success(Stage::Verify).unwrap_or_default();
    let collected = success(Stage::Collect).unwrap_or_default();
    let look_at = match end {
        VariantEnd::Green => Vec::new(),
        VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed | VariantEnd::Interrupted => {
            look_at(session, variant, &attempt.failures)
        }
    };
    let outcome = VariantOutcome {
        variant: variant.name.clone(),
        end,
        attempts: number,
        unchanged: end == VariantEnd::Green && !attempt.worked,
        why,
        failures: attempt.failures,
        best,
        artifacts: collected.files.into_iter().map(|f| f.path).collect(),
        package: packaged(end, success(Stage::Package)),
        look_at,
        remedies: session.state.remedies(&variant.name),
        candidate: None,
        candidates: Vec::new(),
        passed: verified.passed,
        skipped: verified.skipped,
    };
    session.emit(&LoopEvent::VariantFinished { outcome: &outcome });
    Ok((outcome, attempt.inputs))
}

/// Gives what a green variant is packaged as.
fn packaged(end: VariantEnd, success: Option<Success>) -> Option<PackageOutcome> {
    let package = success.filter(|_| end == VariantEnd::Green)?.package?;
    Some(PackageOutcome {
        layout: package.layout,
        digest: package.digest,
        attestation: package.attestation,
        references: package.references,
        pushed: package.pushed,
    })
}

/// Lists where to look: the specs or patches that failed, the tree, the last log.
fn look_at(session: &Session<'_>, variant: &Variant, failures: &[Failure]) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for failure in failures.iter().take(5) {
        let place = format!("{}:{}", failure.spec.file, failure.spec.line);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let project = session.paths.project();
    let record = BuildRecord::read(&BuildRecord::place(project, &variant.name));
    if let Some(step) = record.ok().and_then(|r| r.steps.into_iter().next_back()) {
        places.push(step.log);
    }
    let conflict = super::rebase::conflict_tree(&session.paths, &variant.name);
    if conflict.exists() {
        places.push(session.recipe.shown(&conflict));
    }
    let work = session.paths.work(&variant.name);
    if work.exists() {
        places.push(session.recipe.shown(&work));
    }
    let series = series::files(session.recipe, variant).into_iter().next();
    places.extend(series.map(|path| session.recipe.shown(&path)));
    places.dedup();
    places
}
