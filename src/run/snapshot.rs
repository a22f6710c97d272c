//! Snapshots of evidence, in the files `cargo insta review` knows.
//!
//! The format is insta's: a YAML head between two `---`, then the body. A new or different
//! snapshot is written beside the old one as `.snap.new` and fails until it is reviewed. The
//! switches are insta's too: `INSTA_UPDATE`, `INSTA_FORCE_PASS`, `INSTA_SNAPSHOT_REFERENCES_FILE`.

use super::event::{Ending, Failure};
use super::plan::Trial;
use crate::model::Trouble;
use crate::model::shape::Shape;
use crate::model::value::Value;
use similar::TextDiff;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// Compares evidence with its snapshot.
pub(super) fn compare(path: &Path, trial: &Trial, evidence: &Value) -> Ending {
    keep(path);
    let steady = without_volatile(evidence, trial.kind.0.evidence());
    let body = serde_json::to_string_pretty(&steady).unwrap_or_default();
    let stored = match fs::read_to_string(path) {
        Ok(text) => Some(split(&text).to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return trouble(path, &error),
    };
    let switch = |name: &str| std::env::var(name).unwrap_or_default();
    if stored.as_deref() == Some(body.as_str()) {
        return Ending::Pass;
    }
    let update = match switch("INSTA_UPDATE").as_str() {
        "" | "auto" if std::env::var_os("CI").is_some() => "no".to_owned(),
        "" | "auto" => "new".to_owned(),
        other => other.to_owned(),
    };
    let target = match update.as_str() {
        "always" => Some(path.to_owned()),
        "unseen" if stored.is_none() => Some(path.to_owned()),
        "no" => None,
        _ => Some(path.with_extension("snap.new")),
    };
    if let Some(target) = &target
        && let Err(error) = write(target, trial, &body)
    {
        return trouble(target, &error);
    }
    let written = target.as_deref() == Some(path);
    if written || switch("INSTA_FORCE_PASS") == "1" {
        return Ending::Pass;
    }
    let note = match (&stored, &target) {
        (_, Some(new)) => format!("review it: cargo insta review ({})", new.display()),
        (_, None) => "run it without CI set to write a new one".to_owned(),
    };
    let (expected, actual) = match stored {
        Some(stored) => {
            let diff = TextDiff::from_lines(&stored, &body);
            let diff = diff.unified_diff().context_radius(3).to_string();
            (
                format!("the snapshot {}", path.display()),
                Value::String(diff),
            )
        }
        None => (format!("a snapshot at {}", path.display()), Value::Null),
    };
    Ending::Fail(vec![Failure {
        path: String::new(),
        expected,
        actual,
        note: Some(note),
        place: trial.info.place.clone(),
    }])
}

/// Tells insta that a snapshot is in use: without it, `--unreferenced=delete` would delete the
/// snapshot of a trial that was skipped.
pub(super) fn keep(path: &Path) {
    let Some(list) = std::env::var_os("INSTA_SNAPSHOT_REFERENCES_FILE") else {
        return;
    };
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(list) {
        let _ = writeln!(file, "{}", absolute.display());
    }
}

fn trouble(path: &Path, error: &io::Error) -> Ending {
    Ending::Error(Trouble {
        message: format!("the snapshot {}: {error}", path.display()),
        remedy: None,
        transient: false,
    })
}

/// Gives the body of a snapshot file.
fn split(text: &str) -> &str {
    let body = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .map_or(text, |(_, body)| body);
    body.strip_suffix('\n').unwrap_or(body)
}

fn write(path: &Path, trial: &Trial, body: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let source = Value::String(trial.info.place.file.clone());
    let expression = Value::String(trial.info.check.clone());
    fs::write(
        path,
        format!("---\nsource: {source}\nexpression: {expression}\n---\n{body}\n"),
    )
}

/// Leaves out what differs from run to run.
fn without_volatile(value: &Value, shape: &Shape) -> Value {
    match (value, shape.required()) {
        (Value::Object(map), Shape::Record(record)) => Value::Object(
            map.iter()
                .filter_map(|(key, value)| match record.field(key) {
                    Some(field) if field.volatile => None,
                    Some(field) => Some((key.clone(), without_volatile(value, &field.shape))),
                    None => Some((key.clone(), value.clone())),
                })
                .collect(),
        ),
        (Value::Array(items), Shape::List(of)) => {
            Value::Array(items.iter().map(|v| without_volatile(v, of)).collect())
        }
        _ => value.clone(),
    }
}
