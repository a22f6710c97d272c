//! The engine, as the build loop asks for it.

use crate::generate::{
    Beyond, MismatchReport, TrialReport, TrialVerdict, Verifier, VerifyError, VerifyReport,
    VerifyRequest,
};
use crate::model::value::Value;
use crate::model::{Address, Sha256Digest};
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
            let subject = trial.subject.as_ref().map(ToString::to_string);
            asked.push_str(&format!(
                "{name}\0{}\0{}\0{subject:?}\n",
                kind.name(),
                trial.args
            ));
            let mut reason = (!kind.self_contained())
                .then(|| format!("looks at more than files (`{}`)", kind.name()));
            let mut addresses: Vec<Address> = trial.subject.iter().cloned().collect();
            texts(&trial.args, &mut |text| {
                addresses.extend(Address::parse(text))
            });
            for address in addresses {
                match address.disk_path().map(|p| request.project.join(p)) {
                    Some(path) if path.is_dir() => {
                        reason = reason.or_else(|| Some("looks at a folder".into()))
                    }
                    Some(path) => drop(beyond.files.insert(path)),
                    None => reason = reason.or_else(|| Some("looks at the network".into())),
                }
            }
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

/// Hands on every text in a value.
fn texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, each)),
        Value::Object(map) => map.values().for_each(|item| texts(item, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
