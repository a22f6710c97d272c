//! What a remedy did: for the journal, the report, and the remedies tried after it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a remedy did, or why it did nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemedyRecord {
    /// The remedy as the recipe names it: `rebase`, `scripts/remedy`.
    pub remedy: String,
    /// The attempt after which it was tried, counted from 1.
    pub attempt: u32,
    /// How it ended.
    pub end: RemedyEnd,
    /// What it looked at: failures, patches, files.
    #[serde(default)]
    pub looked_at: Vec<String>,
    /// The files it changed, relative to the project.
    #[serde(default)]
    pub changed: Vec<String>,
    /// What it did, or why it did nothing, in a line.
    pub why: String,
    /// Its whole output, a file relative to the project.
    #[serde(default)]
    pub log: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub took_ms: u64,
}

/// How a remedy ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyEnd {
    /// It changed what the next attempt rests on.
    Changed,
    /// A command that failed for a passing reason ran again.
    Again,
    /// It left everything as it was.
    #[default]
    Nothing,
    /// It did not come to its end; what it did is undone.
    Failed,
    /// It did what no remedy may; what it did is undone where that can be.
    Refused,
}

impl RemedyEnd {
    /// Gives the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Again => "again",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}
