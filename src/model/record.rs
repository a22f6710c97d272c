//! The record of a build: what `generate` writes and the `build` kind shows.

use serde::{Deserialize, Serialize};

/// The version of the record's format.
pub const VERSION: u32 = 1;

/// What one build did, kept as `.tdg/records/VARIANT.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The format's version.
    pub version: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The variant.
    pub variant: String,
    /// The commit of the upstream.
    pub commit: String,
    /// The name the recipe has for it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The patches, in order.
    pub series: Vec<PatchRecord>,
    /// The steps that ran, in order.
    pub steps: Vec<StepRecord>,
    /// The artifacts that were found.
    pub artifacts: Vec<ArtifactRecord>,
    /// When it began, as RFC 3339.
    pub started: String,
    /// Which attempt it was, counted from 1.
    pub attempt: u64,
}

impl BuildRecord {
    /// Tells whether every step exited with 0 and every artifact was written by this build.
    pub fn ok(&self) -> bool {
        !self.steps.is_empty()
            && self.steps.iter().all(|s| s.exit == Some(0))
            && !self.artifacts.is_empty()
            && self.artifacts.iter().all(|a| a.fresh)
    }
}

/// One patch of the series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatchRecord {
    /// Its name in the series.
    pub name: String,
    /// Its digest.
    pub sha256: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The command.
    pub command: String,
    /// Its exit code; absent where a signal or a time-out ended it.
    pub exit: Option<i32>,
    /// How long it took, in seconds.
    pub duration_s: f64,
    /// Where its output is kept, relative to the project.
    pub log: String,
}

/// One artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// Its name as the recipe has it.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: String,
    /// Whether this build wrote it.
    pub fresh: bool,
}
