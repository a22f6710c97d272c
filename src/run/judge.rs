//! From evidence to an ending: matchers, quarantine, secrets.

use super::event::{Ending, Failure};
use super::plan::{Trial, place};
use super::secrets::Secrets;
use crate::model::value::{Value, at_path, clip};
use crate::model::{SkipReason, Trouble};
use crate::spec::Sources;
use crate::spec::matcher::{At, Lookup, Reference};
use jiff::Zoned;
use jiff::civil::Date;
use std::sync::{Arc, OnceLock};

/// A report shows this many failures of one trial; the rest is counted.
const MAX_FAILURES: usize = 1000;
/// A value in a report is cut to about this many characters.
const MAX_ACTUAL: usize = 4000;

/// The evidence of the other trials of a plan.
pub(super) struct Others<'o> {
    pub trial: &'o Trial,
    pub evidence: &'o [OnceLock<Arc<Value>>],
}

impl Lookup for Others<'_> {
    fn find(&self, reference: &Reference) -> Result<Value, String> {
        let index = self
            .trial
            .compares
            .iter()
            .find(|(r, _)| r == reference)
            .map(|(_, index)| *index);
        let evidence = index
            .and_then(|i| self.evidence.get(i))
            .and_then(OnceLock::get)
            .ok_or_else(|| format!("there is no evidence of `{}`", reference.check))?;
        at_path(evidence, &reference.path).cloned().ok_or_else(|| {
            format!(
                "the evidence of `{}` has no `{}`",
                reference.check, reference.path
            )
        })
    }
}

/// Judges evidence by the trial's matchers.
pub(super) fn judge(
    trial: &Trial,
    evidence: &Value,
    lookup: &Others<'_>,
    sources: &Sources,
    secrets: &Secrets,
) -> Ending {
    let Some(matcher) = &trial.matcher else {
        return Ending::Pass;
    };
    let mut findings = Vec::new();
    matcher.judge(evidence, &At::root(lookup), &mut findings);
    if findings.is_empty() {
        return Ending::Pass;
    }
    let more = findings.len().saturating_sub(MAX_FAILURES);
    let mut failures: Vec<Failure> = findings
        .into_iter()
        .take(MAX_FAILURES)
        .map(|f| Failure {
            path: f.mismatch.path,
            expected: f.mismatch.expected,
            // Before it is cut: half a secret is one too.
            actual: shorten(secrets.hide_value(&f.mismatch.actual)),
            note: f.mismatch.note,
            place: place(sources, f.mismatch.span),
        })
        .collect();
    if let (Some(last), 1..) = (failures.last_mut(), more) {
        let note = last
            .note
            .take()
            .map(|n| format!("{n}; "))
            .unwrap_or_default();
        last.note = Some(format!("{note}and {more} more like this"));
    }
    Ending::Fail(failures)
}

fn shorten(value: Value) -> Value {
    match &value {
        Value::String(s) if s.len() > MAX_ACTUAL => Value::String(clip(s, MAX_ACTUAL)),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > MAX_ACTUAL {
                Value::String(clip(&text, MAX_ACTUAL))
            } else {
                value
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Applies a quarantine: until its date a failure is a skip; after it, a failure again.
pub(super) fn quarantine(trial: &Trial, ending: Ending, tries: u32) -> (Ending, u32, Vec<String>) {
    let Some(q) = &trial.quarantine else {
        return (ending, tries, Vec::new());
    };
    let today = Zoned::now().date();
    let over = q.until.parse::<Date>().is_ok_and(|until| today > until);
    match ending {
        Ending::Pass => {
            let note = format!("passes again: remove its quarantine ({})", q.issue);
            (Ending::Pass, tries, vec![note])
        }
        Ending::Fail(_) | Ending::Error(_) if over => {
            let note = format!("its quarantine ended on {} ({})", q.until, q.issue);
            (ending, tries, vec![note])
        }
        Ending::Fail(_) | Ending::Error(_) => {
            let reason = SkipReason::Quarantined {
                issue: q.issue.clone(),
                until: q.until.clone(),
            };
            (Ending::Skip(reason), tries, Vec::new())
        }
        Ending::Skip(reason) => (Ending::Skip(reason), tries, Vec::new()),
    }
}

/// Takes secret values out of everything an ending would show.
pub(super) fn redact(ending: Ending, secrets: &Secrets) -> Ending {
    let hide = |text: String| secrets.hide(&text);
    match ending {
        Ending::Fail(failures) => Ending::Fail(
            failures
                .into_iter()
                .map(|f| Failure {
                    path: hide(f.path),
                    expected: hide(f.expected),
                    actual: secrets.hide_value(&f.actual),
                    note: f.note.map(hide),
                    place: f.place,
                })
                .collect(),
        ),
        Ending::Error(trouble) => Ending::Error(Trouble {
            message: hide(trouble.message),
            remedy: trouble.remedy.map(hide),
            transient: trouble.transient,
        }),
        Ending::Skip(reason) => Ending::Skip(match reason {
            SkipReason::Condition(text) => SkipReason::Condition(hide(text)),
            SkipReason::Requirement(text) => SkipReason::Requirement(hide(text)),
            SkipReason::Blocked(text) => SkipReason::Blocked(hide(text)),
            SkipReason::Quarantined { issue, until } => SkipReason::Quarantined {
                issue: hide(issue),
                until,
            },
            SkipReason::NotRun(text) => SkipReason::NotRun(hide(text)),
        }),
        Ending::Pass => Ending::Pass,
    }
}
