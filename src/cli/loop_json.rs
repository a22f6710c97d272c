//! The build loop for programs: one document, also of a loop that could not come to its end.
//!
//! `version` is 1. A field may be added within a version; none is removed or changes its meaning.

use crate::generate::{
    Failure, GenerateError, LoopEvent, LoopOutcome, LoopPlan, RemedyRecord, VariantEnd,
    VariantOutcome,
};
use crate::model::value::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// What is kept of a loop's events until it has ended.
pub struct Account {
    began: Instant,
    variants: Vec<String>,
    known: BTreeMap<String, Known>,
}

/// What is known of a variant.
#[derive(Default)]
struct Known {
    attempts: u32,
    failures: Vec<Failure>,
    remedies: Vec<RemedyRecord>,
    done: Option<VariantOutcome>,
}

impl Account {
    /// Begins, with the loop.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            variants: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Takes an event.
    pub fn event(&mut self, event: &LoopEvent<'_>) {
        match event {
            LoopEvent::LoopStarted { variants, .. } => self.variants = variants.to_vec(),
            LoopEvent::AttemptStarted {
                variant, attempt, ..
            } => {
                let known = self.known(variant);
                known.attempts = *attempt;
                known.failures.clear();
                // It is worked on again: another's remedy, or the next candidate.
                known.done = None;
            }
            LoopEvent::AttemptFinished {
                variant, failures, ..
            } => self.known(variant).failures = failures.to_vec(),
            LoopEvent::RemedyFinished {
                variant, record, ..
            } => self.known(variant).remedies.push((*record).clone()),
            LoopEvent::VariantFinished { outcome } => {
                self.known(&outcome.variant).done = Some((*outcome).clone());
            }
            LoopEvent::Note { .. }
            | LoopEvent::RedFirst { .. }
            | LoopEvent::StageSkipped { .. }
            | LoopEvent::StageStarted { .. }
            | LoopEvent::Command { .. }
            | LoopEvent::Line { .. }
            | LoopEvent::Retry { .. }
            | LoopEvent::StageFinished { .. }
            | LoopEvent::Trials { .. }
            | LoopEvent::RemedyStarted { .. }
            | LoopEvent::RolledBack { .. }
            | LoopEvent::Stuck { .. } => {}
        }
    }

    fn known(&mut self, variant: &str) -> &mut Known {
        self.known.entry(variant.to_owned()).or_default()
    }

    /// Gives the document of what came of the loop.
    pub fn document(self, result: &Result<LoopOutcome, GenerateError>) -> Value {
        match result {
            Ok(outcome) => document(
                &outcome.variants,
                outcome.duration.as_secs_f64(),
                outcome.exit_code(),
                None,
            ),
            Err(error) => {
                let took = self.began.elapsed().as_secs_f64();
                let message = anstream::adapter::strip_str(&error.to_string()).to_string();
                let variants = self.ended(error, message.trim());
                let reason = json!({ "kind": error.kind(), "message": message.trim() });
                document(&variants, took, error.exit_code(), Some(reason))
            }
        }
    }

    /// Gives what is known of each variant where the loop has ended before they had.
    fn ended(mut self, error: &GenerateError, why: &str) -> Vec<VariantOutcome> {
        let end = match error.exit_code() {
            130 => VariantEnd::Interrupted,
            _ => VariantEnd::Failed,
        };
        let variants = std::mem::take(&mut self.variants);
        let ended = |variant: String| {
            let known = self.known.remove(&variant).unwrap_or_default();
            known.done.unwrap_or_else(|| VariantOutcome {
                variant,
                end,
                attempts: known.attempts,
                unchanged: false,
                why: format!("the loop was ended: {why}"),
                failures: known.failures,
                best: None,
                artifacts: Vec::new(),
                package: None,
                look_at: Vec::new(),
                remedies: known.remedies,
                candidate: None,
                candidates: Vec::new(),
                passed: 0,
                skipped: 0,
            })
        };
        variants.into_iter().map(ended).collect()
    }
}

fn document(variants: &[VariantOutcome], took: f64, code: u8, error: Option<Value>) -> Value {
    let variants: Vec<Value> = variants.iter().map(variant).collect();
    json!({
        "version": 1,
        "tdg": env!("CARGO_PKG_VERSION"),
        "duration_s": took,
        "exit_code": code,
        "error": error,
        "variants": variants,
    })
}

fn variant(outcome: &VariantOutcome) -> Value {
    json!({
        "variant": outcome.variant,
        "end": outcome.end.name(),
        "attempts": outcome.attempts,
        "unchanged": outcome.unchanged,
        "why": outcome.why,
        "passed": outcome.passed,
        "skipped": outcome.skipped,
        "best": outcome.best,
        "failures": outcome.failures,
        "artifacts": outcome.artifacts,
        "package": outcome.package,
        "look_at": outcome.look_at,
        "remedies": outcome.remedies,
        "candidate": outcome.candidate,
        "candidates": outcome.candidates,
    })
}

/// Gives what a loop would do as a document.
pub fn plan(plan: &LoopPlan) -> Value {
    let variants: Vec<Value> = plan
        .variants
        .iter()
        .map(|variant| {
            let stages = variant.stages.iter().map(|stage| {
                json!({
                    "stage": stage.stage.name(),
                    "due": stage.why.is_some(),
                    "why": stage.why,
                    "what": stage.what,
                })
            });
            json!({
                "variant": variant.variant,
                "candidate": variant.candidate,
                "red_first": variant.red_first,
                "stages": stages.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "version": 1,
        "tdg": env!("CARGO_PKG_VERSION"),
        "recipe": plan.recipe,
        "interrupted": plan.interrupted,
        "variants": variants,
    })
}
