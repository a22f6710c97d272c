//! Endings in words, for people: what was expected, what was seen, where, by which line.

use super::event::{Ending, Failure, Outcome};
use super::plan::PlanError;
use crate::model::Picture;
use crate::model::path::printable;
use crate::model::value::{Value, show};

/// A value is shown up to about this many characters.
pub const SHOWN: usize = 600;

/// Says in full why a trial did not pass; empty where it did.
pub fn ending(outcome: &Outcome) -> String {
    let mut out = String::new();
    let info = &outcome.trial;
    let subject = match &info.subject {
        Some(subject) => format!(" of {}", printable(subject)),
        None => String::new(),
    };
    match &outcome.ending {
        Ending::Pass => return out,
        Ending::Skip(reason) => {
            out.push_str(&format!("skipped: {}\n", printable(&reason.to_string())))
        }
        Ending::Error(trouble) => {
            out.push_str(&format!("{}{subject} could not be judged\n", info.kind));
            out.push_str(&format!("  {}\n", printable(&trouble.message)));
            if let Some(remedy) = &trouble.remedy {
                out.push_str(&format!("  help: {}\n", printable(remedy)));
            }
            let place = &info.place;
            out.push_str(&format!(
                "  asked by {}:{}:{}\n",
                place.file, place.line, place.column
            ));
        }
        Ending::Fail(failures) => {
            let what = format!("{}{subject}", info.kind);
            out.push_str(&format!("{what} is not what the spec says\n"));
            for group in alike(failures) {
                failure(group[0], &group[1..], &mut out);
            }
            for line in outcome.picture.iter().flat_map(Picture::lines) {
                out.push_str(&format!("  {}\n", printable(&line)));
            }
        }
    }
    for note in &outcome.notes {
        out.push_str(&format!("  note: {}\n", printable(note)));
    }
    out
}

/// Puts failures together that differ only in the element of a list they speak of.
pub fn alike(failures: &[Failure]) -> Vec<Vec<&Failure>> {
    let mut groups = Vec::new();
    let mut rest: Vec<&Failure> = failures.iter().collect();
    while let Some(first) = rest.first().copied() {
        let (group, other): (Vec<&Failure>, Vec<&Failure>) =
            rest.into_iter().partition(|f| same(first, f));
        groups.push(group);
        rest = other;
    }
    groups
}

/// Tells whether two failures differ only in the element of a list they speak of.
fn same(a: &Failure, b: &Failure) -> bool {
    let tail = |path: &str| path.rsplit_once(']').map(|(_, tail)| tail.to_owned());
    std::ptr::eq(a, b)
        || tail(&a.path).is_some()
            && tail(&a.path) == tail(&b.path)
            && a.place == b.place
            && a.expected == b.expected
            && (a.actual == b.actual || a.actual.is_object() && b.actual.is_object())
}

/// Of failures that are alike this many are named.
pub const NAMED: usize = 8;

fn failure(failure: &Failure, alike: &[&Failure], out: &mut String) {
    let path = if failure.path.is_empty() {
        "(the whole evidence)"
    } else {
        &failure.path
    };
    out.push_str(&format!("  {path}\n"));
    for other in alike.iter().take(NAMED) {
        out.push_str(&format!("  {}\n", other.path));
    }
    if alike.len() > NAMED {
        out.push_str(&format!("  … and {} more\n", alike.len() - NAMED));
    }
    let last_note = alike.last().and_then(|f| f.note.as_ref());
    out.push_str(&format!("    expected  {}\n", printable(&failure.expected)));
    match &failure.actual {
        // A text of several lines is read as such: output of a program, a diff.
        Value::String(text) if text.trim_end().contains('\n') => {
            out.push_str("    actual\n");
            let (hidden, lines) = tail(text);
            if hidden > 0 {
                out.push_str(&format!("      … {hidden} lines before\n"));
            }
            for line in lines {
                out.push_str(&format!("      | {}\n", printable(line)));
            }
        }
        value => out.push_str(&format!("    actual    {}\n", show(value, SHOWN))),
    }
    if let Some(note) = failure.note.as_ref().or(last_note) {
        out.push_str(&format!("    note      {}\n", printable(note)));
    }
    let place = &failure.place;
    out.push_str(&format!(
        "    spec      {}:{}:{}  {}\n",
        place.file, place.line, place.column, place.text
    ));
}

/// Of a long text the last lines are shown: that is where programs say what went wrong.
const MAX_LINES: usize = 40;

/// Gives the lines of a text that are shown, and how many are before them.
pub fn tail(text: &str) -> (usize, Vec<&str>) {
    let mut lines: Vec<&str> = text.lines().collect();
    let hidden = lines.len().saturating_sub(MAX_LINES);
    (hidden, lines.split_off(hidden))
}

/// Says why there is no plan, every mistake with its line underlined.
pub fn plan_error(error: &PlanError, colour: bool) -> String {
    match error {
        PlanError::Specs {
            diagnostics,
            sources,
        } => format!("{}\n\n{error}\n", diagnostics.render(sources, colour)),
        PlanError::Unreadable { .. }
        | PlanError::NoSpecs(_)
        | PlanError::NothingChosen(_)
        | PlanError::UnknownVar { .. } => format!("error: {error}\n"),
    }
}
