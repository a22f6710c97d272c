//! What happens in a run, as reporters see it.

use crate::model::value::Value;
use crate::model::{Picture, SkipReason, Trouble};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A place in a spec file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// The line itself, without indentation.
    pub text: String,
}

/// What a trial is, before it has run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialInfo {
    /// The stable name: `image/initramfs::spin-is-installed[variant=spin-only]`.
    pub name: String,
    /// The title of its spec file.
    pub spec: String,
    /// The check's name as written.
    pub check: String,
    /// The kind.
    pub kind: &'static str,
    /// What it looks at.
    pub subject: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its row of the matrix.
    pub matrix: Vec<(String, Value)>,
    /// Where the check stands.
    pub place: Place,
}

/// One thing that is not as demanded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Where in the evidence.
    pub path: String,
    /// What is demanded.
    pub expected: String,
    /// What was seen.
    pub actual: Value,
    /// What the matcher adds.
    pub note: Option<String>,
    /// The line of the spec that demands it.
    pub place: Place,
}

/// How a trial ended, ready to be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Everything held.
    Pass,
    /// Something did not.
    Fail(Vec<Failure>),
    /// Nothing could be judged.
    Error(Trouble),
    /// It did not run.
    Skip(SkipReason),
}

impl Ending {
    /// Gives the stable name: `pass`, `fail`, `error` or `skip`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Error(_) => "error",
            Self::Skip(_) => "skip",
        }
    }
}

/// What a trial has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The record, or what of it fits.
    pub value: Value,
    /// Whether something of it is left out.
    pub truncated: bool,
}

/// A trial that has ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which trial.
    pub trial: Arc<TrialInfo>,
    /// How it ended.
    pub ending: Ending,
    /// How long it took, all tries together.
    pub duration: Duration,
    /// How often it was tried; 0 for a skip.
    pub tries: u32,
    /// Of one that failed, what was seen, where the run keeps it.
    pub evidence: Option<Evidence>,
    /// Of one that was judged, what was seen, to be drawn; most kinds have nothing like that.
    pub picture: Option<Picture>,
    /// What else is worth saying, e.g. that a quarantined check passes again.
    pub notes: Vec<String>,
}

/// How many trials ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Passed.
    pub pass: usize,
    /// Judged wrong.
    pub fail: usize,
    /// Not to be judged.
    pub error: usize,
    /// Not run.
    pub skip: usize,
}

impl Counts {
    /// Counts one more ending.
    pub fn add(&mut self, ending: &Ending) {
        match ending {
            Ending::Pass => self.pass += 1,
            Ending::Fail(_) => self.fail += 1,
            Ending::Error(_) => self.error += 1,
            Ending::Skip(_) => self.skip += 1,
        }
    }

    /// Counts all of them.
    pub fn total(&self) -> usize {
        self.pass + self.fail + self.error + self.skip
    }
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many ended how.
    pub counts: Counts,
    /// How long the run took.
    pub duration: Duration,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Every trial in the order of the plan.
    pub outcomes: Vec<Outcome>,
}

impl Summary {
    /// Gives the exit code: 0 all passed, 1 a check failed, 4 something could not be judged,
    /// 5 with `strict` where something was skipped, 130 interrupted.
    pub fn exit_code(&self, strict: bool) -> u8 {
        match self.counts {
            _ if self.interrupted => 130,
            Counts { fail: 1.., .. } => 1,
            Counts { error: 1.., .. } => 4,
            Counts { skip: 1.., .. } if strict => 5,
            // A run in which nothing was judged proves nothing, and says so.
            Counts { pass: 0, .. } => 5,
            Counts { .. } => 0,
        }
    }
}

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Event<'e> {
    /// The run begins.
    Started {
        /// How many trials it has.
        trials: usize,
        /// How many run at a time.
        jobs: usize,
    },
    /// A trial begins.
    TrialStarted(&'e Arc<TrialInfo>),
    /// A trial has ended.
    TrialFinished(&'e Outcome),
    /// The run has ended.
    Finished(&'e Summary),
}
