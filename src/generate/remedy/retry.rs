//! `retry`: a fetch or a step that failed for a passing reason runs again.
//!
//! It acts inside the stage, where the command is; between two attempts there is nothing left for
//! it to do.

use super::super::session::{Session, Stop};
use super::unit::{Did, Situation, Touch, Unit};

/// The remedy.
pub(super) struct Retry;

impl Unit for Retry {
    fn name(&self) -> String {
        "retry".into()
    }

    fn is_for(&self, _situation: &Situation<'_>) -> bool {
        false
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[]
    }

    fn apply(&self, _session: &mut Session<'_>, _situation: &Situation<'_>) -> Result<Did, Stop> {
        Ok(Did::done("a retry acts inside the stage that failed"))
    }
}
