//! How long a stage usually takes, as the journal tells it.

use super::event::Stage;
use super::journal::{Record, Told};
use jiff::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Gives the seconds between two times; nothing where the clock was set back, or one is no time.
pub(super) fn seconds(from: &str, to: &str) -> Option<f64> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    let between = Duration::try_from(to.duration_since(from)).ok()?;
    Some((between.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// How many of the last runs of a stage an expectation is made of.
const KEPT: usize = 15;

/// How long each stage of each variant usually takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected(HashMap<(String, Stage), Vec<Duration>>);

impl Expected {
    /// Takes the last successes of each stage of each variant.
    pub(super) fn of(told: &Told) -> Self {
        let mut all = Self::default();
        let mut begun: HashMap<(String, Stage), &str> = HashMap::new();
        for line in &told.lines {
            if let Record::StageStarted { variant, stage } = &line.record {
                begun.insert((variant.clone(), *stage), &line.at);
            }
            if let Record::StageFinished { variant, stage, .. } = &line.record {
                let key = (variant.clone(), *stage);
                let took = begun.remove(&key).and_then(|at| seconds(at, &line.at));
                let times = all.0.entry(key).or_default();
                times.extend(took.map(Duration::from_secs_f64));
                if times.len() > KEPT {
                    times.remove(0);
                }
            }
            // What broke off before is not what finishes after.
            if let Record::LoopStarted { .. } | Record::LoopResumed = &line.record {
                begun.clear();
            }
        }
        all
    }

    /// Gives the median of what a stage of a variant took; nothing before its first success.
    pub(super) fn median(&self, variant: &str, stage: Stage) -> Option<Duration> {
        let mut times = self.0.get(&(variant.to_owned(), stage))?.clone();
        times.sort();
        times.get(times.len() / 2).copied()
    }
}
