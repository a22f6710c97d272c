//! Trying a command again where its failure may pass: when, after what wait, and what to say where
//! not.

use super::classify::{self, Class, Passing};
use super::event::LoopEvent;
use super::journal::Record;
use super::recipe::{Retry, Variant};
use super::remedied::{RemedyEnd, RemedyRecord};
use super::session::{Session, Stop};
use super::space;
use crate::model::size::show_duration;
use std::time::Duration;

/// The longest wait where the recipe says nothing: a server that limits may ask for more.
const LONGEST: Duration = Duration::from_secs(60);
const LONGEST_ASKED: Duration = Duration::from_secs(15 * 60);
/// A limit takes longer to pass than a network that is gone: the first wait is so many times
/// longer.
const LIMIT_FACTOR: u32 = 5;

/// Whether a command runs again.
pub(super) enum Next {
    /// It does, now: the wait is over.
    Again,
    /// It does not; with what there is to say about it.
    Enough(Option<String>),
}

/// The runs of one command.
pub(super) struct Tries<'c> {
    command: &'c str,
    /// How often it ran.
    runs: u32,
    seed: u64,
}

impl<'c> Tries<'c> {
    /// Takes a command that has not run yet.
    pub(super) fn new(session: &Session<'_>, command: &'c str) -> Self {
        Self {
            command,
            runs: 0,
            seed: session.options.retry_seed.unwrap_or_else(changing),
        }
    }

    /// Takes in that the command failed; waits where it is to run again.
    pub(super) fn failed(
        &mut self,
        session: &mut Session<'_>,
        variant: &Variant,
        said: &str,
    ) -> Result<Next, Stop> {
        self.runs += 1;
        let Some(passing) = classify::passing(said) else {
            return Ok(Next::Enough(None));
        };
        let rule = session.recipe.retry(passing.class).cloned();
        let cleared = match passing.class {
            Class::Disk => match self.disk(session, rule.as_ref()) {
                Ok(cleared) => Some(cleared),
                Err(why) => return Ok(Next::Enough(Some(why))),
            },
            Class::Network | Class::RateLimit | Class::Killed => None,
        };
        let Some(rule) = rule.filter(|rule| self.runs < rule.attempts) else {
            return Ok(Next::Enough(None));
        };
        let delay = match self.delay(session, &rule, &passing) {
            Ok(delay) => delay,
            Err(why) => return Ok(Next::Enough(Some(why))),
        };
        self.tell(session, variant, &rule, &passing, delay, cleared)?;
        session.pause(delay)?;
        Ok(Next::Again)
    }

    /// Makes room where the recipe allows it; gives what was cleared, or why there is no room.
    fn disk(&self, session: &Session<'_>, rule: Option<&Retry>) -> Result<String, String> {
        let (paths, recipe) = (&session.paths, session.recipe);
        let found = space::clearable(
            paths,
            recipe,
            session.options.cache.as_ref(),
            session.number,
        );
        let free = space::show_free(paths);
        if found.is_empty() {
            return Err(format!(
                "the disk is full: {free}; tdg has nothing to clear"
            ));
        }
        let what = space::show(&found);
        match rule {
            Some(rule) if rule.clear && self.runs < rule.attempts => {
                let gone = space::clear(found);
                let now = space::show_free(paths);
                Ok(format!("{free}; cleared {}; now {now}", space::show(&gone)))
            }
            Some(_) | None => Err(format!(
                "the disk is full: {free}; tdg could clear {what}, with `retry: {{ on: [disk], clear: true }}`"
            )),
        }
    }

    /// Gives how long to wait, or why that is too long.
    fn delay(
        &self,
        session: &Session<'_>,
        rule: &Retry,
        passing: &Passing,
    ) -> Result<Duration, String> {
        let first = rule.delay.unwrap_or(session.options.retry_delay);
        let (first, longest) = match passing.class {
            Class::RateLimit => (first.saturating_mul(LIMIT_FACTOR), LONGEST_ASKED),
            Class::Network | Class::Disk | Class::Killed => (first, LONGEST),
        };
        let longest = rule.max_delay.unwrap_or(longest);
        let own = back_off(first, self.runs, self.seed).min(longest);
        let asked = passing.wait.unwrap_or_default();
        if asked > longest {
            return Err(format!(
                "the server asks to wait {}, longer than `max-delay` ({})",
                show_duration(asked),
                show_duration(longest)
            ));
        }
        let delay = own.max(asked);
        if let Some(left) = session.left()
            && delay >= left
        {
            return Err(format!(
                "not tried again: a wait of {} is longer than what is left of the budget",
                show_duration(delay)
            ));
        }
        Ok(delay)
    }

    fn tell(
        &self,
        session: &mut Session<'_>,
        variant: &Variant,
        rule: &Retry,
        passing: &Passing,
        delay: Duration,
        cleared: Option<String>,
    ) -> Result<(), Stop> {
        let (next, of) = (self.runs + 1, rule.attempts);
        let class = passing.class.name();
        session.emit(&LoopEvent::Retry {
            variant: &variant.name,
            command: self.command,
            class,
            why: &passing.why,
            attempt: next,
            of,
            delay,
        });
        let mut why = format!(
            "`{}` ran again ({next} of {of}) after {}, {class}: {}",
            self.command,
            show_duration(delay),
            passing.why
        );
        if let Some(cleared) = cleared {
            session.note(variant, &format!("the disk is full: {cleared}"));
            why.push_str(&format!("; {cleared}"));
        }
        let attempt = session.state.attempt(&variant.name);
        session.record(Record::Retried {
            variant: variant.name.clone(),
            record: RemedyRecord {
                remedy: "retry".into(),
                attempt,
                end: RemedyEnd::Again,
                looked_at: vec![self.command.to_owned()],
                why,
                took_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                ..RemedyRecord::default()
            },
        })
    }
}

/// Gives the wait after so many runs: twice as long each time, and not the same for everyone.
fn back_off(first: Duration, runs: u32, seed: u64) -> Duration {
    let doubled = first.saturating_mul(1 << runs.saturating_sub(1).min(16));
    // Between three quarters and five quarters.
    let thousandth = mixed(seed.wrapping_add(u64::from(runs))) % 1000;
    #[allow(clippy::cast_precision_loss)]
    let part = 0.75 + thousandth as f64 / 2000.0;
    doubled.min(LONGEST_ASKED).mul_f64(part)
}

/// Spreads a number over all its bits (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn changing() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |t| u64::from(t.subsec_nanos()) ^ t.as_secs());
    now ^ (u64::from(std::process::id()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_bounds_and_differ_by_seed_alone() {
        let first = Duration::from_secs(2);
        for seed in 0..50 {
            let mut before = Duration::ZERO;
            for runs in 1..8 {
                let wait = back_off(first, runs, seed);
                let middle = 2.0 * f64::from(1 << (runs - 1));
                let part = wait.as_secs_f64() / middle;
                assert!((0.75..=1.25).contains(&part), "{runs}: {wait:?}");
                assert_eq!(wait, back_off(first, runs, seed));
                assert!(wait > before);
                before = wait;
            }
        }
        assert_ne!(back_off(first, 1, 1), back_off(first, 1, 2));
        assert!(back_off(Duration::MAX, u32::MAX, 7) <= LONGEST_ASKED * 2);
    }
}
