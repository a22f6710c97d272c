//! The third stage: the steps run, and what they had to write is fresh.

use super::artifacts::{self, Found};
use super::classify;
use super::error::GenerateError;
use super::event::{LoopEvent, Stage};
use super::inputs::Inputs;
use super::journal::{Success, Written};
use super::recipe::{Recipe, Step, Variant};
use super::session::{Session, StageEnd, Stop, environment, is_secret};
use super::source::delay;
use super::verify::{Failure, Place};
use super::{LoopOptions, series};
use crate::model::size::show_duration;
use crate::probe::exec::{self, Exit, Output, Request};
use crate::probe::record::{ArtifactRecord, BuildRecord, StepRecord, VERSION};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// No log of a step grows beyond this, in bytes.
const LOG_LIMIT: u64 = 64 << 20;
/// How much of each end of a step's output is kept for judging it, in bytes.
const KEPT: usize = 256 << 10;
/// How many lines of a failed step a remedy gets.
const TAIL: usize = 200;

/// Gives what the stage depends on.
pub(super) fn inputs(
    recipe: &Recipe,
    variant: &Variant,
    options: &LoopOptions,
    head: &str,
) -> Inputs {
    let mut inputs = Inputs::default();
    series::head_input(&mut inputs, head);
    let build = &variant.build;
    inputs.add("the build's dir", &build.dir);
    for (number, step) in (1..).zip(&build.steps) {
        inputs.add(format!("step {number}"), step.argv.join("\0"));
    }
    for (name, value) in environment(variant, options).0 {
        // A new token makes no other image, and its digest is nobody's business.
        let value = if is_secret(&name) {
            String::new()
        } else {
            value
        };
        inputs.add(format!("the variable {name}"), value);
    }
    inputs.add("the artifacts' names", variant.artifacts.files.join("\0"));
    inputs.add("the artifacts' folder", &variant.artifacts.from);
    inputs.add("the recipe's name", &recipe.name);
    inputs
}

/// Where a build stands in its loop.
#[derive(Clone, Copy)]
pub(super) struct Turn<'t> {
    /// The attempt; 0 for the look at the bare upstream.
    pub(super) attempt: u32,
    /// The upstream's commit.
    pub(super) commit: &'t str,
    /// The commit after all patches.
    pub(super) head: &'t str,
}

/// Runs the steps and judges what they wrote; leaves a record whatever comes of it.
pub(super) fn run(
    session: &mut Session<'_>,
    variant: &Variant,
    turn: Turn<'_>,
) -> Result<StageEnd, Stop> {
    let work = session.paths.work(&variant.name);
    let record_path = BuildRecord::place(session.paths.project(), &variant.name);
    // What an earlier build left must not pass for this one's.
    artifacts::remove_collected(session, variant)?;
    crate::probe::store::remove(&record_path).map_err(GenerateError::io(&record_path))?;
    artifacts::remove(variant, &work)?;
    let mut record = BuildRecord {
        version: VERSION,
        recipe: session.recipe.name.clone(),
        variant: variant.name.clone(),
        commit: turn.commit.to_owned(),
        reference: session.recipe.source.reference.clone(),
        head: turn.head.to_owned(),
        series: match turn.attempt {
            0 => Vec::new(),
            _ => series::listed(session.recipe, variant),
        },
        steps: Vec::new(),
        artifacts: Vec::new(),
        started: jiff::Timestamp::now().to_string(),
        attempt: turn.attempt,
    };
    let baseline = artifacts::now(&session.paths.own())?;
    let begin = Instant::now();
    let folder = work.join(&variant.build.dir);
    let mut broke = None;
    if !folder.is_dir() {
        broke = Some(no_folder(session.recipe, variant));
    }
    for (number, step) in (1..).zip(&variant.build.steps) {
        if broke.is_some() {
            break;
        }
        let log = log_path(session, variant, turn.attempt, number);
        let seen = self::step(session, variant, step, &folder, &log, begin)?;
        record.steps.push(StepRecord {
            command: step.text.clone(),
            exit: seen.code,
            duration_s: (seen.seconds * 1000.0).round() / 1000.0,
            log: session.recipe.shown(&log),
        });
        broke = seen
            .failed
            .map(|why| failed(session.recipe, step, &log, &why, seen.tail));
    }
    let found = artifacts::look(variant, &work, baseline);
    record.artifacts = records(session, variant, &found);
    record
        .write(&record_path)
        .map_err(GenerateError::io(&record_path))?;
    if let Some(end) = broke {
        return Ok(end);
    }
    Ok(judge(session, variant, turn, &found, begin))
}

fn judge(
    session: &Session<'_>,
    variant: &Variant,
    turn: Turn<'_>,
    found: &[(String, Found)],
    begin: Instant,
) -> StageEnd {
    let work = session.paths.work(&variant.name);
    let mut failures = Vec::new();
    let mut files = Vec::new();
    for (name, found) in found {
        match found {
            Found::Fresh(written) => files.push(Written {
                path: session
                    .recipe
                    .shown(&work.join(&variant.artifacts.from).join(name)),
                ..written.clone()
            }),
            Found::Missing | Found::Stale | Found::Unusable(_) => failures.push(Failure {
                trial: Stage::Build.to_string(),
                check: format!("the build writes {name}"),
                kind: "build".into(),
                verdict: "fail",
                spec: Place {
                    file: session.recipe.shown(&session.recipe.path),
                    line: variant.build.steps.last().map_or(1, |s| s.line),
                },
                mismatches: Vec::new(),
                message: found.explain(variant, &work, name),
            }),
        }
    }
    if failures.is_empty() {
        let summary = format!(
            "{} in {}",
            count(files.len(), "artifact"),
            show_duration(begin.elapsed())
        );
        return StageEnd::Done {
            success: Success {
                head: turn.head.to_owned(),
                files,
                ..Success::default()
            },
            summary,
        };
    }
    let messages: Vec<&str> = failures.iter().map(|f| f.message.as_str()).collect();
    StageEnd::Failed {
        summary: format!(
            "every step succeeded, and {} of {} not written",
            match failures.len() {
                n if n == found.len() => "none".into(),
                n => format!("{n}"),
            },
            count(found.len(), "artifact") + if found.len() == 1 { " was" } else { " were" }
        ),
        tail: messages.join("\n"),
        failures,
    }
}

/// Shows a number of things: `1 artifact`, `3 artifacts`.
pub(super) fn count(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

fn log_path(session: &Session<'_>, variant: &Variant, attempt: u32, number: u32) -> PathBuf {
    let name = match attempt {
        0 => format!("{}-unpatched-build-{number}.log", variant.name),
        n => format!("{}-attempt-{n}-build-{number}.log", variant.name),
    };
    session.paths.logs(session.number).join(name)
}

struct Seen {
    code: Option<i32>,
    seconds: f64,
    /// How it failed, if it did.
    failed: Option<String>,
    tail: String,
}

/// Runs one step, again where its failure is a passing one.
fn step(
    session: &mut Session<'_>,
    variant: &Variant,
    step: &Step,
    folder: &Path,
    log: &Path,
    begin: Instant,
) -> Result<Seen, Stop> {
    // An attempt that is done again begins its log anew.
    crate::probe::store::remove(log).map_err(GenerateError::io(log))?;
    let shown = session.recipe.shown(log);
    let tries = session.recipe.tries();
    let started = Instant::now();
    let mut attempt = 1;
    loop {
        session.check_cancel()?;
        session.emit(&LoopEvent::Command {
            variant: &variant.name,
            command: &step.text,
            log: &shown,
        });
        let (request, over) = request(session, variant, step, folder, log, begin);
        let on_event = &mut *session.on_event;
        let output = exec::run_with(&request, &mut |stream, line| {
            on_event(&LoopEvent::Line {
                variant: &variant.name,
                stream,
                line,
            });
        })?;
        let seen = |failed: Option<String>| Seen {
            code: match output.exit {
                Exit::Code(code) if !output.timed_out() => Some(code),
                Exit::Code(_) | Exit::Signal(_) => None,
            },
            seconds: started.elapsed().as_secs_f64(),
            failed,
            tail: tail(&output),
        };
        if output.left_running > 0 {
            let text = format!(
                "`{}` left {} running; ended",
                step.text,
                count(output.left_running, "process")
            );
            session.note(variant, &text);
        }
        if output.success() {
            return Ok(seen(None));
        }
        if output.timed_out() {
            return Ok(seen(Some(over.to_owned())));
        }
        let why = classify::network(&tail(&output)).filter(|_| attempt < tries);
        let Some(why) = why else {
            return Ok(seen(Some(output.how())));
        };
        attempt += 1;
        let delay = delay(session.options.retry_delay, attempt);
        session.emit(&LoopEvent::Retry {
            variant: &variant.name,
            command: &step.text,
            why: &why,
            attempt,
            of: tries,
            delay,
        });
        session.pause(delay)?;
    }
}

/// Makes the request of a step, and what to say where its time is up.
fn request(
    session: &Session<'_>,
    variant: &Variant,
    step: &Step,
    folder: &Path,
    log: &Path,
    begin: Instant,
) -> (Request, String) {
    let (environment, secrets) = session.environment(variant);
    let mut request = Request::new(&step.argv)
        .cwd(folder)
        .cancel(session.cancel)
        .keep(KEPT)
        .log(log, LOG_LIMIT);
    for (name, value) in environment {
        request = request.env(name, value);
    }
    for secret in secrets {
        request = request.redact(secret);
    }
    let own = variant
        .build
        .timeout
        .map(|t| t.saturating_sub(begin.elapsed()));
    let left = session.left();
    let by_budget = match (own, left) {
        (Some(own), Some(left)) => left < own,
        (None, left) => left.is_some(),
        (Some(_), None) => false,
    };
    let over = match (by_budget, session.budget, variant.build.timeout) {
        (true, Some(budget), _) => {
            format!("ended: the budget of {} is used up", show_duration(budget))
        }
        (_, _, Some(timeout)) => format!(
            "ended: the build's timeout of {} is up",
            show_duration(timeout)
        ),
        _ => "timed out".into(),
    };
    if let Some(time) = own.into_iter().chain(left).min() {
        request = request.timeout(time);
    }
    (request, over)
}

/// Gives the last lines of both outputs, standard error last.
fn tail(output: &Output) -> String {
    let both = format!("{}\n{}", output.stdout.text(), output.stderr.text());
    let lines: Vec<&str> = both.lines().filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn failed(recipe: &Recipe, step: &Step, log: &Path, why: &str, tail: String) -> StageEnd {
    let lines: Vec<&str> = tail.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n  ");
    StageEnd::Failed {
        summary: format!("`{}`: {why}", step.text),
        failures: vec![Failure {
            trial: Stage::Build.to_string(),
            check: format!("`{}` succeeds", step.text),
            kind: "build".into(),
            verdict: "fail",
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: step.line,
            },
            mismatches: Vec::new(),
            message: format!(
                "`{}`: {why}\n  {last}\n  whole log: {}",
                step.text,
                recipe.shown(log)
            ),
        }],
        tail,
    }
}

fn no_folder(recipe: &Recipe, variant: &Variant) -> StageEnd {
    let dir = &variant.build.dir;
    let message = format!("the patched tree has no folder {dir}: correct `build.dir`");
    StageEnd::Failed {
        summary: format!("there is no {dir} to build in"),
        failures: vec![Failure {
            trial: Stage::Build.to_string(),
            check: format!("{dir} is in the patched tree"),
            kind: "build".into(),
            verdict: "fail",
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: variant.build.steps.first().map_or(1, |s| s.line),
            },
            mismatches: Vec::new(),
            message: message.clone(),
        }],
        tail: message,
    }
}

fn records(
    session: &Session<'_>,
    variant: &Variant,
    found: &[(String, Found)],
) -> Vec<ArtifactRecord> {
    let assets = session.paths.assets(variant);
    let record = |(name, found): &(String, Found)| {
        let written = match found {
            Found::Fresh(written) => Some(written),
            Found::Missing | Found::Stale | Found::Unusable(_) => None,
        };
        ArtifactRecord {
            path: assets.join(name).display().to_string(),
            bytes: written.map(|w| w.bytes),
            sha256: written.map(|w| w.sha256.clone()),
            fresh: written.is_some(),
        }
    };
    found.iter().map(record).collect()
}
