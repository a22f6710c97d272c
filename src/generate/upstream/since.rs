//! The commit since which a series does not apply: between a commit where it does and one where it
//! does not, along first parents.

use super::super::error::GenerateError;
use super::super::rebase::Upstream;
use super::{Bench, Since, UpstreamRow, made_for};
use crate::probe::git::{Git, Series};

/// No range of more commits is searched.
const MOST: usize = 100_000;

/// Finds the commit, where a commit is known before it at which the series applies.
pub(super) fn since(
    bench: &mut Bench,
    upstream: &mut Upstream,
    series: &Series,
    before: &[UpstreamRow],
    bad: &UpstreamRow,
) -> Result<Option<Since>, GenerateError> {
    let git = upstream.git.clone();
    // What broke it for an earlier ref is in this one too, most often.
    if let Some(last) = before.last().filter(|row| !row.applies)
        && let Some(since) = &last.since
        && ancestor(&git, &since.commit, &bad.commit)?
    {
        return Ok(Some(since.clone()));
    }
    let mut good: Vec<String> = before
        .iter()
        .rev()
        .filter(|row| row.applies)
        .map(|row| row.commit.clone())
        .collect();
    good.extend(made_for(upstream, series));
    for good in good.into_iter().take(8) {
        let parted = git.output(&["merge-base", &good, &bad.commit])?;
        let parted = parted.stdout.text().trim().to_owned();
        if parted.is_empty() || parted == bad.commit || !bench.good(&parted)? {
            continue;
        }
        let range = format!("{parted}..{}", bad.commit);
        let list = git.ok(&["rev-list", "--first-parent", "--reverse", &range])?;
        let commits: Vec<&str> = list.lines().collect();
        if commits.is_empty() || commits.len() > MOST {
            continue;
        }
        // The first that is bad: those before `from` are good, the one at `to` is not.
        let (mut from, mut to) = (0, commits.len() - 1);
        while from < to {
            let middle = from + (to - from) / 2;
            let commit = commits.get(middle).copied().unwrap_or_default();
            if bench.good(commit)? {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        let commit = commits.get(to).copied().unwrap_or_default();
        return described(&git, commit).map(Some);
    }
    Ok(None)
}

fn ancestor(git: &Git, older: &str, newer: &str) -> Result<bool, GenerateError> {
    let output = git.output(&["merge-base", "--is-ancestor", older, newer])?;
    Ok(output.success())
}

fn described(git: &Git, commit: &str) -> Result<Since, GenerateError> {
    let text = git.ok(&["log", "-1", "--format=%cs%x00%s", commit])?;
    let (date, subject) = text.split_once('\0').unwrap_or((&text, ""));
    Ok(Since {
        commit: commit.to_owned(),
        date: date.to_owned(),
        subject: crate::model::value::clip(&crate::model::path::printable(subject), 120),
    })
}
