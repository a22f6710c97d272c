//! What every remedy is to the loop: a name, what it is for, what it may touch, and what it does.

use super::super::recipe::Variant;
use super::super::remedied::{RemedyEnd, RemedyRecord};
use super::super::session::{Session, Stop};
use super::super::standing::RolledBack;
use super::super::verify::Failure;

/// What a remedy is asked to mend.
pub(super) struct Situation<'s> {
    pub(super) variant: &'s Variant,
    /// The attempt that was not green, counted from 1.
    pub(super) attempt: u32,
    /// What keeps it from being green.
    pub(super) failures: &'s [Failure],
    /// The end of what the failed stage, or the build, said.
    pub(super) tail: &'s str,
    /// That the attempt was worse than the best one, whose patches are in place again; the
    /// failures are then the best one's.
    pub(super) rolled_back: Option<&'s RolledBack>,
    /// What has been tried in this loop, oldest first.
    pub(super) tried: &'s [RemedyRecord],
}

/// One remedy of the recipe.
pub(super) trait Unit {
    /// Gives its name as the recipe has it.
    fn name(&self) -> String;

    /// Tells whether it has anything to do with these failures; where not, it is passed over.
    fn is_for(&self, situation: &Situation<'_>) -> bool;

    /// Says what it may change; what else differs after it ends the loop.
    fn may_touch(&self) -> &'static [Touch];

    /// Does its work; the dispatcher looks at what changed, journals it and undoes half a remedy.
    ///
    /// # Errors
    /// Only where the loop cannot go on; a remedy that cannot help says so in what it [`Did`].
    fn apply(&self, session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop>;
}

/// Something a remedy may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// The variant's series file and the patches it names.
    Series,
}

/// What a remedy says of itself; which files differ is for the dispatcher to see.
#[derive(Debug, Default)]
pub(super) struct Did {
    /// How it ended; [`RemedyEnd::Changed`] and [`RemedyEnd::Nothing`] are told apart by the files.
    pub(super) end: RemedyEnd,
    pub(super) looked_at: Vec<String>,
    /// What it did, or why nothing, in a line; empty where the files say enough.
    pub(super) why: String,
    /// Its whole output, a file relative to the project.
    pub(super) log: Option<String>,
    /// Whether it touched what decides: that ends the loop.
    pub(super) fatal: bool,
}

impl Did {
    /// It came to its end.
    pub(super) fn done(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..Self::default()
        }
    }

    /// It did not come to its end: what it did is undone.
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self {
            end: RemedyEnd::Failed,
            why: why.into(),
            ..Self::default()
        }
    }

    /// It did what no remedy may: what it did is undone.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self {
            end: RemedyEnd::Refused,
            why: why.into(),
            ..Self::default()
        }
    }

    /// It touched what decides, or what is not its own: that ends the loop.
    pub(super) fn fatal(changes: impl Into<String>) -> Self {
        Self {
            fatal: true,
            ..Self::refused(changes)
        }
    }

    /// Says one thing more.
    pub(super) fn also(mut self, text: &str) -> Self {
        if !self.why.is_empty() {
            self.why.push_str("; ");
        }
        self.why.push_str(text);
        self
    }

    /// Names what it looked at.
    pub(super) fn looked_at(mut self, what: Vec<String>) -> Self {
        self.looked_at = what;
        self
    }
}
