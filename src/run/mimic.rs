//! Specs as tests: a plan behind libtest-mimic, for any crate's own test target.
//!
//! ```no_run
//! // tests/specs.rs, with `harness = false` in Cargo.toml
//! fn main() -> std::process::ExitCode {
//!     tdg::run::mimic::main(&["specs"])
//! }
//! ```
//!
//! Listing reads spec files and nothing else. A trial that is skipped shows as ignored with its
//! reason; with `TDG_STRICT=1` in the environment it fails.

use super::engine::{Options, Session};
use super::event::{Ending, Outcome};
use super::plan::{Plan, PlanError, Request, plan};
use super::text;
use crate::probe::exec::watch_signals;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the specs in some folders as the tests of this process; give it as the whole of `main`.
pub fn main(paths: &[&str]) -> ExitCode {
    let request = Request {
        paths: paths.iter().map(PathBuf::from).collect(),
        ..Request::default()
    };
    run(&request)
}

/// Runs a request's trials as the tests of this process, by the arguments `cargo test` passes on.
pub fn run(request: &Request) -> ExitCode {
    let arguments = Arguments::from_args();
    // Ctrl-C has to end what checks have started, too; where it cannot be watched, the tests run.
    let options = Options {
        cancel: watch_signals().unwrap_or_default(),
        ..Options::default()
    };
    match plan(request) {
        Ok(plan) => libtest_mimic::run(&arguments, trials(plan, options)).exit_code(),
        Err(error) => {
            report(&error);
            ExitCode::from(3)
        }
    }
}

/// Turns a plan into tests. Each runs its trial, and first the trials it needs, once.
pub fn trials(plan: Plan, options: Options) -> Vec<Trial> {
    // Tests live as long as the process: so does what they share.
    let plan: &'static Plan = Box::leak(Box::new(plan));
    let session = Arc::new(Session::new(plan, options));
    let strict = std::env::var("TDG_STRICT").is_ok_and(|v| v == "1");
    plan.trials
        .iter()
        .enumerate()
        .map(|(index, trial)| {
            let session = session.clone();
            let run = move || completion(&session.outcome(index, &|_| {}), strict);
            Trial::ignorable_test(trial.info.name.clone(), run).with_kind(trial.info.kind)
        })
        .collect()
}

fn completion(outcome: &Outcome, strict: bool) -> Result<Completion, Failed> {
    match &outcome.ending {
        Ending::Pass => Ok(Completion::Completed),
        Ending::Skip(reason) if !strict => Ok(Completion::ignored_with(reason)),
        Ending::Skip(_) | Ending::Fail(_) | Ending::Error(_) => {
            Err(Failed::from(text::ending(outcome)))
        }
    }
}

fn report(error: &PlanError) {
    let mut out = std::io::stderr().lock();
    let _ = std::io::Write::write_all(&mut out, text::plan_error(error, false).as_bytes());
}
