//! Which commit moved a file away, or changed lines that a patch expects.

use super::{Git, GitError, short};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long git may search the history for one place.
const LIMIT: Duration = Duration::from_secs(10);

/// The commit after which a patch no longer fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// Its name.
    pub commit: String,
    /// The day it was committed, `2026-01-31`.
    pub date: String,
    /// Its subject; the patch's name where it is a patch of the series.
    pub subject: String,
    /// Whether it is an earlier patch of the series itself.
    pub of_series: bool,
    /// What it did: `renamed to PATH`, `removed the file`, `changed LINE`, `put lines in between`.
    pub did: String,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.of_series {
            return write!(
                f,
                "{}: by {}, earlier in the series",
                self.did, self.subject
            );
        }
        let commit = short(&self.commit);
        write!(
            f,
            "{}: by {commit} ({}, {})",
            self.did, self.date, self.subject
        )
    }
}

/// How a commit is asked for.
const FORMAT: &str = "--format=%H%x00%cs%x00%ce%x00%s";

/// Looks for the commit in the history of a work tree; gives why it cannot be told where it
/// cannot.
pub(super) fn cause(
    tree: &Git,
    path: &str,
    lines: &[&str],
    expected: &[String],
    there: bool,
) -> Result<Result<Cause, String>, GitError> {
    let git = tree.clone().timeout(Some(LIMIT));
    let found = if there {
        changed(&git, path, lines, expected)?
    } else {
        gone(&git, path)?
    };
    Ok(match found {
        Some(cause) => Ok(cause),
        None if git.ok(&["rev-parse", "--is-shallow-repository"])? == "true" => {
            Err("the clone is shallow: its history does not say who changed this".into())
        }
        None => Err("no commit of the history has it as the patch expects it".into()),
    })
}

/// Finds who removed or renamed a file.
fn gone(git: &Git, path: &str) -> Result<Option<Cause>, GitError> {
    let log = [
        "--literal-pathspecs",
        "log",
        "-1",
        "--diff-filter=D",
        "--no-renames",
        FORMAT,
        "HEAD",
        "--",
        path,
    ];
    let Some(mut cause) = commit(git, &log, "removed the file")? else {
        return Ok(None);
    };
    let renames = git.output(&[
        "diff-tree",
        "-r",
        "-z",
        "-M40%",
        "-l3000",
        "--diff-filter=R",
        "--name-status",
        "--no-commit-id",
        "--no-ext-diff",
        &cause.commit,
    ])?;
    let text = renames.stdout.text();
    let fields: Vec<&str> = text.split('\0').collect();
    let to = fields.chunks(3).find_map(|c| match c {
        [_, from, to] if *from == path => Some(*to),
        _ => None,
    });
    if let Some(to) = to {
        cause.did = format!("renamed to {to}");
    }
    Ok(Some(cause))
}

/// Finds who changed the first expected line that is no longer there, or put others in between.
fn changed(
    git: &Git,
    path: &str,
    lines: &[&str],
    expected: &[String],
) -> Result<Option<Cause>, GitError> {
    let there: HashSet<&str> = lines.iter().copied().collect();
    // What one line says may stand there by chance; what is long tells more than a brace.
    let mut missing: Vec<&String> = expected
        .iter()
        .filter(|l| !l.trim().is_empty() && !there.contains(l.as_str()))
        .collect();
    missing.sort_by_key(|l| std::cmp::Reverse(l.trim().len().min(12)));
    for line in missing.into_iter().take(3) {
        let search = format!("-S{line}");
        let log = ["log", "-1", "--follow", &search, FORMAT, "HEAD", "--", path];
        let did = format!("changed `{}`", super::hunk::shown(line.trim()));
        if let Some(cause) = commit(git, &log, &did)? {
            return Ok(Some(cause));
        }
    }
    let looked_for: HashSet<&str> = expected.iter().map(String::as_str).collect();
    let wanted = |l: &&str| !l.trim().is_empty() && looked_for.contains(l);
    let first = lines.iter().position(&wanted);
    let last = lines.iter().rposition(&wanted);
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    if last - first > 500 {
        return Ok(None);
    }
    let range = format!("-L{},{}", first + 1, last + 1);
    let blame = git.output(&["blame", "--porcelain", &range, "HEAD", "--", path])?;
    let text = blame.stdout.text();
    let mut newest: Option<(i64, String)> = None;
    let (mut name, mut time) = (String::new(), HashMap::new());
    for line in text.lines() {
        if let Some(content) = line.strip_prefix('\t') {
            let when = time.get(&name).copied().unwrap_or(0);
            if !wanted(&content) && newest.as_ref().is_none_or(|(t, _)| when > *t) {
                newest = Some((when, name.clone()));
            }
        } else if let Some(seconds) = line.strip_prefix("committer-time ") {
            time.insert(name.clone(), seconds.parse().unwrap_or(0));
        } else if line.split(' ').next().is_some_and(|w| w.len() == 40) {
            name = line.split(' ').next().unwrap_or_default().to_owned();
        }
    }
    match newest {
        Some((_, name)) => commit(git, &["log", "-1", FORMAT, &name], "put lines in between"),
        None => Ok(None),
    }
}

fn commit(git: &Git, arguments: &[&str], did: &str) -> Result<Option<Cause>, GitError> {
    let output = git.output(arguments)?;
    let text = output.stdout.text();
    let fields: Vec<&str> = text.trim_end().split('\0').collect();
    let [commit, date, who, subject] = fields.as_slice() else {
        return Ok(None);
    };
    Ok(Some(Cause {
        commit: (*commit).to_owned(),
        date: (*date).to_owned(),
        subject: crate::model::value::clip(&crate::model::path::printable(subject), 120),
        of_series: *who == "tdg@localhost",
        did: did.to_owned(),
    }))
}
