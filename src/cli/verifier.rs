//! The engine, as the build loop asks for it.

use crate::check::RestsOn;
use crate::generate::{
    Beyond, EVIDENCE, EvidenceReport, MismatchReport, TrialReport, TrialVerdict, Verifier,
    VerifyError, VerifyReport, VerifyRequest,
};
use crate::image::Pattern;
use crate::model::value::Value;
use crate::model::{Address, Origin, Sha256Digest};
use crate::probe::exec::Cancel;
use crate::run::event::{Ending, Outcome};
use crate::run::plan::{Plan, PlanError, Request, plan};
use crate::run::{Options, text};
use std::path::{Path, PathBuf};

/// Runs specs for the loop.
pub struct SpecVerifier {
    /// Whether diagnostics are drawn in colour.
    pub colour: bool,
}

impl SpecVerifier {
    fn plan(&self, request: &VerifyRequest) -> Result<Plan, VerifyError> {
        let request = Request {
            paths: request.paths.clone(),
            root: request.project.clone(),
            offered: request.vars.iter().cloned().collect(),
            rows: request.row.clone(),
            ..Request::default()
        };
        plan(&request).map_err(|error| {
            let said = text::plan_error(&error, self.colour);
            match error {
                PlanError::Specs { .. } => VerifyError::Specs(said),
                PlanError::Unreadable { .. }
                | PlanError::NoSpecs(_)
                | PlanError::NothingChosen(_)
                | PlanError::UnknownVar { .. } => VerifyError::Other(error.to_string()),
            }
        })
    }
}

impl Verifier for SpecVerifier {
    fn prepare(&self, request: &VerifyRequest) -> Result<Vec<PathBuf>, VerifyError> {
        let plan = self.plan(request)?;
        let snapshots = plan.trials.iter().filter_map(|t| t.snapshot.clone());
        Ok(plan
            .sources
            .paths()
            .map(Path::to_owned)
            .chain(snapshots)
            .collect())
    }

    fn beyond(&self, request: &VerifyRequest) -> Result<Beyond, VerifyError> {
        let plan = self.plan(request)?;
        let mut beyond = Beyond::default();
        let mut asked = String::new();
        for trial in &plan.trials {
            let (name, kind) = (&trial.info.name, trial.kind.0);
            asked.push_str(&format!(
                "{name}\0{}\0{}\0{:?}\0{:?}\0{:?}\n",
                kind.name(),
                trial.args,
                trial.subject,
                trial.matcher,
                trial.conditions,
            ));
            let reason = match kind.rests_on(&trial.args, trial.subject.as_ref()) {
                RestsOn::World => Some(format!("looks at more than files (`{}`)", kind.name())),
                RestsOn::Only(addresses) => {
                    let mut reasons = addresses.iter().map(|address| {
                        let path = on_disk(address, &request.project)?;
                        beyond.files.insert(path);
                        Ok(())
                    });
                    reasons.find_map(Result::err)
                }
            };
            if beyond.again.is_none() {
                beyond.again = reason.map(|reason| format!("{name} {reason}"));
            }
        }
        beyond.asks = Sha256Digest::of(asked.as_bytes()).to_string();
        Ok(beyond)
    }

    fn verify(
        &self,
        request: &VerifyRequest,
        cancel: &Cancel,
    ) -> Result<VerifyReport, VerifyError> {
        let plan = self.plan(request)?;
        let options = Options {
            cancel: cancel.clone(),
            evidence: EVIDENCE,
            ..Options::default()
        };
        let summary = crate::run::run(&plan, &options, &mut |_| {});
        if summary.interrupted {
            return Err(VerifyError::Interrupted);
        }
        let report = |o: &Outcome| report(o, &request.project);
        Ok(VerifyReport {
            trials: summary.outcomes.iter().map(report).collect(),
        })
    }
}

/// Gives the one file that an address begins at, which need not be there.
///
/// # Errors
/// Says why its bytes would not tell what is seen through it.
fn on_disk(address: &Address, project: &Path) -> Result<PathBuf, String> {
    if address.origin() != Origin::Disk {
        return Err("looks at the network".into());
    }
    // Another file may match tomorrow.
    if Pattern::is_pattern(address.source()) {
        return Err("looks for files by a pattern".into());
    }
    let path = project.join(address.source());
    match path.metadata() {
        Ok(meta) if meta.is_dir() => Err("looks at a folder".into()),
        Ok(meta) if !meta.is_file() => Err("looks at what is no regular file".into()),
        Ok(_) | Err(_) => Ok(path),
    }
}

fn report(outcome: &Outcome, project: &Path) -> TrialReport {
    let info = &outcome.trial;
    let (verdict, mismatches, message) = match &outcome.ending {
        Ending::Pass => (TrialVerdict::Pass, Vec::new(), String::new()),
        Ending::Fail(failures) => {
            let mismatches = failures.iter().map(|f| MismatchReport {
                path: f.path.clone(),
                expected: f.expected.clone(),
                actual: f.actual.clone(),
            });
            let first = failures.first().and_then(|f| f.note.clone());
            (
                TrialVerdict::Fail,
                mismatches.collect(),
                first.unwrap_or_default(),
            )
        }
        Ending::Error(trouble) => {
            let remedy = trouble.remedy.as_deref().map(|r| format!(" ({r})"));
            let message = format!("{}{}", trouble.message, remedy.unwrap_or_default());
            (TrialVerdict::Error, Vec::new(), message)
        }
        Ending::Skip(reason) => (TrialVerdict::Skip, Vec::new(), reason.to_string()),
    };
    let file = Path::new(&info.place.file);
    TrialReport {
        name: info.name.clone(),
        check: info.check.clone(),
        kind: info.kind.to_owned(),
        verdict,
        spec_file: file
            .strip_prefix(project)
            .unwrap_or(file)
            .display()
            .to_string(),
        line: info.place.line,
        mismatches,
        evidence: outcome.evidence.as_ref().map(|seen| EvidenceReport {
            value: seen.value.clone(),
            truncated: seen.truncated,
        }),
        message,
    }
}

/// Shows the value of a mismatch on one line.
pub fn actual(value: &Value) -> String {
    crate::model::value::show(value, 200)
}
