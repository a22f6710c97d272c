//! What happens in the loop, as its front shows it.

use super::remedied::RemedyRecord;
use super::verify::{Failure, VerifyReport};
use crate::probe::exec::Stream;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A part of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The upstream's pinned commit is brought here.
    Source,
    /// The series is applied in a work tree of its own.
    Patch,
    /// The steps run.
    Build,
    /// The artifacts are copied to `_out/assets`.
    Collect,
    /// The specs run.
    Verify,
    /// What holds is packaged, and pushed where that is asked for.
    Package,
}

impl Stage {
    /// All stages in their order.
    pub const ALL: [Self; 6] = [
        Self::Source,
        Self::Patch,
        Self::Build,
        Self::Collect,
        Self::Verify,
        Self::Package,
    ];

    /// Gives the stage's name as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Patch => "patch",
            Self::Build => "build",
            Self::Collect => "collect",
            Self::Verify => "verify",
            Self::Package => "package",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("there is no stage `{text}`; stages: {names}")
            })
    }
}

/// One step of the loop.
#[derive(Clone, Debug)]
pub enum LoopEvent<'e> {
    /// The loop begins.
    LoopStarted {
        /// The recipe's name.
        recipe: &'e str,
        /// The variants that are due, in order.
        variants: &'e [String],
        /// How many attempts each has.
        max_attempts: u32,
        /// How many are worked on at once.
        jobs: u32,
        /// Whether an interrupted loop goes on.
        resumed: bool,
    },
    /// Something worth a line that fits nowhere else.
    Note {
        /// The variant it is about.
        variant: Option<&'e str>,
        /// The text.
        text: &'e str,
    },
    /// The specs have run before any work.
    RedFirst {
        /// The variant.
        variant: &'e str,
        /// What they saw: `nothing` or `the unpatched build`.
        on: &'e str,
        /// How many checks were red, as they should be.
        red: usize,
        /// The trials that were green: they prove nothing about the work.
        green: &'e [String],
    },
    /// An attempt begins.
    AttemptStarted {
        /// The variant.
        variant: &'e str,
        /// Counted from 1.
        attempt: u32,
        /// How many there are at most.
        of: u32,
    },
    /// A stage is not due.
    StageSkipped {
        /// The variant.
        variant: &'e str,
        /// The stage.
        stage: Stage,
        /// Why: what it rests on.
        why: &'e str,
    },
    /// A stage begins.
    StageStarted {
        /// The variant.
        variant: &'e str,
        /// The stage.
        stage: Stage,
        /// Why it is due.
        why: &'e str,
        /// How long it usually took before; nothing where it never succeeded.
        expected: Option<Duration>,
    },
    /// A command of a stage begins.
    Command {
        /// The variant.
        variant: &'e str,
        /// The command as the recipe has it.
        command: &'e str,
        /// Its log, relative to the project.
        log: &'e str,
    },
    /// A command wrote a line.
    Line {
        /// The variant.
        variant: &'e str,
        /// Where it wrote.
        stream: Stream,
        /// The line, without its break; it may hold control characters.
        line: &'e str,
    },
    /// A command that failed for a passing reason runs again.
    Retry {
        /// The variant.
        variant: &'e str,
        /// The command.
        command: &'e str,
        /// What kind of failure it was: `network`, `rate-limit`, `disk`, `killed`.
        class: &'e str,
        /// What in its output says so.
        why: &'e str,
        /// Which run comes next, counted from 1.
        attempt: u32,
        /// How many there are at most.
        of: u32,
        /// How long the wait is.
        delay: Duration,
    },
    /// A stage has ended.
    StageFinished {
        /// The variant.
        variant: &'e str,
        /// The stage.
        stage: Stage,
        /// Whether it did what it should.
        ok: bool,
        /// What came of it, in a line.
        summary: &'e str,
        /// How long it took.
        duration: Duration,
    },
    /// The specs have run on what was built.
    Trials {
        /// The variant.
        variant: &'e str,
        /// The attempt.
        attempt: u32,
        /// How each went.
        report: &'e VerifyReport,
    },
    /// An attempt has ended.
    AttemptFinished {
        /// The variant.
        variant: &'e str,
        /// Counted from 1.
        attempt: u32,
        /// What keeps it from being green; nothing where it is.
        failures: &'e [Failure],
    },
    /// A remedy is tried.
    RemedyStarted {
        /// The variant.
        variant: &'e str,
        /// The remedy as the recipe names it.
        remedy: &'e str,
    },
    /// A remedy has been tried.
    RemedyFinished {
        /// The variant.
        variant: &'e str,
        /// What it did, or why nothing.
        record: &'e RemedyRecord,
        /// How long it took.
        duration: Duration,
    },
    /// An attempt was worse than the best one: its patches are put back.
    RolledBack {
        /// The variant.
        variant: &'e str,
        /// The attempt that was worse.
        attempt: u32,
        /// The attempt whose patches are in place again.
        to: u32,
        /// Where the worse patches are kept, relative to the project.
        replaced: &'e str,
    },
    /// Going on would do the same again.
    Stuck {
        /// The variant.
        variant: &'e str,
        /// Why.
        why: &'e str,
        /// Where to look.
        look_at: &'e [String],
    },
    /// A variant is done with.
    VariantFinished {
        /// What came of it.
        outcome: &'e VariantOutcome,
    },
}

impl LoopEvent<'_> {
    /// Gives the variant that the event is about, where it is about one.
    pub fn variant(&self) -> Option<&str> {
        match self {
            Self::LoopStarted { .. } => None,
            Self::Note { variant, .. } => *variant,
            Self::RedFirst { variant, .. }
            | Self::AttemptStarted { variant, .. }
            | Self::StageSkipped { variant, .. }
            | Self::StageStarted { variant, .. }
            | Self::Command { variant, .. }
            | Self::Line { variant, .. }
            | Self::Retry { variant, .. }
            | Self::StageFinished { variant, .. }
            | Self::Trials { variant, .. }
            | Self::AttemptFinished { variant, .. }
            | Self::RemedyStarted { variant, .. }
            | Self::RemedyFinished { variant, .. }
            | Self::RolledBack { variant, .. }
            | Self::Stuck { variant, .. } => Some(variant),
            Self::VariantFinished { outcome } => Some(&outcome.variant),
        }
    }
}

/// How a variant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariantEnd {
    /// Every spec holds.
    Green,
    /// Specs do not hold, and the attempts, the budget or the remedies are used up.
    Red,
    /// A remedy left everything as it was.
    Stuck,
    /// There was nothing to judge: a stage before the specs failed.
    Failed,
    /// It was stopped.
    Interrupted,
}

impl VariantEnd {
    /// Gives the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Red => "red",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The best of a variant's attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BestAttempt {
    /// Which one it was, counted from 1.
    pub attempt: u32,
    /// Where the patches are that were put back to it at the end, relative to the project.
    pub replaced: Option<String>,
}

/// What came of a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantOutcome {
    /// The variant.
    pub variant: String,
    /// How it ended.
    pub end: VariantEnd,
    /// How many attempts it took.
    pub attempts: u32,
    /// Whether nothing was due: the last success still stands.
    pub unchanged: bool,
    /// Why it ended this way, in a line.
    pub why: String,
    /// What still keeps it from being green, with the patches that are in place.
    pub failures: Vec<Failure>,
    /// Where it is not green, the best attempt: its patches are in place.
    pub best: Option<BestAttempt>,
    /// The collected artifacts, relative to the project.
    pub artifacts: Vec<String>,
    /// What they are packaged as; only what is green is.
    pub package: Option<PackageOutcome>,
    /// Where to look.
    pub look_at: Vec<String>,
    /// What each remedy did, oldest first.
    pub remedies: Vec<RemedyRecord>,
    /// Of candidates, the one that is green.
    pub candidate: Option<String>,
    /// The candidates that are not green, in the order they were tried.
    pub candidates: Vec<CandidateOutcome>,
    /// How many trials passed at the last verification.
    pub passed: usize,
    /// How many trials did not run at the last verification; no pass.
    pub skipped: usize,
}

/// What came of a candidate that is not green.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateOutcome {
    /// The ref, or the value.
    pub candidate: String,
    /// How it ended.
    pub end: VariantEnd,
    /// How many attempts it took.
    pub attempts: u32,
    /// Why it ended this way, in a line.
    pub why: String,
    /// What kept it from being green.
    pub failures: Vec<Failure>,
}

/// What a variant is packaged as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageOutcome {
    /// The folder of the OCI layout, relative to the project.
    pub layout: String,
    /// The digest of the package's manifest.
    pub digest: String,
    /// The digest of the manifest that attaches the verdicts to it.
    pub attestation: String,
    /// What it is called in its registry: `ghcr.io/owner/name:tag`.
    pub references: Vec<String>,
    /// Whether it has been pushed there, and pulled back.
    pub pushed: bool,
}

/// What came of the loop.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopOutcome {
    /// Each variant.
    pub variants: Vec<VariantOutcome>,
    /// How long it took.
    pub duration: Duration,
}

impl LoopOutcome {
    /// Gives the exit code: 0 all green, 1 something was judged wrong, 4 something could not be
    /// judged, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        let ended = |end: VariantEnd| self.variants.iter().any(|v| v.end == end);
        let judged_wrong = |v: &VariantOutcome| v.failures.iter().any(|f| f.verdict == "fail");
        if ended(VariantEnd::Interrupted) {
            130
        } else if self.variants.iter().all(|v| v.end == VariantEnd::Green) {
            0
        } else if self.variants.iter().any(judged_wrong) {
            1
        } else {
            4
        }
    }
}
