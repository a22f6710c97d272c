//! Running the steps of a build: bounded, logged, again where a failure is a passing one.

use super::again::{Next, Tries};
use super::error::GenerateError;
use super::event::LoopEvent;
use super::recipe::{Step, Variant};
use super::session::{Session, Stop};
use super::words::count;
use crate::model::size::show_duration;
use crate::probe::exec::{self, Exit, Output, Request};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// No log of a step grows beyond this, in bytes.
const LOG_LIMIT: u64 = 64 << 20;
/// How much of each end of a step's output is kept for judging it, in bytes.
const KEPT: usize = 256 << 10;
/// How many lines of a failed step a remedy gets.
const TAIL: usize = 200;

/// Gives where the log of a step is.
pub(super) fn log_path(
    session: &Session<'_>,
    variant: &Variant,
    attempt: u32,
    number: u32,
) -> PathBuf {
    let name = match attempt {
        0 => format!("{}-unpatched-build-{number}.log", variant.name),
        n => format!("{}-attempt-{n}-build-{number}.log", variant.name),
    };
    session.paths.logs(session.number).join(name)
}

/// How a step went.
pub(super) struct Seen {
    /// Its exit code, where it has one.
    pub(super) code: Option<i32>,
    /// How long it ran, all tries together.
    pub(super) seconds: f64,
    /// How it failed, if it did.
    pub(super) failed: Option<String>,
    /// The last lines it wrote.
    pub(super) tail: String,
}

/// Runs one step, again where its failure is a passing one.
pub(super) fn step(
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
    let mut tries = Tries::new(session, &step.text);
    let started = Instant::now();
    loop {
        session.check_cancel()?;
        session.emit(&LoopEvent::Command {
            variant: &variant.name,
            command: &step.text,
            log: &shown,
        });
        let (request, over) = request(session, variant, step, folder, log, (begin, started));
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
        // What an interrupt ended was killed, and by nobody else.
        session.check_cancel()?;
        let said = match output.exit {
            Exit::Signal(9) => format!("{}\nsignal: killed", tail(&output)),
            Exit::Code(_) | Exit::Signal(_) => tail(&output),
        };
        match tries.failed(session, variant, &said)? {
            Next::Again => {}
            Next::Enough(None) => return Ok(seen(Some(output.how()))),
            Next::Enough(Some(why)) => {
                session.note(variant, &why);
                return Ok(seen(Some(format!("{}; {why}", output.how()))));
            }
        }
    }
}

/// Makes the request of a step, and what to say where its time is up.
fn request(
    session: &Session<'_>,
    variant: &Variant,
    step: &Step,
    folder: &Path,
    log: &Path,
    (begin, started): (Instant, Instant),
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
    // The first that is up ends it, and says so.
    let bounds = [
        (step.timeout, started.elapsed(), "the step's timeout"),
        (
            variant.build.timeout,
            begin.elapsed(),
            "the build's timeout",
        ),
        (session.budget, session.spent(), "the budget"),
    ];
    let left = bounds.into_iter().filter_map(|(bound, spent, name)| {
        let bound = bound?;
        let over = match name {
            "the budget" => format!("ended: the budget of {} is used up", show_duration(bound)),
            _ => format!("ended: {name} of {} is up", show_duration(bound)),
        };
        Some((bound.saturating_sub(spent), over))
    });
    let Some((left, over)) = left.min_by_key(|(left, _)| *left) else {
        return (request, "timed out".into());
    };
    (request.timeout(left), over)
}

/// Gives the last lines of both outputs, standard error last.
fn tail(output: &Output) -> String {
    let both = format!("{}\n{}", output.stdout.text(), output.stderr.text());
    let lines: Vec<&str> = both.lines().filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
