//! Red first: what is green before any work is done proves nothing about the work.

use super::event::{LoopEvent, Stage};
use super::journal::Record;
use super::recipe::{RedFirst, Variant};
use super::session::{Session, StageEnd, Stop};
use super::verify::TrialVerdict;
use super::{artifacts, attempt, build, series, source};

/// Runs the specs before the first attempt, once for each state of the specs.
pub(super) fn look(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let how = session.recipe.iterate.red_first;
    let mut inputs = attempt::view(session, None).specs(variant);
    inputs.add("red-first", format!("{how:?}"));
    let inputs = inputs.digest();
    let name = variant.name.clone();
    if how == RedFirst::Off || session.state.red_first(&name) == Some(inputs.as_str()) {
        return Ok(());
    }
    if session.state.in_red_first(&name) {
        // What a look that broke off has built is not the work's.
        artifacts::remove_collected(session, variant)?;
    } else if artifacts::any_collected(&session.paths, variant) {
        session.note(
            variant,
            "the specs were not seen red: artifacts of an earlier build are there",
        );
        return Ok(());
    }
    session.record(Record::RedFirstStarted {
        variant: name.clone(),
    })?;
    let on = match how {
        RedFirst::Build => {
            unpatched(session, variant)?;
            "the unpatched build"
        }
        RedFirst::Nothing | RedFirst::Off => "nothing",
    };
    let locks = session.locks;
    let still = locks.patches();
    let report = session
        .verifier
        .verify(&session.request(variant), session.cancel)?;
    drop(still);
    session.check_cancel()?;
    artifacts::remove_collected(session, variant)?;
    let green: Vec<String> = report
        .trials
        .iter()
        .filter(|t| t.verdict == TrialVerdict::Pass)
        .map(|t| t.name.clone())
        .collect();
    session.emit(&LoopEvent::RedFirst {
        variant: &name,
        on,
        red: report.failures().len(),
        green: &green,
    });
    session.record(Record::RedFirstFinished {
        variant: name,
        inputs,
    })
}

/// Builds the bare upstream and collects whatever comes out; that it fails is worth a line.
fn unpatched(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let commit = commit(session, variant)?;
    let Some(commit) = commit else {
        // The attempt meets the same and says why.
        return Ok(());
    };
    // The tree is left as a build leaves it: the attempt makes its own.
    session.record(Record::StageStarted {
        variant: variant.name.clone(),
        stage: Stage::Patch,
    })?;
    let turn = build::Turn {
        attempt: 0,
        commit: &commit,
        head: &commit,
        series: &[],
    };
    if let StageEnd::Failed { summary, .. } = series::apply(session, variant, &commit, false)? {
        session.note(variant, &summary);
        return Ok(());
    }
    session.note(
        variant,
        "building the unpatched upstream, to see the specs red",
    );
    if let StageEnd::Failed { summary, .. } = build::run(session, variant, turn)? {
        session.note(variant, &format!("the unpatched build: {summary}"));
    }
    session.check_cancel()?;
    artifacts::collect_any(session, variant)?;
    Ok(())
}

/// Brings the upstream's commit here where it is not; nothing where it cannot be had.
fn commit(session: &mut Session<'_>, variant: &Variant) -> Result<Option<String>, Stop> {
    let locks = session.locks;
    let _alone = locks.source();
    let pinned = attempt::view(session, None).pinned()?;
    let due = attempt::view(session, None).source(variant, pinned.as_deref());
    let commit = match (due.why, pinned) {
        (None, Some(commit)) => commit,
        (why, pinned) => {
            let why = why.unwrap_or_else(|| "not done yet".into());
            let end = session.stage(variant, Stage::Source, &why, due.inputs, |s| {
                source::bring(s, variant, pinned.as_deref())
            })?;
            match end {
                StageEnd::Done { success, .. } => success.head,
                StageEnd::Failed { .. } => return Ok(None),
            }
        }
    };
    Ok(Some(commit))
}
