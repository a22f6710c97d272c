//! The arguments that choose trials, shared by every command that makes a plan.

use super::exit;
use crate::model::value::Value;
use crate::run::plan::{Plan, PlanError, Request, plan};
use crate::run::select::{Filter, Partition, Selection};
use crate::run::text;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// Which specs, and which of their trials.
#[derive(clap::Args, Debug)]
pub struct PlanArgs {
    /// Spec files, or folders of them
    #[arg(default_value = "specs", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only trials with this tag (repeatable); `!TAG` leaves them out
    #[arg(short, long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only trials whose name contains this (repeatable); also `=NAME`, `/REGEX/`, `kind:KIND`, `!…`
    #[arg(long = "filter", value_name = "EXPR")]
    filters: Vec<Filter>,
    /// One slice of the trials, for machines that share a run
    #[arg(long, value_name = "slice:N/M")]
    partition: Option<Partition>,
    /// Set a variable that a spec declares in `vars` (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    vars: Vec<(String, String)>,
    /// Where relative subjects start [default: the working directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

impl PlanArgs {
    /// Makes the plan, or says what is wrong and gives the exit code.
    pub fn plan(self) -> Result<Plan, u8> {
        let request = Request {
            paths: self.paths,
            root: self.root.unwrap_or_default(),
            vars: self
                .vars
                .into_iter()
                .map(|(k, v)| (k, Value::String(v)))
                .collect(),
            offered: Default::default(),
            rows: Vec::new(),
            selection: Selection {
                tags: self.tags,
                filters: self.filters,
                partition: self.partition,
            },
        };
        plan(&request).map_err(|error| refuse(&error))
    }
}

/// Says why there is no plan and gives the exit code.
pub fn refuse(error: &PlanError) -> u8 {
    let colour = std::io::stderr().is_terminal();
    eprint!("{}", text::plan_error(error, colour));
    match error {
        PlanError::Specs { .. } => exit::SPEC,
        PlanError::Unreadable { .. }
        | PlanError::NoSpecs(_)
        | PlanError::NothingChosen(_)
        | PlanError::UnknownVar { .. } => exit::USAGE,
    }
}
