//! The record of a build: what ran, what came out, and whether this build wrote it.

use super::store;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The version of the record's format.
pub const VERSION: u32 = 1;

/// What is known of the last build of a variant; `.tdg/records/<variant>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The version of this format.
    pub version: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The variant, or `default`.
    pub variant: String,
    /// The upstream's commit that was built, 40 hexadecimal digits.
    pub commit: String,
    /// The name the recipe gives that commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit after all patches.
    pub head: String,
    /// The patches in the order they were applied.
    pub series: Vec<PatchRecord>,
    /// What the programs of `build.tools` said of themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolRecord>,
    /// The steps that ran, in order; the last one is the one that failed, if one did.
    pub steps: Vec<StepRecord>,
    /// Every artifact the recipe names.
    pub artifacts: Vec<ArtifactRecord>,
    /// When the build began, RFC 3339.
    pub started: String,
    /// The attempt of the loop.
    pub attempt: u32,
}

/// One program of the build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRecord {
    /// The command that asked it.
    pub command: String,
    /// How it ended, and what it said.
    pub said: String,
}

/// One patch of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatchRecord {
    /// Its name as the series has it.
    pub name: String,
    /// The SHA-256 of its file.
    pub sha256: String,
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The command as the recipe has it.
    pub command: String,
    /// How it ended: its exit code, or nothing where a signal or the time-out ended it.
    pub exit: Option<i32>,
    /// How long it ran, in seconds.
    pub duration_s: f64,
    /// Where its output is, relative to the project.
    pub log: String,
}

/// One artifact of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// Where it was collected, relative to the project.
    pub path: String,
    /// Its size in bytes; nothing where it is not there.
    pub bytes: Option<u64>,
    /// Its SHA-256; nothing where it is not there.
    pub sha256: Option<String>,
    /// Whether this build wrote it.
    pub fresh: bool,
}

impl BuildRecord {
    /// Gives the place of a variant's record in a project.
    pub fn place(project: &Path, variant: &str) -> PathBuf {
        project.join(".tdg/records").join(format!("{variant}.json"))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Where there is none, or the file is no record of this version.
    pub fn read(path: &Path) -> io::Result<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        if record.version == VERSION {
            Ok(record)
        } else {
            let version = record.version;
            Err(io::Error::other(format!(
                "it has version {version}, this program reads {VERSION}: build again"
            )))
        }
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        store::write(path, &text)
    }
}
