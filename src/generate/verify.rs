//! What the loop asks of whoever runs specs, and what it is told.
//!
//! The loop knows specs only through [`Verifier`]: the engine implements it, a test plays it.

use super::secrets::Secrets;
use crate::model::value::Value;
use crate::probe::exec::Cancel;
use crate::probe::git::Hunk;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Runs specs for the loop; for several variants at once where they are worked on at once.
pub trait Verifier: Sync {
    /// Reads the specs without running anything; gives every file the verdicts depend on beside
    /// the request's paths (includes, snapshots elsewhere).
    ///
    /// # Errors
    /// Where the specs are wrong.
    fn prepare(&self, request: &VerifyRequest) -> Result<Vec<PathBuf>, VerifyError>;

    /// Says what the verdicts depend on beside the specs and what the loop knows of.
    ///
    /// # Errors
    /// Where the specs are wrong.
    fn beyond(&self, _request: &VerifyRequest) -> Result<Beyond, VerifyError> {
        Ok(Beyond::default())
    }

    /// Runs the specs, until the flag is set.
    ///
    /// # Errors
    /// Where the specs are wrong or the run was interrupted; trials that fail are in the report.
    fn verify(&self, request: &VerifyRequest, cancel: &Cancel)
    -> Result<VerifyReport, VerifyError>;
}

/// What verdicts depend on beside the specs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Files that checks look at, absolute.
    pub files: BTreeSet<PathBuf>,
    /// The digest of what the checks ask, their variables put in.
    pub asks: String,
    /// Why the specs have to run again whatever these say: a check that looks at the world.
    pub again: Option<String>,
}

/// Which specs run on what.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyRequest {
    /// The project's folder, absolute: relative subjects start here.
    pub project: PathBuf,
    /// Spec files and folders, absolute.
    pub paths: Vec<PathBuf>,
    /// The recipe's row: rows of a spec's matrix have to agree with it where names are the same.
    pub row: Vec<(String, Value)>,
    /// Values for specs that use them: `assets` and `worktree` (folders of the variant, relative
    /// to the project), `variant`, `source` (the upstream's repository), `commit` (the one that the
    /// lock pins), and what the command line sets.
    pub vars: Vec<(String, Value)>,
}

/// How specs went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    /// Every trial.
    pub trials: Vec<TrialReport>,
}

/// How one trial went.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialReport {
    /// Its stable name.
    pub name: String,
    /// The check's name as written.
    pub check: String,
    /// The kind.
    pub kind: String,
    /// How it ended.
    pub verdict: TrialVerdict,
    /// The spec's file as people would name it, relative to the project.
    pub spec_file: String,
    /// The line of the check, counted from 1.
    pub line: u32,
    /// What was not as demanded.
    pub mismatches: Vec<MismatchReport>,
    /// Of one that failed, what was seen.
    pub evidence: Option<EvidenceReport>,
    /// What else there is to say: why it could not be judged or did not run.
    pub message: String,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialVerdict {
    /// What the spec says holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be judged.
    Error,
    /// It did not run.
    Skip,
}

impl TrialVerdict {
    /// Gives the verdict's stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skip => "skip",
        }
    }
}

/// One thing that is not as demanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MismatchReport {
    /// Where in the evidence.
    pub path: String,
    /// What is demanded, in words.
    pub expected: String,
    /// What was seen.
    pub actual: Value,
}

/// What a trial saw, as its kind describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceReport {
    /// The record, with the fields that the check asks for; of one that is large, the beginnings of
    /// its texts, lists and maps; `null` where nothing of it fits.
    pub value: Value,
    /// Whether something of it is left out.
    pub truncated: bool,
}

/// How much of the evidence of one trial is kept, in bytes of JSON.
pub const EVIDENCE: usize = 16 << 10;
/// How much of that of all trials of a verification.
const EVIDENCE_ALL: usize = 512 << 10;

/// Why specs could not be run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The specs are wrong; the text is every diagnostic, drawn.
    #[error("{0}")]
    Specs(String),
    /// The run was stopped.
    #[error("interrupted")]
    Interrupted,
    /// Something else, with its remedy.
    #[error("{0}")]
    Other(String),
}

impl VerifyReport {
    /// Counts the trials that ended in a way.
    pub fn count(&self, verdict: TrialVerdict) -> usize {
        self.trials.iter().filter(|t| t.verdict == verdict).count()
    }

    /// Takes secrets out of what was seen: an artifact may hold one.
    pub(super) fn hide(&mut self, secrets: &Secrets) {
        if secrets.is_empty() {
            return;
        }
        for trial in &mut self.trials {
            trial.message = secrets.redact(&trial.message);
            if let Some(evidence) = &mut trial.evidence {
                evidence.value = secrets.redact_value(&evidence.value);
            }
            for mismatch in &mut trial.mismatches {
                mismatch.path = secrets.redact(&mismatch.path);
                mismatch.expected = secrets.redact(&mismatch.expected);
                mismatch.actual = secrets.redact_value(&mismatch.actual);
            }
        }
    }

    /// Gives what is not as it has to be: every fail and every error. Of many, the last come without
    /// their evidence.
    pub fn failures(&self) -> Vec<Failure> {
        let wrong = |t: &&TrialReport| match t.verdict {
            TrialVerdict::Fail | TrialVerdict::Error => true,
            TrialVerdict::Pass | TrialVerdict::Skip => false,
        };
        let mut all = 0usize;
        let bounded = |mut failure: Failure| {
            if let Some(evidence) = &mut failure.evidence {
                all = all.saturating_add(evidence.value.to_string().len());
                if all > EVIDENCE_ALL {
                    *evidence = EvidenceReport {
                        value: Value::Null,
                        truncated: true,
                    };
                }
            }
            failure
        };
        let wrong = self.trials.iter().filter(wrong).map(Failure::of);
        wrong.map(bounded).collect()
    }
}

/// The stable name of a verdict.
pub type VerdictName = &'static str;

fn verdict<'d, D: serde::Deserializer<'d>>(from: D) -> Result<VerdictName, D::Error> {
    Ok(match String::deserialize(from)?.as_str() {
        "fail" => TrialVerdict::Fail.name(),
        // What could not be read has not been judged.
        _ => TrialVerdict::Error.name(),
    })
}

/// Something that keeps an attempt from being green: a trial, or a stage that failed.
///
/// This is also what a `run:` remedy reads as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The trial's stable name, or the stage's: `build`, `patch`.
    pub trial: String,
    /// The check's name, or the step's command, or the patch.
    pub check: String,
    /// The kind; `build`, `patches` or `source` for a stage.
    pub kind: String,
    /// `fail`: judged wrong; `error`: could not be judged.
    #[serde(deserialize_with = "verdict")]
    pub verdict: VerdictName,
    /// Where it is demanded.
    pub spec: Place,
    /// What was not as demanded.
    pub mismatches: Vec<MismatchReport>,
    /// Of a patch that does not apply: each place where it does not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Hunk>,
    /// Of a trial that failed, what was seen: the record that the mismatches are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceReport>,
    /// What there is to say.
    pub message: String,
}

/// A place in a spec or in the recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file, relative to the project.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

impl Failure {
    fn of(trial: &TrialReport) -> Self {
        Self {
            trial: trial.name.clone(),
            check: trial.check.clone(),
            kind: trial.kind.clone(),
            verdict: trial.verdict.name(),
            spec: Place {
                file: trial.spec_file.clone(),
                line: trial.line,
            },
            mismatches: trial.mismatches.clone(),
            hunks: Vec::new(),
            evidence: trial.evidence.clone(),
            message: trial.message.clone(),
        }
    }

    /// Gives the same without what was seen.
    pub(super) fn without_evidence(&self) -> Self {
        Self {
            evidence: None,
            ..self.clone()
        }
    }

    /// Gives what makes two failures the same: what was demanded and what was seen, no wording.
    pub fn fingerprint(&self) -> String {
        let seen: Vec<String> = self
            .mismatches
            .iter()
            .map(|m| format!("{}\u{1}{}\u{1}{}", m.path, m.expected, m.actual))
            .collect();
        format!(
            "{}\u{2}{}\u{2}{}\u{2}{}",
            self.trial,
            self.check,
            self.verdict,
            seen.join("\u{3}")
        )
    }
}
