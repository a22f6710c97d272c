//! How far an attempt came, and which of two came further.

use super::event::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How far an attempt came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Standing {
    /// The stage it ended in.
    pub(super) stage: Stage,
    /// How much of that stage was done: patches applied, steps run.
    pub(super) far: usize,
    /// What was wrong: trials, or the stage.
    pub(super) red: BTreeSet<String>,
}

impl Standing {
    /// Compares with an earlier one: greater is better.
    ///
    /// Which trials fail counts, not only how many: an attempt that breaks what held is no better
    /// for having mended as much elsewhere.
    pub(super) fn against(&self, earlier: &Self) -> Ordering {
        let reached = self.stage.cmp(&earlier.stage);
        let far = match self.stage {
            // There the trials tell.
            Stage::Verify | Stage::Package => Ordering::Equal,
            Stage::Source | Stage::Patch | Stage::Build | Stage::Collect => {
                self.far.cmp(&earlier.far)
            }
        };
        reached.then(far).then_with(|| {
            if self.red == earlier.red {
                Ordering::Equal
            } else if self.red.len() < earlier.red.len() {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        })
    }
}

/// That an attempt was worse than the best, and is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolledBack {
    /// The attempt that was worse.
    pub attempt: u32,
    /// The attempt whose patches are in place again.
    pub to: u32,
    /// What was wrong in the worse one: the names of trials.
    pub red: BTreeSet<String>,
    /// Where its patches are kept, relative to the project.
    pub replaced: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(stage: Stage, far: usize, red: &[&str]) -> Standing {
        Standing {
            stage,
            far,
            red: red.iter().map(|r| (*r).to_owned()).collect(),
        }
    }

    #[test]
    fn which_trials_fail_counts() {
        use Ordering::{Equal, Greater, Less};
        use Stage::{Build, Patch, Verify};
        let best = standing(Verify, 0, &["a", "b"]);
        for (stage, far, red, want) in [
            (Verify, 0, &["a", "b"][..], Equal),
            (Verify, 0, &["a"], Greater),
            (Verify, 0, &["c"], Greater),
            (Verify, 0, &["a", "c"], Less),
            (Verify, 0, &["a", "b", "c"], Less),
            (Build, 3, &["build"], Less),
            (Patch, 9, &["patch"], Less),
        ] {
            let now = standing(stage, far, red);
            assert_eq!(now.against(&best), want, "{now:?}");
        }
        let best = standing(Patch, 1, &["patch: 02 applies"]);
        for (far, want) in [(0, Less), (1, Equal), (2, Greater)] {
            let now = standing(Patch, far, &["patch: 02 applies"]);
            assert_eq!(now.against(&best), want, "{far}");
        }
        assert_eq!(
            standing(Build, 0, &["build"]).against(&best),
            Ordering::Greater
        );
    }
}
