//! A spec that was written, read back, planned and run.

use std::path::Path;

use crate::format::Limits;
use crate::probe::exec::Cancel;
use crate::run::event::Ending;
use crate::run::plan::{Request, plan};
use crate::run::select::{Filter, Selection};
use crate::run::{Options, text};

/// A check that does not hold of what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The name of the check.
    pub check: String,
    /// Why.
    pub why: String,
}

/// Reads a spec file, plans it and runs its checks, or only the one of a name;
/// gives those that do not pass. A relative subject is relative to the working
/// directory.
///
/// # Errors
/// Says what is wrong with the spec, where it cannot be planned.
pub fn verify(
    file: &Path,
    only: Option<&str>,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Vec<Failed>, String> {
    let mut request = Request {
        paths: vec![file.to_owned()],
        ..Request::default()
    };
    let mut planned = plan(&request).map_err(|error| text::plan_error(&error, false))?;
    if let Some(name) = only {
        let named = planned
            .trials
            .iter()
            .filter(|trial| trial.info.check == name);
        let filters: Vec<Filter> = named
            .map(|trial| Filter::Exactly(trial.info.name.clone()))
            .collect();
        if filters.is_empty() {
            return Err(format!("no check is named `{name}`\n"));
        }
        request.selection = Selection {
            filters,
            ..Selection::default()
        };
        planned = plan(&request).map_err(|error| text::plan_error(&error, false))?;
    }
    let options = Options {
        limits: limits.clone(),
        cancel: cancel.clone(),
        ..Options::default()
    };
    let summary = crate::run::run(&planned, &options, &mut |_| {});
    let failed = summary.outcomes.iter().filter(|o| o.ending != Ending::Pass);
    Ok(failed
        .map(|outcome| Failed {
            check: outcome.trial.check.clone(),
            why: text::ending(outcome).trim_end().to_owned(),
        })
        .collect())
}
