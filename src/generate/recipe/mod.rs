//! The recipe, `tdg.yaml`: what is built, from what, and what proves it.

mod build;
mod fields;
mod iterate;
mod package;
mod read;
mod read_remedy;
mod remedy;

pub use super::classify::Class;
pub use package::{BuildValues, CHECKSUMS, Format, MediaTypes, Package, PackageTemplate, REPORT};
pub(super) use read::BEFORE_REMEDY;
pub use read::load;
pub use remedy::{Candidates, Remedy, Retry, Run, Start};

use crate::model::value::Value;
use crate::spec::{Diagnostics, Sources};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A recipe, its expressions evaluated for every row of its matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The folder it is in; relative paths of the recipe start here.
    pub project: PathBuf,
    /// Where the upstream is.
    pub source: Source,
    /// What is built: one for each row of the matrix, or one named `default`.
    pub variants: Vec<Variant>,
    /// How often, how long, and with which remedies.
    pub iterate: Iterate,
}

/// The upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A URL, or a path relative to the project.
    pub git: String,
    /// A tag, a branch or a whole commit id.
    pub reference: String,
}

/// One row of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The row's values joined by `-`, or `default`.
    pub name: String,
    /// The row; empty without a matrix.
    pub row: Vec<(String, Value)>,
    /// The series file, relative to the project.
    pub series: Option<String>,
    /// How it is built.
    pub build: Build,
    /// What comes out.
    pub artifacts: Artifacts,
    /// Spec files and folders, relative to the project.
    pub verify: Vec<String>,
    /// What becomes of the artifacts once they hold.
    pub package: Option<PackageTemplate>,
}

/// How a variant is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Where the steps run, relative to the work tree.
    pub dir: String,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What is asked for its version before anything is decided.
    pub tools: Vec<Tool>,
    /// How long all steps together may take.
    pub timeout: Option<Duration>,
    /// How many bytes have to be free before the steps run.
    pub space: Option<u64>,
    /// What the steps find in their environment beside `PATH HOME LANG TMPDIR`.
    pub env: Vec<(String, Setting)>,
}

/// A variable of a build's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It has this value.
    Value(String),
    /// It has the value that tdg itself was started with, if any.
    Passed,
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The step as written.
    pub text: String,
    /// What is run.
    pub argv: Vec<String>,
    /// How long it may take, all its tries together.
    pub timeout: Option<Duration>,
    /// Its line in the recipe, counted from 1.
    pub line: u32,
}

/// A program of the build that says which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The command as written.
    pub text: String,
    /// What is run.
    pub argv: Vec<String>,
    /// What it said; empty until it is asked.
    pub said: String,
}

/// What a build has to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifacts {
    /// The folder it writes to, relative to the work tree.
    pub from: String,
    /// The files, relative to that folder.
    pub files: Vec<String>,
}

/// How the loop goes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterate {
    /// How many attempts a variant has.
    pub max_attempts: u32,
    /// How many variants are worked on at once.
    pub parallel: u32,
    /// How long the whole loop may take.
    pub budget: Option<Duration>,
    /// What the specs see before the first attempt.
    pub red_first: RedFirst,
    /// What is tried, in order, when an attempt is not green.
    pub remedies: Vec<Remedy>,
}

/// What the specs see before any work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedFirst {
    /// Nothing: no artifact is there.
    #[default]
    Nothing,
    /// What the upstream builds without a patch.
    Build,
    /// The specs are not run before the work.
    Off,
}

/// How many attempts a variant has where the recipe does not say.
pub const DEFAULT_ATTEMPTS: u32 = 5;

impl Default for Iterate {
    fn default() -> Self {
        Self {
            max_attempts: DEFAULT_ATTEMPTS,
            parallel: 1,
            budget: None,
            red_first: RedFirst::default(),
            remedies: Vec::new(),
        }
    }
}

impl Recipe {
    /// Gives the rule for commands that failed for a passing reason, if there is one.
    pub fn retry(&self, class: Class) -> Option<&Retry> {
        self.iterate.remedies.iter().find_map(|r| match r {
            Remedy::Retry(retry) => retry.on.contains(&class).then_some(retry),
            Remedy::Candidates(_) | Remedy::Rebase | Remedy::Run(_) => None,
        })
    }

    /// Gives the candidates, if there are any.
    pub fn candidates(&self) -> Option<&Candidates> {
        self.iterate.remedies.iter().find_map(|r| match r {
            Remedy::Candidates(candidates) => Some(candidates),
            Remedy::Rebase | Remedy::Retry(_) | Remedy::Run(_) => None,
        })
    }

    /// Shows a path relative to the project, where it is in it.
    pub fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.project).unwrap_or(path);
        path.display().to_string()
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("the recipe {} cannot be read ({source}): run in a folder with a tdg.yaml, or name one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The recipe is wrong.
    #[error("{} in the recipe", count(.diagnostics.len()))]
    Wrong {
        /// What is wrong.
        diagnostics: Diagnostics,
        /// Where.
        sources: Sources,
    },
}

fn count(mistakes: usize) -> String {
    match mistakes {
        1 => "1 mistake".into(),
        n => format!("{n} mistakes"),
    }
}
