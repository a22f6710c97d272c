//! One attempt: each stage that is due, until one fails or the specs have spoken.

use super::due::{Due, View};
use super::event::{LoopEvent, Stage};
use super::inputs::Inputs;
use super::journal::{Judged, Success};
use super::package::{self, Made};
use super::recipe::Variant;
use super::session::{Session, StageEnd, Stop};
use super::standing::Standing;
use super::verify::{Failure, Place, TrialReport, TrialVerdict};
use super::{artifacts, build, series, source, space};
use crate::probe::record::BuildRecord;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, PathBuf};

/// The patches of a variant as they were: each file's path, relative to the project, and content.
#[derive(Clone, Debug, Default)]
pub(super) struct Patches(pub(super) Vec<(PathBuf, Vec<u8>)>);

impl Patches {
    /// Reads the series and every patch it names.
    pub(super) fn read(session: &Session<'_>, variant: &Variant) -> Self {
        let mut all = Vec::new();
        for file in series::files(session.recipe, variant) {
            let name = PathBuf::from(session.recipe.shown(&file));
            let plain = name.components().all(|c| matches!(c, Component::Normal(_)));
            if let (true, Ok(bytes)) = (plain, std::fs::read(&file)) {
                all.push((name, bytes));
            }
        }
        Self(all)
    }
}

/// What an attempt came to.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// What keeps it from being green; nothing where it is.
    pub(super) failures: Vec<Failure>,
    /// The end of what the failed stage said.
    pub(super) tail: String,
    /// Whether the specs have spoken.
    pub(super) judged: bool,
    /// Whether it failed where changing the patches does not help.
    pub(super) beyond_remedy: bool,
    /// Whether any stage was due.
    pub(super) worked: bool,
    /// The digest of what it rested on, as it was when the patches were applied.
    pub(super) inputs: String,
    /// The same once remedies have been tried: what is there by this variant's own doing.
    pub(super) left: String,
    /// Its patches, and their digest.
    pub(super) patches: Patches,
    pub(super) patches_digest: String,
    /// The stage it ended in, and how much of that was done.
    pub(super) stage: Option<Stage>,
    pub(super) far: usize,
    /// Whether it is worse than an earlier one.
    pub(super) worse: bool,
}

impl Attempt {
    /// Gives how far it came.
    pub(super) fn standing(&self) -> Standing {
        let name = |f: &Failure| match f.trial.parse::<Stage>() {
            // A stage's failures differ by what they are about.
            Ok(_) => format!("{}: {}", f.trial, f.check),
            Err(_) => f.trial.clone(),
        };
        Standing {
            stage: self.stage.unwrap_or(Stage::Source),
            far: self.far,
            red: self.failures.iter().map(name).collect(),
        }
    }

    /// Takes down what the patches are, at the moment they are about to be applied.
    fn rest_on(&mut self, session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
        self.inputs = all_inputs(session, variant)?;
        self.left.clone_from(&self.inputs);
        self.patches = Patches::read(session, variant);
        self.patches_digest = series::patches(session.recipe, variant).digest();
        Ok(())
    }
}

/// Goes through the stages.
pub(super) fn attempt(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    forced: Option<Stage>,
) -> Result<Attempt, Stop> {
    let mut attempt = Attempt::default();
    let locks = session.locks;
    let Some(source) = source(session, variant, forced, &mut attempt)? else {
        attempt.rest_on(session, variant)?;
        return Ok(attempt);
    };
    let commit = source.head;
    let (patched, listed) = {
        // Another variant's remedy may be about to change a patch that this one shares.
        let _still = locks.patches();
        attempt.rest_on(session, variant)?;
        let due = view(session, forced).patch(variant, &commit);
        let patched = step(session, variant, Stage::Patch, due, &mut attempt, |s| {
            series::apply(s, variant, &commit, true)
        })?;
        (patched, series::listed(session.recipe, variant))
    };
    let Some(patched) = patched else {
        return Ok(attempt);
    };
    let due = view(session, forced).build(variant, &patched.head);
    let built = match step(session, variant, Stage::Build, due, &mut attempt, |s| {
        let turn = build::Turn {
            attempt: number,
            commit: &commit,
            head: &patched.head,
            series: &listed,
        };
        package::withdraw(s, variant)?;
        let end = build::run(s, variant, turn)?;
        // A remedy at work beside this build answers for itself.
        let _still = locks.patches();
        s.check_cancel()?;
        s.check_law("the build")?;
        Ok(end)
    })? {
        Some(success) => success,
        None => return Ok(attempt),
    };
    let due = view(session, forced).collect(variant, &built);
    let collected = match step(session, variant, Stage::Collect, due, &mut attempt, |s| {
        artifacts::collect(s, variant, &built)
    })? {
        Some(success) => success,
        None => return Ok(attempt),
    };
    let due = view(session, forced).verify(variant, &collected);
    let verified = step(session, variant, Stage::Verify, due, &mut attempt, |s| {
        verify(s, variant, number, &collected)
    })?;
    attempt.judged = true;
    if !attempt.failures.is_empty() {
        attempt.tail = last_log(session, variant);
    }
    let (Some(verified), Some(template)) = (verified, &variant.package) else {
        // What is not green is not to be had.
        package::withdraw(session, variant)?;
        return Ok(attempt);
    };
    let made = Made {
        commit: &commit,
        series: &listed,
        collected: &collected,
        verified: &verified,
    };
    let due = view(session, forced).package(variant, template, made);
    let packaged = step(session, variant, Stage::Package, due, &mut attempt, |s| {
        package::make(s, variant, template, made)
    })?;
    attempt.beyond_remedy = packaged.is_none();
    Ok(attempt)
}

/// Brings the source where it is due; one variant at a time, so that the others find it here.
fn source(
    session: &mut Session<'_>,
    variant: &Variant,
    forced: Option<Stage>,
    attempt: &mut Attempt,
) -> Result<Option<Success>, Stop> {
    let locks = session.locks;
    let _alone = locks.source();
    let pinned = view(session, forced).pinned()?;
    let due = view(session, forced).source(variant, pinned.as_deref());
    step(session, variant, Stage::Source, due, attempt, |s| {
        source::bring(s, variant, pinned.as_deref())
    })
}

pub(super) fn view<'v>(session: &'v Session<'_>, forced: Option<Stage>) -> View<'v> {
    View {
        recipe: session.recipe,
        options: session.options,
        paths: &session.paths,
        state: &session.state,
        law: &session.law,
        verifier: session.verifier,
        forced,
    }
}

/// Gives the digest of all that an attempt rests on.
pub(super) fn all_inputs(session: &Session<'_>, variant: &Variant) -> Result<String, Stop> {
    let view = view(session, None);
    let mut inputs = source::inputs(session.recipe);
    inputs.add("the pinned commit", view.pinned()?.unwrap_or_default());
    inputs.extend(&series::patches(session.recipe, variant));
    inputs.extend(&build::inputs(session.recipe, variant, session.options, ""));
    inputs.extend(&view.specs(variant));
    Ok(inputs.digest())
}

/// Runs a stage where it is due; gives what it, or its last success, left behind.
fn step(
    session: &mut Session<'_>,
    variant: &Variant,
    stage: Stage,
    due: Due,
    attempt: &mut Attempt,
    work: impl FnOnce(&mut Session<'_>) -> Result<StageEnd, Stop>,
) -> Result<Option<Success>, Stop> {
    let Due { why, inputs } = due;
    attempt.stage = Some(stage);
    let Some(why) = why else {
        return skipped(session, variant, stage, &inputs);
    };
    attempt.worked = true;
    let mut lacking = false;
    let work = |session: &mut Session<'_>| match space::lacking(session, variant, stage) {
        Some(end) => {
            lacking = true;
            Ok(end)
        }
        None => work(session),
    };
    let end = session.stage(variant, stage, &why, inputs, work)?;
    // No other patch makes room.
    attempt.beyond_remedy = lacking;
    match end {
        StageEnd::Done { success, .. } => Ok(Some(success)),
        StageEnd::Failed {
            failures,
            tail,
            far,
            ..
        } => {
            attempt.far = far;
            attempt.failures = failures;
            attempt.tail = tail;
            Ok(None)
        }
    }
}

fn skipped(
    session: &mut Session<'_>,
    variant: &Variant,
    stage: Stage,
    inputs: &Inputs,
) -> Result<Option<Success>, Stop> {
    let success = session.state.success(&variant.name, stage);
    let success = success.map(|(_, success)| success.clone());
    let why = format!("unchanged ({})", &inputs.digest()[..12]);
    session.emit(&LoopEvent::StageSkipped {
        variant: &variant.name,
        stage,
        why: &why,
    });
    Ok(success)
}

fn verify(
    session: &mut Session<'_>,
    variant: &Variant,
    number: u32,
    collected: &Success,
) -> Result<StageEnd, Stop> {
    let request = session.request(variant);
    // Specs may look at patches.
    let locks = session.locks;
    let _still = locks.patches();
    session.check_cancel()?;
    let mut report = session.verifier.verify(&request, session.cancel)?;
    session.check_cancel()?;
    // What has judged is what the loop began with, and what the verdicts are attested with.
    session.check_law("somebody, while the specs ran,")?;
    report.hide(&session.hidden(variant));
    session.emit(&LoopEvent::Trials {
        variant: &variant.name,
        attempt: number,
        report: &report,
    });
    let mut failures = report.failures();
    let (passed, skipped) = (
        report.count(TrialVerdict::Pass),
        report.count(TrialVerdict::Skip),
    );
    if failures.is_empty() && passed == 0 {
        failures.push(nothing_judged(session, variant, skipped));
    }
    let mut summary = format!("{} of {} pass", passed, report.trials.len());
    if skipped > 0 {
        summary.push_str(&format!(", {skipped} did not run"));
    }
    Ok(if failures.is_empty() {
        StageEnd::Done {
            success: Success {
                head: collected.head.clone(),
                passed,
                skipped,
                judged: report.trials.iter().map(judged).collect(),
                ..Success::default()
            },
            summary,
        }
    } else {
        StageEnd::Failed {
            failures,
            tail: String::new(),
            far: passed,
            summary,
        }
    })
}

fn judged(trial: &TrialReport) -> Judged {
    Judged {
        trial: trial.name.clone(),
        verdict: trial.verdict,
    }
}

fn nothing_judged(session: &Session<'_>, variant: &Variant, skipped: usize) -> Failure {
    Failure {
        trial: Stage::Verify.to_string(),
        check: "something is judged".into(),
        kind: "verify".into(),
        verdict: "error",
        spec: Place {
            file: session.recipe.shown(&session.recipe.path),
            line: 1,
        },
        mismatches: Vec::new(),
        hunks: Vec::new(),
        evidence: None,
        message: format!(
            "no check of {} ran for {} ({skipped} skipped): that proves nothing",
            variant.verify.join(", "),
            variant.name
        ),
    }
}

/// How much of the last log a remedy gets, in bytes.
const LOG_TAIL: u64 = 32 << 10;

/// Gives the end of the log of the last build.
fn last_log(session: &Session<'_>, variant: &Variant) -> String {
    let project = session.paths.project();
    let place = BuildRecord::place(project, &variant.name);
    let read = || {
        let record = BuildRecord::read(&place)?;
        let step = record.steps.last();
        let step = step.ok_or_else(|| std::io::Error::other("no step ran"))?;
        let mut file = File::open(project.join(&step.log))?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    // The log is a help, not a result: without it the failures still stand.
    read().unwrap_or_default()
}
