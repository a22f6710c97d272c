//! What a `run:` remedy reads from its standard input: the protocol, version 2.

use super::super::remedied::RemedyRecord;
use super::super::standing::RolledBack;
use super::super::verify::Failure;
use crate::model::value::Value;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the report. A field may be added within a version; none is removed or changes
/// its meaning.
pub const REPORT_VERSION: u32 = 2;

/// What is wrong, for a program that may mend it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemedyReport {
    /// The version of this format: 2.
    pub version: u32,
    /// The version of tdg.
    pub tdg: String,
    /// The recipe's name.
    pub recipe: String,
    /// The variant: the values of its matrix row joined by `-`, or `default`.
    pub variant: String,
    /// The variant's row of the matrix.
    pub row: BTreeMap<String, Value>,
    /// The attempt that was not green, counted from 1.
    pub attempt: u32,
    /// When the program is ended, RFC 3339.
    pub deadline: String,
    /// The project's folder, absolute.
    pub project: String,
    /// A work tree of the program's own, absolute: the upstream with every patch that applies. A
    /// change in it becomes a patch. `null` where the upstream is not here yet.
    pub worktree: Option<String>,
    /// The variant's work tree as the build left it, absolute; to look at only.
    pub build_tree: String,
    /// A folder for the program's own files, absolute; it is emptied before the next remedy.
    pub scratch: String,
    /// The series file, relative to the project; `null` where there is none.
    pub series: Option<String>,
    /// The patches of the series, in order.
    pub patches: Vec<PatchReport>,
    /// What is built.
    pub source: SourceReport,
    /// What keeps the attempt from being green, in the order of the specs.
    pub failures: Vec<Failure>,
    /// What the patches change: the difference between the upstream and `worktree` as it is given.
    pub diff: Excerpt,
    /// The commands of the last build, in order; the last one is the one that failed, if one did.
    pub logs: Vec<LogReport>,
    /// The end of what the failed stage, or the build, wrote.
    pub log_tail: String,
    /// What remedies did before in this loop, oldest first.
    pub tried: Vec<RemedyRecord>,
    /// That the last attempt was worse than the best one: the patches and the failures here are
    /// then the best one's. `null` otherwise.
    pub rolled_back: Option<RolledBack>,
}

/// A patch of the series.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PatchReport {
    /// Its name as the series has it.
    pub name: String,
    /// Its file, relative to the project.
    pub path: String,
}

/// The upstream.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SourceReport {
    /// Where it comes from, as the recipe has it.
    pub git: String,
    /// The name that is built.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The upstream's commit; `null` where it is not here yet.
    pub commit: Option<String>,
}

/// A text that may be cut.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Excerpt {
    /// Its beginning.
    pub text: String,
    /// Whether something is left out at its end.
    pub truncated: bool,
}

/// A command of the build.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogReport {
    /// The command as the recipe has it.
    pub command: String,
    /// Its exit code; `null` where a signal or the time-out ended it.
    pub exit: Option<i32>,
    /// Its whole output, a file relative to the project.
    pub path: String,
    /// The end of it.
    pub tail: String,
}
