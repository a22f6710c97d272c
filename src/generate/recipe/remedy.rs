//! What is tried when an attempt is not green.

use super::super::classify::Class;
use std::time::Duration;

/// What is tried when an attempt is not green.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// One ref or value after the other, until one is green.
    Candidates(Candidates),
    /// A three-way rebase of a patch that no longer applies.
    Rebase,
    /// A step that failed for a passing reason runs again.
    Retry(Retry),
    /// A program gets the failures and may change the patches.
    Run(Run),
}

/// What is tried in order; the first that is green counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// Refs of the source; the recipe's own comes first unless it is among them.
    Ref(Vec<String>),
    /// Values of a variable of the recipe.
    Var {
        /// The variable.
        var: String,
        /// Its values.
        values: Vec<String>,
    },
}

/// When and how often a command runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The kinds of failure it is for.
    pub on: Vec<Class>,
    /// How often a command runs at most, the first time included.
    pub attempts: u32,
    /// The first wait; each one after it is twice as long.
    pub delay: Option<Duration>,
    /// No wait is longer; a server that asks for more is not asked again.
    pub max_delay: Option<Duration>,
    /// Whether tdg may clear what is its own where the disk is full.
    pub clear: bool,
}

/// A program that may mend what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables of tdg's environment it gets.
    pub env: Vec<String>,
    /// Variables of tdg's environment it gets whose values must not get out, whatever their names.
    pub secrets: Vec<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How much it may write to its outputs, in bytes.
    pub output: Option<u64>,
    /// Where it starts.
    pub start: Start,
}

/// Where a program starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// In the project's folder.
    #[default]
    Project,
    /// In the work tree of its own.
    Worktree,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            on: vec![Class::Network, Class::RateLimit],
            attempts: 3,
            delay: None,
            max_delay: None,
            clear: false,
        }
    }
}

impl Remedy {
    /// Shows the remedy as the recipe names it.
    pub fn show(&self) -> String {
        match self {
            Self::Candidates(_) => "candidates".into(),
            Self::Rebase => "rebase".into(),
            Self::Retry(_) => "retry".into(),
            Self::Run(run) => run.argv.join(" "),
        }
    }
}
