//! Names that outlive a run: of spec files in trials, of snapshots on disk.

use crate::model::path::normalise;
use std::path::{Path, PathBuf};

/// Names a spec file: its path below the nearest `specs` folder, else below the folder given.
pub(super) fn stem(path: &Path, base: Option<&Path>) -> String {
    let without = path.with_extension("");
    let parts: Vec<String> = without
        .iter()
        .map(|p| p.to_string_lossy().into_owned())
        .collect();
    if let Some(at) = parts[..parts.len().saturating_sub(1)]
        .iter()
        .rposition(|p| p == "specs")
    {
        return parts[at + 1..].join("/");
    }
    let relative = base
        .and_then(|b| without.strip_prefix(b).ok())
        .unwrap_or(&without);
    normalise(&relative.to_string_lossy())
}

/// Gives the file of a trial's snapshot: in `snapshots/` beside its spec.
pub(super) fn snapshot(spec: &Path, trial: &str) -> PathBuf {
    let mut name = String::with_capacity(trial.len());
    for c in trial.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '=' => name.push(c),
            _ if name.ends_with("__") => {}
            _ => name.push_str("__"),
        }
    }
    let name = name.trim_end_matches('_');
    let dir = spec.parent().unwrap_or(Path::new("")).join("snapshots");
    dir.join(format!("{name}.snap"))
}
