//! `tdg generate --check-upstream` and `--continue-rebase`: what is told of them.

use super::exit;
use crate::generate::{
    GenerateError, LoopOptions, UpstreamReport, UpstreamRow, check_upstream, continue_rebase,
};
use crate::model::path::printable;
use crate::probe::exec::{Cancel, watch_signals};
use crate::probe::git::short;

/// Looks at the upstream's refs, or without any goes on with a rebase; gives the exit code.
pub fn run(options: &LoopOptions, refs: &[String], json: bool) -> Result<u8, GenerateError> {
    let cancel = match watch_signals() {
        Ok(cancel) => cancel,
        Err(error) => {
            eprintln!("error: Ctrl-C cannot be watched: {error}");
            return Ok(exit::ERROR);
        }
    };
    if refs.is_empty() {
        go_on(options, &cancel)
    } else {
        check(options, refs, json, &cancel)
    }
}

/// Looks at refs of the upstream; gives the exit code: 1 where a series does not apply to one.
fn check(
    options: &LoopOptions,
    refs: &[String],
    json: bool,
    cancel: &Cancel,
) -> Result<u8, GenerateError> {
    let report = check_upstream(options, refs, cancel)?;
    if json {
        say!("{:#}", document(&report));
    } else {
        table(&report);
    }
    Ok(if report.all_apply() { 0 } else { exit::FAILED })
}

/// Gives the report as a document; `version` is 1.
fn document(report: &UpstreamReport) -> serde_json::Value {
    serde_json::json!({
        "version": 1,
        "tdg": env!("CARGO_PKG_VERSION"),
        "recipe": report.recipe,
        "upstream": report.upstream,
        "all_apply": report.all_apply(),
        "rows": report.rows,
    })
}

fn table(report: &UpstreamReport) {
    let width = report
        .rows
        .iter()
        .map(|r| r.reference.chars().count())
        .max();
    let width = width.unwrap_or(0).min(40);
    let mut variant = "";
    for row in &report.rows {
        if row.variant != variant {
            if !variant.is_empty() {
                say!("");
            }
            variant = &row.variant;
            say!("{variant}");
        }
        say!("  {:<width$}  {}", printable(&row.reference), told(row));
    }
    let bad = report.rows.iter().filter(|r| !r.applies).count();
    let mended = |r: &&UpstreamRow| r.rebase.as_ref().is_some_and(|m| m.mends);
    let mended = report.rows.iter().filter(mended).count();
    match (report.rows.len(), bad) {
        (all, 0) => say!("\napplies to all {all}"),
        (all, bad) => say!("\n{bad} of {all} do not apply; `rebase` would mend {mended} of them"),
    }
}

fn told(row: &UpstreamRow) -> String {
    let Some(patch) = &row.patch else {
        if row.patches == 0 {
            return "has no patch".to_owned();
        }
        return match row.moved_hunks {
            0 => "applies".to_owned(),
            1 => "applies; 1 hunk is on other lines".to_owned(),
            n => format!("applies; {n} hunks are on other lines"),
        };
    };
    let mut text = format!("FAILS at {}", printable(patch));
    if let Some(since) = &row.since {
        let commit = short(&since.commit);
        text.push_str(&format!(
            "; since {commit} ({}, {})",
            since.date, since.subject
        ));
    }
    match &row.rebase {
        Some(mended) if mended.mends => text.push_str("; rebase mends it"),
        Some(mended) => {
            let why = mended.says.first().map_or("", String::as_str);
            text.push_str(&format!("; rebase does not: {}", printable(why)));
        }
        None => {}
    }
    text
}

/// Takes what people made of conflicts into the series; gives the exit code: 1 where one is open.
fn go_on(options: &LoopOptions, cancel: &Cancel) -> Result<u8, GenerateError> {
    let all = continue_rebase(options, cancel)?;
    if all.is_empty() {
        say!("no conflict waits: `rebase` leaves one in .tdg/conflict");
        return Ok(0);
    }
    for one in &all {
        let end = if one.done {
            "the series is whole"
        } else {
            "not done"
        };
        say!("{}: {end}", one.variant);
        one.lines
            .iter()
            .for_each(|line| say!("  {}", printable(line)));
    }
    let open = all.iter().any(|one| !one.done);
    if !open {
        say!("\n`tdg generate` goes on from here");
    }
    Ok(if open { exit::FAILED } else { 0 })
}
