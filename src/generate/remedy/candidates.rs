//! `candidates`: the next ref or value, where one has not become green.
//!
//! It acts around the attempts of one candidate; between two attempts there is nothing for it to
//! do.

use super::super::session::{Session, Stop};
use super::unit::{Did, Situation, Touch, Unit};

/// The remedy.
pub(super) struct Next;

impl Unit for Next {
    fn name(&self) -> String {
        "candidates".into()
    }

    fn is_for(&self, _situation: &Situation<'_>) -> bool {
        false
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[]
    }

    fn apply(&self, _session: &mut Session<'_>, _situation: &Situation<'_>) -> Result<Did, Stop> {
        Ok(Did::done(
            "the next candidate is taken when this one is given up",
        ))
    }
}
