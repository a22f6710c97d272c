//! `run`: a program gets what is wrong as JSON and may change the patches, nothing else.

use super::super::error::GenerateError;
use super::super::event::LoopEvent;
use super::super::recipe::Run;
use super::super::remedied::RemedyRecord;
use super::super::session::{Session, Stop, is_secret};
use super::super::verify::Failure;
use super::unit::{Did, Situation, Touch, Unit};
use crate::probe::exec::{self, ExecError, Request};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// How long a remedy may take where nothing else bounds it.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The remedy.
pub(super) struct Program<'r>(pub(super) &'r Run);

impl Unit for Program<'_> {
    fn name(&self) -> String {
        self.0.argv.join(" ")
    }

    fn is_for(&self, _situation: &Situation<'_>) -> bool {
        true
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[Touch::Series]
    }

    fn apply(&self, session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop> {
        let looked_at = situation.failures.iter().map(|f| f.trial.clone());
        let stdin = report(session, situation)?;
        let did = match self.run(session, situation, stdin)? {
            Ok(()) => Did::done(""),
            Err(why) => Did::failed(why),
        };
        Ok(did.looked_at(looked_at.collect()))
    }
}

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
    tried: &'r [RemedyRecord],
}

fn report(session: &Session<'_>, situation: &Situation<'_>) -> Result<Vec<u8>, Stop> {
    let variant = situation.variant;
    let report = Report {
        version: 1,
        recipe: &session.recipe.name,
        variant: &variant.name,
        attempt: situation.attempt,
        project: session.paths.project(),
        worktree: &session.paths.work(&variant.name),
        series: variant.series.as_deref(),
        failures: situation.failures,
        log_tail: situation.tail,
        tried: situation.tried,
    };
    let mut text = serde_json::to_vec(&report)
        .map_err(|e| GenerateError::io(&session.recipe.path)(std::io::Error::other(e)))?;
    text.push(b'\n');
    Ok(text)
}

impl Program<'_> {
    /// Runs the program; gives why it failed where it did.
    fn run(
        &self,
        session: &mut Session<'_>,
        situation: &Situation<'_>,
        stdin: Vec<u8>,
    ) -> Result<Result<(), String>, Stop> {
        let variant = situation.variant;
        let (environment, secrets) = session.environment(variant);
        let time = session.left().into_iter().chain(self.0.timeout).min();
        let mut request = Request::new(&self.0.argv)
            .cwd(session.paths.project())
            .cancel(session.cancel)
            .stdin(stdin)
            .keep(256 << 10)
            .timeout(time.unwrap_or(LONGEST));
        for (name, value) in environment {
            request = request.env(name, value);
        }
        for name in &self.0.env {
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
                error @ (ExecError::NoDirectory { .. }
                | ExecError::Log { .. }
                | ExecError::Io { .. }),
            ) => return Err(error.into()),
        })
    }
}
