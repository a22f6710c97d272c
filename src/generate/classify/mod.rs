//! Telling a passing failure from a lasting one, by what a command said.
//!
//! Programs have no code for "try again": their words are all there is. [`messages`] holds what
//! they say; [`asked`] reads how long a server asks to wait.

mod asked;
mod messages;

use crate::model::value::clip;
use messages::Tables;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

/// What kind of failure a second try may mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The network, or a server that is down for a moment.
    Network,
    /// A server that asks to come back later.
    RateLimit,
    /// No space is left.
    Disk,
    /// A process was killed from outside, mostly for want of memory.
    Killed,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Network, Self::RateLimit, Self::Disk, Self::Killed];

    /// Gives the word a recipe has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::RateLimit => "rate-limit",
            Self::Disk => "disk",
            Self::Killed => "killed",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or(())
    }
}

/// A failure that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passing {
    pub(super) class: Class,
    /// The line that shows it.
    pub(super) why: String,
    /// How long the server asks to wait.
    pub(super) wait: Option<Duration>,
}

/// How much of the end of an output is looked at, in lines.
const LOOKED_AT: usize = 60;

/// Gives what shows a failure to be a passing one, if anything does.
///
/// The last line that says anything decides: it is nearest to what ended the command. A disk that
/// is full and a refused login decide wherever they stand.
pub(super) fn passing(output: &str) -> Option<Passing> {
    let tables = tables()?;
    let lines: Vec<&str> = output.lines().collect();
    let end: Vec<&str> = lines[lines.len().saturating_sub(LOOKED_AT)..]
        .iter()
        .map(|line| line.rsplit('\r').next().unwrap_or(line))
        .filter(|line| !tables.quotes(line))
        .collect();
    let found = |class, line: &str| Passing {
        class,
        why: clip(line.trim(), 200),
        wait: None,
    };
    if let Some(line) = end.iter().rev().find(|l| tables.disk(l)) {
        return Some(found(Class::Disk, line));
    }
    for line in end.iter().rev() {
        // GitHub answers 403 where it means 429.
        if tables.rate_limit(line) {
            let wait = end.iter().rev().find_map(|l| asked::wait(l));
            return Some(Passing {
                wait,
                ..found(Class::RateLimit, line)
            });
        }
        if end.iter().any(|l| tables.refused(l)) {
            return None;
        }
        if tables.killed(line) {
            return Some(found(Class::Killed, line));
        }
        if tables.lasting(line) {
            return None;
        }
        if tables.network(line) {
            let wait = end.iter().rev().find_map(|l| asked::wait(l));
            return Some(Passing {
                wait,
                ..found(Class::Network, line)
            });
        }
    }
    None
}

fn tables() -> Option<&'static Tables> {
    static TABLES: OnceLock<Option<Tables>> = OnceLock::new();
    TABLES.get_or_init(|| Tables::new().ok()).as_ref()
}

#[cfg(test)]
mod tests;
