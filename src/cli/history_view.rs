//! What earlier loops did, as a person and as a program reads it.

use crate::generate::{
    History, PastAttempt, PastEnd, PastLoop, PastStage, PastVariant, StageOutcome,
};
use crate::model::path::printable;
use crate::model::size::{show_duration, show_size};
use std::time::Duration;

/// Prints the newest loops; gives the exit code.
pub fn show(mut history: History, most: usize, json: bool) -> u8 {
    let all = history.loops.len();
    history.loops.truncate(most);
    if json {
        let document = serde_json::json!({
            "version": 1,
            "tdg": env!("CARGO_PKG_VERSION"),
            "loops": history.loops,
            "faults": history.faults,
        });
        say!("{document:#}");
        return 0;
    }
    if all == 0 {
        say!("no loop has run here yet");
    }
    for (number, past) in history.loops.iter().enumerate() {
        if number > 0 {
            say!("");
        }
        lines(past).iter().for_each(|line| say!("{line}"));
    }
    if let more @ 1.. = all - history.loops.len() {
        say!("\n{more} earlier: --history={all} shows all");
    }
    for fault in &history.faults {
        say!("\nthe journal does not say all that happened: {fault}");
    }
    0
}

fn time(seconds: f64) -> String {
    // Read from a file: what is no duration is shown as none.
    show_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn lines(past: &PastLoop) -> Vec<String> {
    let end = match past.end {
        PastEnd::Finished => "",
        PastEnd::Open => ", not at its end",
        PastEnd::LawBroken => ", ended: specs were changed under it",
    };
    let resumed = match past.resumed {
        0 => String::new(),
        1 => ", resumed once".to_owned(),
        n => format!(", resumed {n} times"),
    };
    // To the second: `2026-11-27T09:30:00Z`.
    let began = past.began.split('.').next().unwrap_or_default();
    let mut lines = vec![format!(
        "loop {}, {}, {}, {}{resumed}{end}",
        past.number,
        printable(&past.recipe),
        began.trim_end_matches('Z').replace('T', " "),
        time(past.duration_s)
    )];
    past.variants.iter().for_each(|v| variant(v, &mut lines));
    lines
}

fn variant(past: &PastVariant, lines: &mut Vec<String>) {
    let end = past.end.map_or("not at its end", |end| end.name());
    let ran = past.attempts.iter().any(|a| !a.stages.is_empty());
    let unchanged = if ran { "" } else { ", unchanged" };
    lines.push(format!("  {}: {end}{unchanged}", printable(&past.variant)));
    for attempt in past
        .attempts
        .iter()
        .filter(|a| !a.stages.is_empty() || !a.remedies.is_empty())
    {
        stages(attempt, lines);
    }
    let last = past
        .attempts
        .iter()
        .rev()
        .flat_map(|a| a.stages.iter().rev());
    let files = last.clone().find(|stage| !stage.files.is_empty());
    for file in files.iter().flat_map(|stage| &stage.files) {
        lines.push(format!(
            "    {}  {}  sha256:{}",
            printable(&file.path),
            show_size(file.bytes),
            file.sha256
        ));
    }
    if let Some(digest) = last.clone().find_map(|stage| stage.package.as_ref()) {
        lines.push(format!("    package  {}", printable(digest)));
    }
}

fn stages(attempt: &PastAttempt, lines: &mut Vec<String>) {
    let name = match attempt.attempt {
        0 => "before".to_owned(),
        n => format!("attempt {n}"),
    };
    let candidate = attempt.candidate.as_deref();
    let candidate = candidate.map_or(String::new(), |c| format!(" ({})", printable(c)));
    let stages: Vec<String> = attempt.stages.iter().map(stage).collect();
    lines.push(format!("    {name}{candidate}: {}", stages.join(", ")));
    for remedy in &attempt.remedies {
        let changed: Vec<String> = remedy.changed.iter().map(|c| printable(c)).collect();
        let changed = match changed.is_empty() {
            true => String::new(),
            false => format!(" {}", changed.join(", ")),
        };
        lines.push(format!(
            "      remedy {}: {}{changed} ({})",
            printable(&remedy.remedy),
            printable(&remedy.end),
            time(remedy.duration_s)
        ));
    }
}

fn stage(past: &PastStage) -> String {
    let took = past.duration_s.map(time);
    let end = match past.end {
        StageOutcome::Done => "",
        StageOutcome::Failed => " RED",
        StageOutcome::BrokeOff => " broke off",
    };
    let took = took.map_or(String::new(), |took| format!(" {took}"));
    format!("{}{end}{took}", past.stage)
}
