//! The engine, as the build loop asks for it.

use crate::generate::{
    MismatchReport, TrialReport, TrialVerdict, Verifier, VerifyError, VerifyReport, VerifyRequest,
};
use crate::model::value::Value;
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

    fn verify(
        &self,
        request: &VerifyRequest,
        cancel: &Cancel,
    ) -> Result<VerifyReport, VerifyError> {
        let plan = self.plan(request)?;
        let options = Options {
            cancel: cancel.clone(),
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
        message,
    }
}

/// Shows the value of a mismatch on one line.
pub fn actual(value: &Value) -> String {
    crate::model::value::show(value, 200)
}
