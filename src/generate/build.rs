//! The third stage: the steps run, and what they had to write is fresh.

use super::artifacts::{self, Found};
use super::error::GenerateError;
use super::event::Stage;
use super::inputs::Inputs;
use super::journal::{Success, Written};
use super::recipe::{Recipe, Step, Tool, Variant};
use super::session::{Session, StageEnd, Stop, environment, is_secret};
use super::verify::{Failure, Place};
use super::words::count;
use super::{LoopOptions, series, steps, tools};
use crate::model::size::show_duration;
use crate::probe::record::{
    ArtifactRecord, BuildRecord, PatchRecord, StepRecord, ToolRecord, VERSION,
};
use std::path::Path;
use std::time::Instant;

/// Gives what the stage depends on.
pub(super) fn inputs(
    recipe: &Recipe,
    variant: &Variant,
    options: &LoopOptions,
    head: &str,
) -> Inputs {
    let mut inputs = Inputs::default();
    series::head_input(&mut inputs, head);
    let build = &variant.build;
    inputs.add("the build's dir", &build.dir);
    for (number, step) in (1..).zip(&build.steps) {
        inputs.add(format!("step {number}"), step.argv.join("\0"));
    }
    tools::add(variant, options, &mut inputs);
    for (name, value) in environment(variant, options).0 {
        // A new token makes no other image, and its digest is nobody's business.
        let value = if is_secret(&name) {
            String::new()
        } else {
            value
        };
        inputs.add(format!("the variable {name}"), value);
    }
    inputs.add("the artifacts' names", variant.artifacts.files.join("\0"));
    inputs.add("the artifacts' folder", &variant.artifacts.from);
    inputs.add("the recipe's name", &recipe.name);
    inputs
}

/// Where a build stands in its loop.
#[derive(Clone, Copy)]
pub(super) struct Turn<'t> {
    /// The attempt; 0 for the look at the bare upstream.
    pub(super) attempt: u32,
    /// The upstream's commit.
    pub(super) commit: &'t str,
    /// The commit after all patches.
    pub(super) head: &'t str,
    /// The patches it has.
    pub(super) series: &'t [PatchRecord],
}

/// Runs the steps and judges what they wrote; leaves a record whatever comes of it.
pub(super) fn run(
    session: &mut Session<'_>,
    variant: &Variant,
    turn: Turn<'_>,
) -> Result<StageEnd, Stop> {
    let work = session.paths.work(&variant.name);
    let record_path = BuildRecord::place(session.paths.project(), &variant.name);
    // What an earlier build left must not pass for this one's.
    artifacts::remove_collected(session, variant)?;
    crate::probe::store::remove(&record_path).map_err(GenerateError::io(&record_path))?;
    artifacts::remove(variant, &work)?;
    let mut record = BuildRecord {
        version: VERSION,
        recipe: session.recipe.name.clone(),
        variant: variant.name.clone(),
        commit: turn.commit.to_owned(),
        reference: session.recipe.source.reference.clone(),
        head: turn.head.to_owned(),
        series: turn.series.to_vec(),
        tools: variant.build.tools.iter().map(tool).collect(),
        steps: Vec::new(),
        artifacts: Vec::new(),
        started: jiff::Timestamp::now().to_string(),
        attempt: turn.attempt,
    };
    let baseline = artifacts::now(&session.paths.own())?;
    let begin = Instant::now();
    let folder = work.join(&variant.build.dir);
    let mut broke = None;
    if !folder.is_dir() {
        broke = Some(no_folder(session.recipe, variant));
    }
    for (number, step) in (1..).zip(&variant.build.steps) {
        if broke.is_some() {
            break;
        }
        let log = steps::log_path(session, variant, turn.attempt, number);
        let seen = steps::step(session, variant, step, &folder, &log, begin)?;
        record.steps.push(StepRecord {
            command: step.text.clone(),
            exit: seen.code,
            duration_s: (seen.seconds * 1000.0).round() / 1000.0,
            log: session.recipe.shown(&log),
        });
        broke = seen
            .failed
            .map(|why| failed(session.recipe, step, &log, &why, seen.tail, number));
    }
    let found = artifacts::look(variant, &work, baseline);
    record.artifacts = records(session, variant, &found);
    record
        .write(&record_path)
        .map_err(GenerateError::io(&record_path))?;
    if let Some(end) = broke {
        return Ok(end);
    }
    Ok(judge(session, variant, turn, &found, begin))
}

fn tool(tool: &Tool) -> ToolRecord {
    ToolRecord {
        command: tool.text.clone(),
        said: tool.said.clone(),
    }
}

fn judge(
    session: &Session<'_>,
    variant: &Variant,
    turn: Turn<'_>,
    found: &[(String, Found)],
    begin: Instant,
) -> StageEnd {
    let work = session.paths.work(&variant.name);
    let mut failures = Vec::new();
    let mut files = Vec::new();
    for (name, found) in found {
        match found {
            Found::Fresh(written) => files.push(Written {
                path: session
                    .recipe
                    .shown(&work.join(&variant.artifacts.from).join(name)),
                ..written.clone()
            }),
            Found::Missing | Found::Stale | Found::Unusable(_) => failures.push(Failure {
                trial: Stage::Build.to_string(),
                check: format!("the build writes {name}"),
                kind: "build".into(),
                verdict: "fail",
                spec: Place {
                    file: session.recipe.shown(&session.recipe.path),
                    line: variant.build.steps.last().map_or(1, |s| s.line),
                },
                mismatches: Vec::new(),
                hunks: Vec::new(),
                evidence: None,
                message: found.explain(variant, &work, name),
            }),
        }
    }
    if failures.is_empty() {
        let summary = format!(
            "{} in {}",
            count(files.len(), "artifact"),
            show_duration(begin.elapsed())
        );
        return StageEnd::Done {
            success: Success {
                head: turn.head.to_owned(),
                files,
                ..Success::default()
            },
            summary,
        };
    }
    let messages: Vec<&str> = failures.iter().map(|f| f.message.as_str()).collect();
    StageEnd::Failed {
        summary: unwritten(failures.len(), found.len()),
        tail: messages.join("\n"),
        far: variant.build.steps.len() + files.len(),
        failures,
    }
}

fn unwritten(missing: usize, of: usize) -> String {
    let all = count(of, "artifact");
    let said = match missing {
        n if n == of && n == 1 => "the artifact was not written".to_owned(),
        n if n == of => format!("none of {all} was written"),
        1 => format!("1 of {all} was not written"),
        n => format!("{n} of {all} were not written"),
    };
    format!("every step succeeded, and {said}")
}

fn failed(
    recipe: &Recipe,
    step: &Step,
    log: &Path,
    why: &str,
    tail: String,
    number: u32,
) -> StageEnd {
    let lines: Vec<&str> = tail.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n  ");
    StageEnd::Failed {
        summary: format!("`{}`: {why}", step.text),
        failures: vec![Failure {
            trial: Stage::Build.to_string(),
            check: format!("`{}` succeeds", step.text),
            kind: "build".into(),
            verdict: "fail",
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: step.line,
            },
            mismatches: Vec::new(),
            hunks: Vec::new(),
            evidence: None,
            message: format!(
                "`{}`: {why}\n  {last}\n  whole log: {}",
                step.text,
                recipe.shown(log)
            ),
        }],
        tail,
        far: number.saturating_sub(1) as usize,
    }
}

fn no_folder(recipe: &Recipe, variant: &Variant) -> StageEnd {
    let dir = &variant.build.dir;
    let message = format!("the patched tree has no folder {dir}: correct `build.dir`");
    StageEnd::Failed {
        summary: format!("there is no {dir} to build in"),
        failures: vec![Failure {
            trial: Stage::Build.to_string(),
            check: format!("{dir} is in the patched tree"),
            kind: "build".into(),
            verdict: "fail",
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: variant.build.steps.first().map_or(1, |s| s.line),
            },
            mismatches: Vec::new(),
            hunks: Vec::new(),
            evidence: None,
            message: message.clone(),
        }],
        tail: message,
        far: 0,
    }
}

fn records(
    session: &Session<'_>,
    variant: &Variant,
    found: &[(String, Found)],
) -> Vec<ArtifactRecord> {
    let assets = session.paths.assets(variant);
    let record = |(name, found): &(String, Found)| {
        let written = match found {
            Found::Fresh(written) => Some(written),
            Found::Missing | Found::Stale | Found::Unusable(_) => None,
        };
        ArtifactRecord {
            path: assets.join(name).display().to_string(),
            bytes: written.map(|w| w.bytes),
            sha256: written.map(|w| w.sha256.clone()),
            fresh: written.is_some(),
        }
    };
    found.iter().map(record).collect()
}
