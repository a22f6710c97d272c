//! `rebase`: a patch that no longer applies, three-way on what it was made for. Not there yet: it
//! says so and does nothing.

use super::super::event::Stage;
use super::super::session::{Session, Stop};
use super::unit::{Did, Situation, Touch, Unit};

/// The remedy.
pub(super) struct Rebase;

impl Unit for Rebase {
    fn name(&self) -> String {
        "rebase".into()
    }

    fn is_for(&self, situation: &Situation<'_>) -> bool {
        let mut failures = situation.failures.iter();
        failures.any(|f| f.kind == "patches" && f.trial == Stage::Patch.name())
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[Touch::Series]
    }

    fn apply(&self, _session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop> {
        let looked_at = situation.failures.iter().map(|f| f.check.clone());
        let did = Did::done("rebase is not available yet: the patches stay as they are");
        Ok(did.looked_at(looked_at.collect()))
    }
}
