//! Remedies: a program gets what is wrong as JSON and may change the patches, nothing else.

use super::error::GenerateError;
use super::event::LoopEvent;
use super::inputs::Inputs;
use super::journal::Record;
use super::recipe::{Remedy, Variant};
use super::series;
use super::session::{Session, Stop, is_secret};
use super::verify::Failure;
use crate::probe::exec::{self, ExecError, Request};
use crate::probe::store;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a remedy may take where nothing else bounds it.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// What a remedy reads from its standard input.
#[derive(Serialize)]
struct Report<'r> {
    version: u32,
    recipe: &'r str,
    variant: &'r str,
    attempt: u32,
    project: &'r Path,
    worktree: &'r Path,
    series: Option<&'r str>,
    failures: &'r [Failure],
    log_tail: &'r str,
}

/// What the remedies came to.
pub(super) enum Remedied {
    /// The patches are others now.
    Changed,
    /// Remedies ran, and the patches are what they were; with what each said or why it failed.
    Unchanged(Vec<String>),
    /// The recipe names no program that could change anything.
    None,
}

/// Tries each remedy in order until one has changed the patches.
pub(super) fn apply(
    session: &mut Session<'_>,
    variant: &Variant,
    attempt: u32,
    failures: &[Failure],
    tail: &str,
) -> Result<Remedied, Stop> {
    let mut tried = Vec::new();
    for remedy in session.recipe.iterate.remedies.clone() {
        let Remedy::Run { argv, env, timeout } = &remedy else {
            continue;
        };
        session.check_cancel()?;
        let name = remedy.show();
        keep(session, variant)?;
        session.record(Record::RemedyStarted {
            variant: variant.name.clone(),
            attempt,
        })?;
        session.emit(&LoopEvent::RemedyStarted {
            variant: &variant.name,
            remedy: &name,
        });
        let begin = Instant::now();
        let before = series::patches(session.recipe, variant);
        let stdin = report(session, variant, attempt, failures, tail)?;
        let said = run(session, variant, argv, env, *timeout, stdin)?;
        session.check_cancel()?;
        session.check_law(&format!("the remedy `{name}`"))?;
        let changed = match &said {
            Ok(()) => changes(session, variant, &before),
            Err(why) => {
                // Half a remedy is none.
                let text = format!("the remedy `{name}` failed: {why}");
                session.note(variant, &text);
                restore(session, variant)?;
                tried.push(text);
                Vec::new()
            }
        };
        session.record(Record::RemedyFinished {
            variant: variant.name.clone(),
            attempt,
            changed: changed.clone(),
        })?;
        session.emit(&LoopEvent::RemedyFinished {
            variant: &variant.name,
            remedy: &name,
            changed: &changed,
            duration: begin.elapsed(),
        });
        if !changed.is_empty() {
            return Ok(Remedied::Changed);
        }
        if said.is_ok() {
            tried.push(format!("the remedy `{name}` changed nothing"));
        }
    }
    Ok(if tried.is_empty() {
        Remedied::None
    } else {
        Remedied::Unchanged(tried)
    })
}

fn changes(session: &Session<'_>, variant: &Variant, before: &Inputs) -> Vec<String> {
    series::patches(session.recipe, variant).changed(before)
}

fn report(
    session: &Session<'_>,
    variant: &Variant,
    attempt: u32,
    failures: &[Failure],
    tail: &str,
) -> Result<Vec<u8>, Stop> {
    let report = Report {
        version: 1,
        recipe: &session.recipe.name,
        variant: &variant.name,
        attempt,
        project: session.paths.project(),
        worktree: &session.paths.work(&variant.name),
        series: variant.series.as_deref(),
        failures,
        log_tail: tail,
    };
    let mut text = serde_json::to_vec(&report)
        .map_err(|e| GenerateError::io(&session.recipe.path)(std::io::Error::other(e)))?;
    text.push(b'\n');
    Ok(text)
}

/// Runs a remedy; gives why it failed where it did.
fn run(
    session: &mut Session<'_>,
    variant: &Variant,
    argv: &[String],
    env: &[String],
    timeout: Option<Duration>,
    stdin: Vec<u8>,
) -> Result<Result<(), String>, Stop> {
    let (environment, secrets) = session.environment(variant);
    let time = session.left().into_iter().chain(timeout).min();
    let mut request = Request::new(argv)
        .cwd(session.paths.project())
        .cancel(session.cancel)
        .stdin(stdin)
        .keep(256 << 10)
        .timeout(time.unwrap_or(LONGEST));
    for (name, value) in environment {
        request = request.env(name, value);
    }
    for name in env {
        request = request.pass(name);
        if is_secret(name)
            && let Ok(value) = std::env::var(name)
        {
            request = request.redact(value);
        }
    }
    for secret in secrets {
        request = request.redact(secret);
    }
    let on_event = &mut *session.on_event;
    let mut last = String::new();
    let output = exec::run_with(&request, &mut |stream, line| {
        if !line.trim().is_empty() {
            line.clone_into(&mut last);
        }
        on_event(&LoopEvent::Line {
            variant: &variant.name,
            stream,
            line,
        });
    });
    Ok(match output {
        Ok(output) if output.success() => Ok(()),
        Ok(output) if last.is_empty() => Err(output.how()),
        Ok(output) => Err(format!("{} ({last})", output.how())),
        // A program that is not there has not remedied anything either.
        Err(
            error @ (ExecError::NotFound { .. }
            | ExecError::NotExecutable { .. }
            | ExecError::NotForThisMachine { .. }
            | ExecError::Empty),
        ) => Err(error.to_string()),
        Err(
            error @ (ExecError::NoDirectory { .. } | ExecError::Log { .. } | ExecError::Io { .. }),
        ) => return Err(error.into()),
    })
}

/// Keeps the series and its patches as they are, so that half a remedy can be undone.
fn keep(session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
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
pub(super) fn restore(session: &mut Session<'_>, variant: &Variant) -> Result<(), Stop> {
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
