//! Verdicts: pass, fail, error and skip are four different things.

use super::Span;
use super::value::Value;

/// Tells how a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The evidence was seen and every matcher held.
    Pass,
    /// The evidence was seen and judged wrong.
    Fail(Vec<Mismatch>),
    /// The evidence could not be had, so nothing was judged.
    Error(Trouble),
    /// The trial cannot run here; never a pass.
    Skip(SkipReason),
}

impl Verdict {
    /// Gives the verdict's stable name: `pass`, `fail`, `error` or `skip`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Error(_) => "error",
            Self::Skip(_) => "skip",
        }
    }
}

/// One place where the evidence is not what the spec says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Where in the evidence, e.g. `files[usr/bin/runc].machine`; empty for the whole.
    pub path: String,
    /// What the matcher demands, in words.
    pub expected: String,
    /// What was seen.
    pub actual: Value,
    /// The line of the spec that demands it.
    pub span: Span,
    /// What the matcher adds: the nearest candidate, why nothing was judged.
    pub note: Option<String>,
}

/// Why a trial could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong, with the file and offset where there is one.
    pub message: String,
    /// What the reader of the report can do about it.
    pub remedy: Option<String>,
    /// Whether the same observation may succeed a moment later (a time-out, a refused connection).
    pub transient: bool,
}

/// Why a trial did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Its `if:` is false; the text is the expression.
    Condition(String),
    /// Something it `requires` is not here.
    Requirement(String),
    /// A check it `needs` did not pass; the text is that trial's name.
    Blocked(String),
    /// It failed while under quarantine; issue and end date.
    Quarantined {
        /// Where the fault is tracked.
        issue: String,
        /// The last day the quarantine holds, as `YYYY-MM-DD`.
        until: String,
    },
    /// The run was stopped before its turn (`--fail-fast`, Ctrl-C).
    NotRun(String),
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Condition(expr) => write!(f, "its condition is false: {expr}"),
            Self::Requirement(what) => write!(f, "requires {what}"),
            Self::Blocked(by) => write!(f, "blocked: {by} did not pass"),
            Self::Quarantined { issue, until } => {
                write!(f, "fails, but is quarantined until {until} ({issue})")
            }
            Self::NotRun(why) => write!(f, "not run: {why}"),
        }
    }
}
