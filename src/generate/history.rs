//! What earlier loops did and how long it took, as the journal tells it.

use super::error::GenerateError;
use super::event::{CandidateOutcome, Stage, VariantEnd};
use super::expected::seconds;
use super::journal::{self, Line, Record, Success, Told};
use super::paths::Paths;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the journal of a project tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    /// The loops, newest first.
    pub loops: Vec<PastLoop>,
    /// Where the journal does not say all that happened.
    pub faults: Vec<String>,
}

/// One loop.
#[derive(Clone, Debug, Serialize)]
pub struct PastLoop {
    /// Its number, counted from 1.
    pub number: u32,
    /// The recipe's name.
    pub recipe: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it took until its last line in the journal, in seconds; interruptions count.
    pub duration_s: f64,
    /// How it ended.
    pub end: PastEnd,
    /// How often it was gone on with.
    pub resumed: u32,
    /// The variants it worked on, by name.
    pub variants: Vec<PastVariant>,
}

/// How a loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PastEnd {
    /// It came to its end.
    Finished,
    /// It did not: it was interrupted or killed, or is at work.
    Open,
    /// A file that is law was changed under it.
    LawBroken,
}

/// What a loop did with a variant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PastVariant {
    /// Its name.
    pub variant: String,
    /// How it ended, if it did: `green`, `red`, `stuck`, `failed`, `interrupted`.
    pub end: Option<VariantEnd>,
    /// Its attempts, in order; number 0 is what was done before the first.
    pub attempts: Vec<PastAttempt>,
    /// The candidates that are not green.
    pub candidates: Vec<CandidateOutcome>,
    /// The candidate that is worked on.
    #[serde(skip)]
    candidate: Option<String>,
}

/// One attempt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PastAttempt {
    /// Counted from 1; 0 for what was done before the first.
    pub attempt: u32,
    /// The candidate it was made with.
    pub candidate: Option<String>,
    /// The stages that ran: what had not changed is not among them.
    pub stages: Vec<PastStage>,
    /// The remedies that were tried after it.
    pub remedies: Vec<PastRemedy>,
}

/// One stage that ran.
#[derive(Clone, Debug, Serialize)]
pub struct PastStage {
    /// The stage.
    pub stage: Stage,
    /// How it ended.
    pub end: StageOutcome,
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it took, in seconds; nothing where it broke off.
    pub duration_s: Option<f64>,
    /// The digest of all it rested on.
    pub inputs: Option<String>,
    /// How many trials passed, of *verify*.
    pub passed: Option<usize>,
    /// The files it left behind.
    pub files: Vec<PastFile>,
    /// The digest of what was packaged.
    pub package: Option<String>,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageOutcome {
    /// It did what it should.
    Done,
    /// It did not.
    Failed,
    /// The loop ended before it did.
    BrokeOff,
}

/// A file that a stage left behind.
#[derive(Clone, Debug, Serialize)]
pub struct PastFile {
    /// Its path, relative to the project.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: String,
}

/// A remedy that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct PastRemedy {
    /// Its name.
    pub remedy: String,
    /// How it ended: `changed`, `again`, `nothing`, `failed`, `refused`, or `undone`.
    pub end: String,
    /// What it changed.
    pub changed: Vec<String>,
    /// How long it took, in seconds.
    pub duration_s: f64,
}

/// Reads what the journal beside a recipe tells; the recipe itself need not be right.
///
/// # Errors
/// Where the journal cannot be read.
pub fn history(recipe: &Path) -> Result<History, GenerateError> {
    let project: PathBuf = match recipe.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    Ok(History::of(&journal::read(
        &Paths::new(&project).journal(),
    )?))
}

impl History {
    fn of(told: &Told) -> Self {
        let mut loops: Vec<PastLoop> = Vec::new();
        for line in &told.lines {
            if let Record::LoopStarted { number, recipe, .. } = &line.record {
                loops.push(PastLoop::begun(*number, recipe, &line.at));
            } else if let Some(current) = loops.last_mut() {
                current.take(line);
            }
        }
        loops.reverse();
        Self {
            loops,
            faults: told.faults.iter().map(|f| f.what.clone()).collect(),
        }
    }
}

impl PastLoop {
    fn begun(number: u32, recipe: &str, at: &str) -> Self {
        Self {
            number,
            recipe: recipe.to_owned(),
            began: at.to_owned(),
            duration_s: 0.0,
            end: PastEnd::Open,
            resumed: 0,
            variants: Vec::new(),
        }
    }

    fn variant(&mut self, name: &str) -> &mut PastVariant {
        let at = self.variants.iter().position(|v| v.variant == name);
        let at = at.unwrap_or_else(|| {
            self.variants.push(PastVariant {
                variant: name.to_owned(),
                ..PastVariant::default()
            });
            self.variants.len() - 1
        });
        &mut self.variants[at]
    }

    /// Takes in one more line of the loop.
    fn take(&mut self, line: &Line) {
        self.duration_s = seconds(&self.began, &line.at).unwrap_or(self.duration_s);
        match &line.record {
            Record::LoopStarted { .. }
            | Record::RedFirstStarted { .. }
            | Record::RedFirstFinished { .. }
            | Record::BestKept { .. }
            | Record::RolledBack { .. }
            | Record::RemedyStarted { .. } => {}
            Record::LoopResumed => {
                self.resumed += 1;
                self.end = PastEnd::Open;
            }
            Record::LoopFinished => self.end = PastEnd::Finished,
            Record::LawBroken { .. } => self.end = PastEnd::LawBroken,
            Record::AttemptStarted { variant, attempt } => {
                self.variant(variant).begin(*attempt);
            }
            Record::AttemptFinished { variant, .. } => {
                let open = self.variant(variant).attempt().open();
                if let Some(stage) = open {
                    stage.end = StageOutcome::Failed;
                    stage.duration_s = seconds(&stage.began, &line.at);
                }
            }
            Record::StageStarted { variant, stage } => {
                self.variant(variant).attempt().stages.push(PastStage {
                    stage: *stage,
                    end: StageOutcome::BrokeOff,
                    began: line.at.clone(),
                    duration_s: None,
                    inputs: None,
                    passed: None,
                    files: Vec::new(),
                    package: None,
                });
            }
            Record::StageFinished {
                variant,
                inputs,
                success,
                ..
            } => {
                if let Some(stage) = self.variant(variant).attempt().open() {
                    stage.done(success, inputs.digest(), &line.at);
                }
            }
            Record::RemedyFinished {
                variant,
                record,
                changed,
                ..
            } => {
                let record = record.as_ref();
                let remedy = PastRemedy {
                    remedy: record.map(|r| r.remedy.clone()).unwrap_or_default(),
                    end: record.map_or("changed", |r| r.end.name()).to_owned(),
                    changed: changed.clone(),
                    duration_s: record.map_or(0.0, |r| millis(r.took_ms)),
                };
                self.variant(variant).attempt().remedies.push(remedy);
            }
            Record::RemedyUndone { variant } => {
                self.variant(variant).attempt().remedies.push(PastRemedy {
                    remedy: "what broke off".into(),
                    end: "undone".into(),
                    changed: Vec::new(),
                    duration_s: 0.0,
                });
            }
            Record::Retried { variant, record } => {
                self.variant(variant).attempt().remedies.push(PastRemedy {
                    remedy: record.remedy.clone(),
                    end: record.end.name().to_owned(),
                    changed: Vec::new(),
                    duration_s: millis(record.took_ms),
                });
            }
            Record::CandidateStarted { variant, candidate } => {
                self.variant(variant).candidate = Some(candidate.clone());
            }
            Record::CandidateFinished { variant, outcome } => {
                self.variant(variant).candidates.push(outcome.clone());
            }
            Record::VariantFinished { variant, end, .. } => {
                self.variant(variant).end = Some(*end);
            }
        }
    }
}

impl PastVariant {
    fn begin(&mut self, attempt: u32) {
        let candidate = self.candidate.clone();
        // One that was interrupted is gone on with under its number.
        let last = self.attempts.last();
        if last.is_none_or(|last| last.attempt != attempt || last.candidate != candidate) {
            self.attempts.push(PastAttempt {
                attempt,
                candidate,
                ..PastAttempt::default()
            });
        }
    }

    /// Gives the attempt that is at work.
    fn attempt(&mut self) -> &mut PastAttempt {
        if self.attempts.is_empty() {
            self.attempts.push(PastAttempt::default());
        }
        let last = self.attempts.len() - 1;
        &mut self.attempts[last]
    }
}

impl PastAttempt {
    /// Gives the stage that began last, where nothing is known of its end.
    fn open(&mut self) -> Option<&mut PastStage> {
        let last = self.stages.last_mut();
        last.filter(|stage| stage.end == StageOutcome::BrokeOff)
    }
}

impl PastStage {
    fn done(&mut self, success: &Success, inputs: String, at: &str) {
        self.end = StageOutcome::Done;
        self.duration_s = seconds(&self.began, at);
        self.inputs = Some(inputs);
        self.passed = (self.stage == Stage::Verify).then_some(success.passed);
        self.package = success.package.as_ref().map(|p| p.digest.clone());
        let files = success.files.iter().map(|file| PastFile {
            path: file.path.clone(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        });
        self.files = files.collect();
    }
}

fn millis(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests;
