//! What the journal amounts to: which stage last succeeded on what, and where a loop broke off.

use super::event::{CandidateOutcome, Stage, VariantEnd};
use super::expected::Expected;
use super::inputs::Inputs;
use super::journal::{Record, Success, Told};
use super::law::Law;
use super::remedied::{RemedyEnd, RemedyRecord};
use super::standing::{RolledBack, Standing};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Everything known from the journal.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// How many loops there have been.
    pub(super) loops: u32,
    /// The last loop, where it did not come to its end.
    pub(super) open: Option<OpenLoop>,
    /// Files that are law and were changed under a loop: what they were, what they became.
    pub(super) broken: Option<(Law, Law)>,
    variants: HashMap<String, VariantState>,
    expected: Arc<Expected>,
}

/// A loop that did not come to its end.
#[derive(Clone, Debug)]
pub(super) struct OpenLoop {
    pub(super) number: u32,
    pub(super) law: Law,
    pub(super) progress: BTreeMap<String, Progress>,
    /// How long it has taken, in milliseconds.
    pub(super) spent_ms: u64,
}

/// How far a loop came with a variant.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The attempt that began last.
    pub(super) attempt: u32,
    /// Whether a remedy has ended since: the next attempt is due.
    pub(super) remedied: bool,
    /// Whether a remedy began and did not end: what it did is undone first.
    pub(super) in_remedy: bool,
    /// The best attempt so far.
    pub(super) best: Option<Best>,
    /// That the last attempt was worse, and is undone.
    pub(super) rolled: Option<RolledBack>,
    /// The inputs and failures of finished attempts, by attempt.
    pub(super) seen: Vec<(u32, String, String)>,
    /// What each remedy did, oldest first.
    pub(super) remedies: Vec<RemedyRecord>,
    /// The candidate that is worked on, and those that are not green.
    pub(super) candidate: Option<String>,
    pub(super) candidates: Vec<CandidateOutcome>,
    /// How it ended, if it did.
    pub(super) end: Option<VariantEnd>,
}

/// The best attempt so far.
#[derive(Clone, Debug)]
pub(super) struct Best {
    pub(super) attempt: u32,
    pub(super) standing: Standing,
    /// The digest of its series and patches.
    pub(super) patches: String,
}

#[derive(Clone, Debug, Default)]
struct VariantState {
    succeeded: BTreeMap<Stage, (Inputs, Success)>,
    /// Stages that began and did not succeed.
    begun: HashSet<Stage>,
    red_first: Option<String>,
    in_red_first: bool,
}

impl State {
    /// Replays the journal.
    ///
    /// Past a place where something is missing, no success before it is relied on: what came after
    /// it may have been what is missing.
    pub(super) fn replay(told: &Told) -> Self {
        let mut state = Self {
            expected: Arc::new(Expected::of(told)),
            ..Self::default()
        };
        let mut faults = told.faults.iter().peekable();
        for (number, line) in told.lines.iter().enumerate() {
            if faults.next_if(|fault| fault.after <= number).is_some() {
                state.variants.clear();
            }
            state.take(&line.record);
        }
        if faults.next().is_some() {
            state.variants.clear();
        }
        state
    }

    /// Takes in one more record.
    pub(super) fn take(&mut self, record: &Record) {
        match record {
            Record::LoopStarted { number, law, .. } => {
                self.loops = *number;
                self.open = Some(OpenLoop {
                    number: *number,
                    law: law.clone(),
                    progress: BTreeMap::new(),
                    spent_ms: 0,
                });
                // A loop begins only once what was broken is mended or accepted.
                self.broken = None;
            }
            Record::LoopResumed => {}
            Record::LoopFinished => self.open = None,
            Record::LawBroken { before, now, .. } => {
                self.broken = Some((before.clone(), now.clone()));
            }
            Record::RedFirstStarted { variant } => self.variant(variant).in_red_first = true,
            Record::RedFirstFinished { variant, inputs } => {
                let variant = self.variant(variant);
                variant.in_red_first = false;
                variant.red_first = Some(inputs.clone());
            }
            Record::AttemptStarted { variant, attempt } => {
                let progress = self.progress(variant);
                progress.attempt = *attempt;
                progress.remedied = false;
                progress.rolled = None;
            }
            Record::AttemptFinished {
                variant,
                attempt,
                inputs,
                failures,
                spent_ms,
                loop_ms,
            } => {
                if let Some(open) = &mut self.open {
                    open.spent_ms = match loop_ms {
                        0 => open.spent_ms + spent_ms,
                        // Variants that work at once share the time.
                        _ => open.spent_ms.max(*loop_ms),
                    };
                }
                let progress = self.progress(variant);
                progress
                    .seen
                    .retain(|(n, i, _)| n != attempt || i != inputs);
                progress
                    .seen
                    .push((*attempt, inputs.clone(), failures.clone()));
            }
            Record::BestKept {
                variant,
                attempt,
                standing,
                patches,
            } => {
                self.progress(variant).best = Some(Best {
                    attempt: *attempt,
                    standing: standing.clone(),
                    patches: patches.clone(),
                });
            }
            Record::RolledBack { variant, rolled } => {
                self.progress(variant).rolled = Some(rolled.clone());
            }
            Record::StageStarted { variant, stage } => {
                let variant = self.variant(variant);
                // What comes after rests on what is made anew now; a package says itself on what.
                let stands = |s: Stage| s < *stage || *stage == Stage::Verify && s > *stage;
                variant.succeeded.retain(|s, _| stands(*s));
                variant.begun.retain(|s| s < stage);
                variant.begun.insert(*stage);
            }
            Record::StageFinished {
                variant,
                stage,
                inputs,
                success,
            } => {
                let variant = self.variant(variant);
                variant.begun.remove(stage);
                variant
                    .succeeded
                    .insert(*stage, (inputs.clone(), success.clone()));
            }
            Record::RemedyStarted { variant, .. } => self.progress(variant).in_remedy = true,
            Record::RemedyFinished {
                variant,
                record,
                changed,
                ..
            } => {
                let progress = self.progress(variant);
                progress.remedies.extend(record.clone());
                progress.in_remedy = false;
                // One that changed nothing is followed by the next remedy, not by an attempt.
                let by_record = record.as_ref().is_some_and(|r| r.end == RemedyEnd::Changed);
                progress.remedied |= by_record || !changed.is_empty();
            }
            Record::RemedyUndone { variant } => self.progress(variant).in_remedy = false,
            Record::Retried { variant, record } => {
                self.progress(variant).remedies.push(record.clone());
            }
            Record::CandidateStarted { variant, candidate } => {
                let progress = self.progress(variant);
                *progress = Progress {
                    candidate: Some(candidate.clone()),
                    candidates: std::mem::take(&mut progress.candidates),
                    remedies: std::mem::take(&mut progress.remedies),
                    ..Progress::default()
                };
            }
            Record::CandidateFinished { variant, outcome } => {
                self.progress(variant).candidates.push(outcome.clone());
            }
            Record::VariantFinished { variant, end, .. } => {
                self.progress(variant).end = Some(*end);
            }
        }
    }

    fn variant(&mut self, name: &str) -> &mut VariantState {
        self.variants.entry(name.to_owned()).or_default()
    }

    fn progress(&mut self, variant: &str) -> &mut Progress {
        let open = self.open.get_or_insert_with(|| OpenLoop {
            number: 0,
            law: Law::new(),
            progress: BTreeMap::new(),
            spent_ms: 0,
        });
        open.progress.entry(variant.to_owned()).or_default()
    }

    /// Gives the last success of a stage, unless a stage before it has begun since.
    pub(super) fn success(&self, variant: &str, stage: Stage) -> Option<&(Inputs, Success)> {
        self.variants.get(variant)?.succeeded.get(&stage)
    }

    /// Gives how long a stage usually took in earlier loops.
    pub(super) fn expected(&self, variant: &str, stage: Stage) -> Option<Duration> {
        self.expected.median(variant, stage)
    }

    /// Tells whether a stage began and did not succeed.
    pub(super) fn broke_off(&self, variant: &str, stage: Stage) -> bool {
        let variant = self.variants.get(variant);
        variant.is_some_and(|v| v.begun.contains(&stage))
    }

    /// Gives the attempt of a variant that began last in the open loop; 0 before the first.
    pub(super) fn attempt(&self, variant: &str) -> u32 {
        self.known(variant).map_or(0, |p| p.attempt)
    }

    fn known(&self, variant: &str) -> Option<&Progress> {
        self.open.as_ref()?.progress.get(variant)
    }

    /// Gives the best attempt of a variant in the open loop.
    pub(super) fn best(&self, variant: &str) -> Option<&Best> {
        self.known(variant)?.best.as_ref()
    }

    /// Tells that the last attempt of a variant was worse than the best, and is undone.
    pub(super) fn rolled(&self, variant: &str) -> Option<&RolledBack> {
        self.known(variant)?.rolled.as_ref()
    }

    /// Gives the candidate of a variant that is worked on in the open loop, and those that are not
    /// green.
    pub(super) fn candidates(&self, variant: &str) -> (Option<String>, Vec<CandidateOutcome>) {
        self.known(variant)
            .map(|p| (p.candidate.clone(), p.candidates.clone()))
            .unwrap_or_default()
    }

    /// Lists what remedies did for a variant in the open loop, oldest first.
    pub(super) fn remedies(&self, variant: &str) -> Vec<RemedyRecord> {
        self.known(variant)
            .map(|p| p.remedies.clone())
            .unwrap_or_default()
    }

    /// Gives the digest of the specs that have been seen red.
    pub(super) fn red_first(&self, variant: &str) -> Option<&str> {
        self.variants.get(variant)?.red_first.as_deref()
    }

    /// Tells whether a look at the specs before the work broke off.
    pub(super) fn in_red_first(&self, variant: &str) -> bool {
        let variant = self.variants.get(variant);
        variant.is_some_and(|v| v.in_red_first)
    }
}
