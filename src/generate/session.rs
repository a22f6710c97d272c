//! What all stages of a loop share.

use super::LoopOptions;
use super::error::GenerateError;
use super::event::{LoopEvent, Stage};
use super::inputs::Inputs;
use super::journal::{Journal, Record, Success};
use super::law::{self, Law};
use super::lock;
use super::locks::Locks;
use super::paths::Paths;
use super::recipe::{Recipe, Remedy, Setting, Variant};
use super::secrets::Secrets;
use super::state::State;
use super::verify::{Failure, Verifier, VerifyError, VerifyRequest};
use crate::probe::exec::{Cancel, ExecError};
use crate::probe::git::GitError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Why a loop stops at once.
pub(super) enum Stop {
    /// It was interrupted; what is done is in the journal.
    Interrupted,
    /// It cannot go on.
    Error(GenerateError),
}

impl From<GenerateError> for Stop {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Git(GitError::Cancelled) => Self::Interrupted,
            other => Self::Error(other),
        }
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        GenerateError::Git(error).into()
    }
}

impl From<ExecError> for Stop {
    fn from(error: ExecError) -> Self {
        Self::Error(error.into())
    }
}

impl From<super::JournalError> for Stop {
    fn from(error: super::JournalError) -> Self {
        Self::Error(error.into())
    }
}

impl From<super::LockError> for Stop {
    fn from(error: super::LockError) -> Self {
        Self::Error(error.into())
    }
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Specs(text) => Self::Error(GenerateError::Specs(text)),
            VerifyError::Interrupted => Self::Interrupted,
            VerifyError::Other(text) => Self::Error(GenerateError::Verify(text)),
        }
    }
}

/// How a stage ended.
pub(super) enum StageEnd {
    /// It did what it should.
    Done {
        /// What it left behind.
        success: Success,
        /// What came of it, in a line.
        summary: String,
    },
    /// It did not.
    Failed {
        /// Why: one failure for each thing that is wrong.
        failures: Vec<Failure>,
        /// The end of what was said.
        tail: String,
        /// How much was done: patches applied, steps run, trials passed.
        far: usize,
        /// What came of it, in a line.
        summary: String,
    },
}

/// Who is told what happens.
pub(super) type Front<'f> = dyn FnMut(&LoopEvent<'_>) + Send + 'f;

/// A loop at work; each variant that is worked on has one of its own.
pub(super) struct Session<'l> {
    pub(super) options: &'l LoopOptions,
    pub(super) recipe: &'l Recipe,
    pub(super) paths: Paths,
    pub(super) journal: &'l Journal,
    pub(super) locks: &'l Locks,
    pub(super) state: State,
    pub(super) verifier: &'l dyn Verifier,
    pub(super) cancel: &'l Cancel,
    pub(super) on_event: &'l mut Front<'l>,
    pub(super) number: u32,
    pub(super) law: Law,
    pub(super) budget: Option<Duration>,
    pub(super) began: Instant,
    /// What the attempts of the interrupted loop took, where this one goes on with it.
    pub(super) spent_before: Duration,
}

impl Session<'_> {
    pub(super) fn emit(&mut self, event: &LoopEvent<'_>) {
        (self.on_event)(event);
    }

    /// Tells something; a name of a file that has a secret in it is told without.
    pub(super) fn note(&mut self, variant: &Variant, text: &str) {
        let text = self.hidden(variant).redact(text);
        self.emit(&LoopEvent::Note {
            variant: Some(variant.name.as_str()),
            text: &text,
        });
    }

    /// Writes a record and takes it in.
    pub(super) fn record(&mut self, record: Record) -> Result<(), Stop> {
        let line = self.journal.append(record)?;
        self.state.take(&line.record);
        Ok(())
    }

    pub(super) fn check_cancel(&self) -> Result<(), Stop> {
        if self.cancel.is_set() || Cancel::global().is_set() {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }

    /// Waits, unless the loop is interrupted.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + time;
        loop {
            self.check_cancel()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Either of two flags may end the wait: neither is slept through for long.
            self.cancel.wait(left.min(Duration::from_millis(100)));
        }
    }

    /// Gives how much of the budget is left; nothing where there is none.
    pub(super) fn left(&self) -> Option<Duration> {
        self.budget
            .map(|budget| budget.saturating_sub(self.spent()))
    }

    /// Gives how long the loop has taken, before it was interrupted too.
    pub(super) fn spent(&self) -> Duration {
        self.spent_before + self.began.elapsed()
    }

    /// Runs a stage: before it in the journal, after it in the journal, told to the front.
    pub(super) fn stage(
        &mut self,
        variant: &Variant,
        stage: Stage,
        why: &str,
        inputs: Inputs,
        work: impl FnOnce(&mut Self) -> Result<StageEnd, Stop>,
    ) -> Result<StageEnd, Stop> {
        self.check_cancel()?;
        self.record(Record::StageStarted {
            variant: variant.name.clone(),
            stage,
        })?;
        let name = variant.name.as_str();
        self.emit(&LoopEvent::StageStarted {
            variant: name,
            stage,
            why,
            expected: self.state.expected(name, stage),
        });
        let begin = Instant::now();
        let end = work(self)?;
        // A command that an interrupt ended looks like one that failed.
        self.check_cancel()?;
        let (ok, summary) = match &end {
            StageEnd::Done { success, summary } => {
                self.record(Record::StageFinished {
                    variant: name.to_owned(),
                    stage,
                    inputs,
                    success: success.clone(),
                })?;
                (true, summary.as_str())
            }
            StageEnd::Failed { summary, .. } => (false, summary.as_str()),
        };
        self.emit(&LoopEvent::StageFinished {
            variant: name,
            stage,
            ok,
            summary,
            duration: begin.elapsed(),
        });
        Ok(end)
    }

    /// Gives the environment of a variant's steps, and which of its values are secrets.
    pub(super) fn environment(&self, variant: &Variant) -> (Vec<(String, String)>, Vec<String>) {
        environment(variant, self.options)
    }

    /// Gathers every value that must not get out: what the variant's build or a remedy gets by a
    /// name that says so, or what the recipe names as a secret.
    pub(super) fn hidden(&self, variant: &Variant) -> Secrets {
        let (pairs, _) = self.environment(variant);
        let mut named: BTreeMap<String, String> = pairs
            .into_iter()
            .filter(|(name, _)| is_secret(name))
            .collect();
        for remedy in &self.recipe.iterate.remedies {
            let Remedy::Run(run) = remedy else { continue };
            let passed = run.env.iter().filter(|name| is_secret(name));
            for name in passed.chain(&run.secrets) {
                if let Ok(value) = std::env::var(name) {
                    named.insert(name.clone(), value);
                }
            }
        }
        Secrets::new(&named)
    }

    /// Looks whether what decides is still what it was when the loop began.
    pub(super) fn check_law(&mut self, by: &str) -> Result<(), Stop> {
        let beside = self.prepare()?;
        let now = read_law(self.recipe, &beside)?;
        let changes = law::broken(&self.law, &now);
        if changes.is_empty() {
            return Ok(());
        }
        self.record(Record::LawBroken {
            changes: changes.clone(),
            before: self.law.clone(),
            now,
        })?;
        Err(Stop::Error(GenerateError::LawBroken {
            by: by.to_owned(),
            changes: changes.join(", "),
        }))
    }

    /// Gives the files beside the verify paths that verdicts depend on; nothing where the specs
    /// cannot be read any more: then their change is what there is to tell.
    fn prepare(&self) -> Result<Vec<std::path::PathBuf>, Stop> {
        let mut beside = Vec::new();
        for variant in &self.recipe.variants {
            match self.verifier.prepare(&self.request(variant)) {
                Ok(files) => beside.extend(files),
                Err(VerifyError::Specs(_) | VerifyError::Other(_)) => {}
                Err(VerifyError::Interrupted) => return Err(Stop::Interrupted),
            }
        }
        Ok(beside)
    }

    /// Makes the request for a variant's specs.
    pub(super) fn request(&self, variant: &Variant) -> VerifyRequest {
        request(self.recipe, variant, &self.paths, self.options)
    }
}

/// Makes the request for a variant's specs.
pub(super) fn request(
    recipe: &Recipe,
    variant: &Variant,
    paths: &Paths,
    options: &LoopOptions,
) -> VerifyRequest {
    let shown = |path: std::path::PathBuf| recipe.shown(&path).into();
    let mut vars = vec![
        ("assets".to_owned(), shown(paths.assets(variant))),
        ("worktree".to_owned(), shown(paths.work(&variant.name))),
        ("variant".to_owned(), variant.name.clone().into()),
        ("source".to_owned(), shown(paths.source())),
    ];
    // Before the first fetch there is none; a damaged lock is told by the stage that needs it.
    if let Ok(Some(commit)) = lock::pinned(&paths.lock(), &recipe.source) {
        vars.push(("commit".to_owned(), commit.into()));
    }
    vars.extend(options.vars.iter().cloned());
    VerifyRequest {
        project: recipe.project.clone(),
        paths: variant
            .verify
            .iter()
            .map(|p| recipe.project.join(p))
            .collect(),
        row: variant.row.clone(),
        vars,
    }
}

pub(super) fn read_law(
    recipe: &Recipe,
    beside: &[std::path::PathBuf],
) -> Result<Law, GenerateError> {
    law::read(recipe, beside).map_err(|(path, source)| GenerateError::Io { path, source })
}

/// Gives the environment of a variant's steps, and which of its values are secrets.
pub(super) fn environment(
    variant: &Variant,
    options: &LoopOptions,
) -> (Vec<(String, String)>, Vec<String>) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut secrets = Vec::new();
    for (name, setting) in &variant.build.env {
        let value = match setting {
            Setting::Value(value) => value.clone(),
            Setting::Passed => match std::env::var(name) {
                Ok(value) => value,
                Err(_) => continue,
            },
        };
        if is_secret(name) {
            secrets.push(value.clone());
        }
        pairs.push((name.clone(), value));
    }
    pairs.extend(options.env.iter().cloned());
    (pairs, secrets)
}

/// Tells by its name whether a variable holds what must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    [
        "TOKEN",
        "SECRET",
        "PASSW",
        "APIKEY",
        "API_KEY",
        "PRIVATE",
        "CREDENTIAL",
        "AUTH",
    ]
    .iter()
    .any(|word| name.contains(word))
        || name.ends_with("_KEY")
}
