//! The build loop: clone, patch, make, collect, verify, remedy, until every spec holds.
//!
//! [`recipe`] is what is asked for. [`run_loop`] goes through the [`Stage`]s of each variant and
//! again after each remedy; a stage whose inputs are those of its last success is skipped. The
//! journal under `.tdg` makes a loop that was killed go on where it was. Specs decide and are
//! never touched: the loop knows them only through a [`Verifier`].

mod again;
mod artifacts;
mod attempt;
mod best;
mod build;
mod candidates;
mod changes;
mod classify;
mod cycle;
mod due;
mod error;
mod event;
mod expected;
mod guard;
mod history;
mod inputs;
mod journal;
mod law;
mod lock;
mod locks;
mod objects;
mod outputs;
mod package;
mod paths;
mod plan;
mod rebase;
pub mod recipe;
mod red_first;
mod remedied;
mod remedy;
mod secrets;
mod series;
mod session;
mod source;
mod space;
mod standing;
mod state;
mod steps;
mod tools;
mod upstream;
mod verify;
mod watch;
mod words;
mod workers;

pub use changes::Changes;
pub use error::GenerateError;
pub use event::{
    BestAttempt, CandidateOutcome, LoopEvent, LoopOutcome, PackageOutcome, Stage, VariantEnd,
    VariantOutcome,
};
pub use history::{
    History, PastAttempt, PastEnd, PastFile, PastLoop, PastRemedy, PastStage, PastVariant,
    StageOutcome, history,
};
pub use journal::JournalError;
pub use lock::LockError;
pub use outputs::{Below, Left, Output, Outputs, RestsOn, outputs};
pub use plan::{LoopPlan, StagePlan, VariantPlan, plan_loop};
pub use rebase::{Continued, continue_rebase};
pub use remedied::{RemedyEnd, RemedyRecord};
pub use remedy::{Excerpt, LogReport, PatchReport, REPORT_VERSION, RemedyReport, SourceReport};
pub use standing::RolledBack;
pub use upstream::{Mended, Since, UpstreamReport, UpstreamRow, check_upstream};
pub use verify::{
    Beyond, EVIDENCE, EvidenceReport, Failure, MismatchReport, Place, TrialReport, TrialVerdict,
    Verifier, VerifyError, VerifyReport, VerifyRequest,
};

use crate::model::value::Value;
use crate::probe::cache::Cache;
use crate::probe::exec::Cancel;
use crate::probe::store;
use guard::Guard;
use journal::{Journal, Record};
use locks::Locks;
use paths::Paths;
use recipe::{Recipe, Variant};
use session::{Front, Session, Stop, read_law, request};
use state::State;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a loop goes about it.
#[derive(Clone, Debug)]
pub struct LoopOptions {
    /// The recipe's file.
    pub recipe: PathBuf,
    /// The variants to work on; empty for all.
    pub variants: Vec<String>,
    /// How many attempts a variant has, instead of what the recipe says.
    pub max_attempts: Option<u32>,
    /// How long the loop may take, instead of what the recipe says.
    pub budget: Option<Duration>,
    /// How many variants are worked on at once, instead of what the recipe says.
    pub jobs: Option<u32>,
    /// The first stage that runs whatever its inputs, in the first attempt.
    pub from: Option<Stage>,
    /// Whether an interrupted loop goes on; without one a new loop begins.
    pub resume: bool,
    /// Whether specs that were changed under an earlier loop count as meant.
    pub accept_specs: bool,
    /// Values that replace `vars` of the recipe, and that specs get.
    pub vars: Vec<(String, Value)>,
    /// Variables the build's steps and remedies get beside those of the recipe.
    pub env: Vec<(String, String)>,
    /// Whether packages are pushed, whatever the recipe says.
    pub push: bool,
    /// What `SOURCE_DATE_EPOCH` is, if it is set: the time in packages, instead of the commit's.
    pub source_date_epoch: Option<String>,
    /// The first wait before a retry; each one after it is twice as long.
    pub retry_delay: Duration,
    /// What the random part of waits is made from; nothing for another one each time.
    pub retry_seed: Option<u64>,
    /// tdg's cache, which a retry may clear where the disk is full.
    pub cache: Option<Arc<Cache>>,
}

impl LoopOptions {
    /// Takes a recipe with everything else as it usually is.
    pub fn new(recipe: impl Into<PathBuf>) -> Self {
        Self {
            recipe: recipe.into(),
            variants: Vec::new(),
            max_attempts: None,
            budget: None,
            jobs: None,
            from: None,
            resume: false,
            accept_specs: false,
            vars: Vec::new(),
            env: Vec::new(),
            push: false,
            source_date_epoch: None,
            retry_delay: Duration::from_secs(2),
            retry_seed: None,
            cache: Cache::shared(),
        }
    }
}

/// How many loops' logs are kept.
const KEPT_LOGS: u32 = 20;

/// Works on the variants of a recipe until each is green or cannot become it.
///
/// What a variant comes to is in the outcome, an interruption among it. Events come one at a time,
/// those of a variant in order; where several are worked on at once, theirs are mixed.
///
/// # Errors
/// Where the loop cannot go on at all: a wrong recipe or spec, another loop at work, a spec that
/// was changed under it, a disk that is full.
pub fn run_loop(
    options: &LoopOptions,
    verifier: &dyn Verifier,
    cancel: &Cancel,
    on_event: &mut (dyn FnMut(&LoopEvent<'_>) + Send),
) -> Result<LoopOutcome, GenerateError> {
    let began = Instant::now();
    let mut recipe = recipe::load(&options.recipe, &options.vars)?;
    tools::ask(&mut recipe, options);
    let chosen = choose(&recipe, options)?;
    let paths = Paths::new(&recipe.project);
    let beside = prepare(&recipe, &chosen, &paths, options, verifier)?;
    let own = paths.own();
    std::fs::create_dir_all(&own).map_err(GenerateError::io(&own))?;
    let ignore = own.join(".gitignore");
    if !ignore.exists() {
        store::write(&ignore, b"*\n").map_err(GenerateError::io(&ignore))?;
    }
    let guard = Guard::take(&paths.guard(), &recipe.project)?;
    source::clear_locks(&paths.source())?;
    let journal_path = paths.journal();
    let told = journal::read(&journal_path)?;
    let state = State::replay(&told);
    let law = read_law(&recipe, &beside)?;
    let resumed = begin(&state, &law, options, on_event)?;
    let number = match &state.open {
        Some(open) if resumed => open.number,
        Some(_) | None => state.loops + 1,
    };
    let spent_before = match &state.open {
        Some(open) if resumed => open.spent_ms,
        Some(_) | None => 0,
    };
    let max_attempts = options.max_attempts.unwrap_or(recipe.iterate.max_attempts);
    let jobs = options.jobs.unwrap_or(recipe.iterate.parallel).max(1);
    let journal = Journal::open(&journal_path, &guard.mark)?;
    let locks = Locks::default();
    // What ends one variant's work for good ends that of the others.
    let stop = cancel.child();
    let mut session = Session {
        options,
        recipe: &recipe,
        journal: &journal,
        locks: &locks,
        state,
        verifier,
        cancel: &stop,
        on_event,
        number,
        law: law.clone(),
        budget: options.budget.or(recipe.iterate.budget),
        began,
        spent_before: Duration::from_millis(spent_before),
        paths,
    };
    let names: Vec<String> = chosen.iter().map(|v| v.name.clone()).collect();
    session.emit(&LoopEvent::LoopStarted {
        recipe: &recipe.name,
        variants: &names,
        max_attempts,
        jobs: jobs.min(u32::try_from(names.len()).unwrap_or(u32::MAX)),
        resumed,
    });
    if let Some(fault) = told.faults.first() {
        let text = format!(
            "the journal does not say all that happened ({}): nothing before that is relied on",
            fault.what
        );
        session.emit(&LoopEvent::Note {
            variant: None,
            text: &text,
        });
    }
    if guard.ended > 0 {
        let text = format!(
            "ended {} that an interrupted loop left running",
            words::count(guard.ended, "process")
        );
        session.emit(&LoopEvent::Note {
            variant: None,
            text: &text,
        });
    }
    let first = if resumed {
        Record::LoopResumed
    } else {
        prune_logs(&session.paths, number)?;
        Record::LoopStarted {
            number,
            recipe: recipe.name.clone(),
            law,
        }
    };
    let outcomes = match session.record(first) {
        Ok(()) => workers::work(&mut session, &chosen, max_attempts, jobs),
        Err(stop) => Err(stop),
    };
    let ended = close(&mut session, outcomes);
    drop(guard);
    Ok(LoopOutcome {
        variants: ended?,
        duration: began.elapsed(),
    })
}

/// Ends the loop in the journal, unless it was interrupted: then it can go on.
fn close(
    session: &mut Session<'_>,
    outcomes: Result<Vec<VariantOutcome>, Stop>,
) -> Result<Vec<VariantOutcome>, GenerateError> {
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(Stop::Interrupted) => {
            return Err(GenerateError::Git(crate::probe::git::GitError::Cancelled));
        }
        Err(Stop::Error(error)) => {
            // The first fault is the one to tell; the journal may be what is at fault.
            let _ = session.record(Record::LoopFinished);
            return Err(error);
        }
    };
    if outcomes.iter().any(|o| o.end == VariantEnd::Interrupted) {
        return Ok(outcomes);
    }
    match session.record(Record::LoopFinished) {
        Ok(()) | Err(Stop::Interrupted) => Ok(outcomes),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Decides whether an interrupted loop goes on, and refuses where what decides has been changed.
fn begin(
    state: &State,
    law: &law::Law,
    options: &LoopOptions,
    on_event: &mut Front<'_>,
) -> Result<bool, GenerateError> {
    if let Some((before, now)) = &state.broken
        && !options.accept_specs
    {
        let still: Vec<String> = law::broken(before, now)
            .into_iter()
            .filter(|change| {
                let path = change.rsplit_once(" was ").map_or("", |(path, _)| path);
                law.get(path) == now.get(path)
            })
            .collect();
        if !still.is_empty() {
            return Err(GenerateError::StillBroken {
                changes: still.join(", "),
            });
        }
    }
    let note = |on_event: &mut Front<'_>, text: &str| {
        on_event(&LoopEvent::Note {
            variant: None,
            text,
        });
    };
    let Some(open) = &state.open else {
        if options.resume {
            note(on_event, "no interrupted loop is here: a new one begins");
        }
        return Ok(false);
    };
    let moved = law::broken(&open.law, law);
    match (options.resume, moved.is_empty()) {
        (true, true) => Ok(true),
        (true, false) => Err(GenerateError::LawMoved {
            changes: moved.join(", "),
        }),
        (false, true) => Ok(false),
        (false, false) => {
            let text = format!("since the interrupted loop began, {}", moved.join(", "));
            note(on_event, &text);
            Ok(false)
        }
    }
}

/// Picks the variants that are asked for.
fn choose<'r>(
    recipe: &'r Recipe,
    options: &LoopOptions,
) -> Result<Vec<&'r Variant>, GenerateError> {
    let chosen = named(recipe, &options.variants)?;
    let nowhere = |variant: &&&Variant| {
        let package = variant.package.as_ref();
        package.is_none_or(|package| package.sample.references().is_empty())
    };
    match chosen.iter().find(nowhere).filter(|_| options.push) {
        None => Ok(chosen),
        Some(variant) => Err(GenerateError::NowhereToPush {
            variant: variant.name.clone(),
        }),
    }
}

fn named<'r>(recipe: &'r Recipe, names: &[String]) -> Result<Vec<&'r Variant>, GenerateError> {
    if names.is_empty() {
        return Ok(recipe.variants.iter().collect());
    }
    let find = |name: &String| {
        let found = recipe.variants.iter().find(|v| v.name == *name);
        found.ok_or_else(|| {
            let known: Vec<&str> = recipe.variants.iter().map(|v| v.name.as_str()).collect();
            GenerateError::NoVariant {
                name: name.clone(),
                known: known.join(", "),
            }
        })
    };
    names.iter().map(find).collect()
}

/// Reads the specs before any work is done; gives the files verdicts depend on beside them.
fn prepare(
    recipe: &Recipe,
    chosen: &[&Variant],
    paths: &Paths,
    options: &LoopOptions,
    verifier: &dyn Verifier,
) -> Result<Vec<PathBuf>, GenerateError> {
    let mut beside = Vec::new();
    for variant in recipe.variants.iter() {
        match verifier.prepare(&request(recipe, variant, paths, options)) {
            Ok(files) => beside.extend(files),
            Err(VerifyError::Specs(text)) => return Err(GenerateError::Specs(text)),
            // Only what is worked on has to be ready to run.
            Err(_) if !chosen.iter().any(|v| v.name == variant.name) => {}
            Err(VerifyError::Interrupted) => {
                return Err(GenerateError::Git(crate::probe::git::GitError::Cancelled));
            }
            Err(VerifyError::Other(text)) => return Err(GenerateError::Verify(text)),
        }
    }
    Ok(beside)
}

/// Removes the logs of loops long past.
fn prune_logs(paths: &Paths, number: u32) -> Result<(), GenerateError> {
    if let Some(old) = number.checked_sub(KEPT_LOGS) {
        let folder = paths.logs(old);
        store::remove(&folder).map_err(GenerateError::io(&folder))?;
    }
    Ok(())
}
