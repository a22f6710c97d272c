//! Putting together what a program is told.

use super::super::recipe::Variant;
use super::super::series;
use super::super::session::Session;
use super::report::{Excerpt, LogReport, PatchReport, REPORT_VERSION, RemedyReport, SourceReport};
use super::tree::OwnTree;
use super::unit::Situation;
use crate::probe::git::Git;
use crate::probe::record::BuildRecord;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

/// How much of the attempt's change a program is told, in bytes.
const DIFF: usize = 256 << 10;
/// How much of the end of each log.
const LOG: u64 = 8 << 10;
/// Of how many commands.
const LOGS: usize = 20;

/// Gives what the program of a remedy is told.
pub(super) fn report(
    session: &Session<'_>,
    situation: &Situation<'_>,
    tree: Option<&OwnTree>,
    time: Duration,
) -> RemedyReport {
    let variant = situation.variant;
    let shown = |path: &Path| path.display().to_string();
    let commit = session
        .state
        .success(&variant.name, super::super::event::Stage::Source)
        .map(|(_, success)| success.head.clone());
    let diff = match (tree, &commit) {
        (Some(tree), Some(commit)) => difference(session, commit, &tree.base),
        (Some(_) | None, _) => Excerpt::default(),
    };
    let deadline = jiff::Timestamp::now().saturating_add(time);
    RemedyReport {
        version: REPORT_VERSION,
        tdg: env!("CARGO_PKG_VERSION").into(),
        recipe: session.recipe.name.clone(),
        variant: variant.name.clone(),
        row: variant.row.iter().cloned().collect(),
        attempt: situation.attempt,
        deadline: deadline.unwrap_or(jiff::Timestamp::MAX).to_string(),
        project: shown(session.paths.project()),
        worktree: tree.map(|t| shown(&t.path)),
        build_tree: shown(&session.paths.work(&variant.name)),
        scratch: shown(&session.paths.scratch(&variant.name)),
        series: variant.series.clone(),
        patches: patches(session, variant),
        source: SourceReport {
            git: session.recipe.source.git.clone(),
            reference: session.recipe.source.reference.clone(),
            commit,
        },
        failures: situation.failures.to_vec(),
        diff,
        logs: logs(session, variant),
        log_tail: situation.tail.to_owned(),
        tried: situation.tried.to_vec(),
        rolled_back: situation.rolled_back.cloned(),
    }
}

fn patches(session: &Session<'_>, variant: &Variant) -> Vec<PatchReport> {
    let folder = Path::new(variant.series.as_deref().unwrap_or_default()).parent();
    let folder = folder.unwrap_or(Path::new(""));
    let listed = series::listed(session.recipe, variant);
    let report = |p: crate::probe::record::PatchRecord| PatchReport {
        path: folder.join(&p.name).display().to_string(),
        name: p.name,
    };
    listed.into_iter().map(report).collect()
}

fn difference(session: &Session<'_>, before: &str, after: &str) -> Excerpt {
    let git = Git::at(session.paths.source()).cancel(session.cancel);
    let arguments = [
        "diff-tree",
        "-p",
        "-M",
        "--no-ext-diff",
        "--no-textconv",
        before,
        after,
    ];
    // A help, not a result: without it the failures still stand.
    let Ok(output) = git.output(&arguments) else {
        return Excerpt::default();
    };
    let bytes = output.stdout.bytes();
    let end = bytes.len().min(DIFF);
    Excerpt {
        text: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        truncated: output.stdout.truncated() || end < bytes.len(),
    }
}

fn logs(session: &Session<'_>, variant: &Variant) -> Vec<LogReport> {
    let project = session.paths.project();
    let Ok(record) = BuildRecord::read(&BuildRecord::place(project, &variant.name)) else {
        return Vec::new();
    };
    let from = record.steps.len().saturating_sub(LOGS);
    let steps = record.steps.into_iter().skip(from);
    steps
        .map(|step| LogReport {
            tail: tail(&project.join(&step.log)).unwrap_or_default(),
            command: step.command,
            exit: step.exit,
            path: step.log,
        })
        .collect()
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG)))?;
    let mut bytes = Vec::new();
    file.take(LOG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
