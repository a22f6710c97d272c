//! A series for another commit of its upstream: each patch is merged three-way with what it was
//! made for, follows files that moved, and is written anew; what is decided by people is left to
//! them.

use super::base::{Placed, Work};
use super::kept::{Vanished, compare, size};
use super::replay::{Replayed, commit};
use super::rewrite::rewrite;
use super::{Git, GitError, Series, short};
use crate::format::patch::Patch;

pub use super::base::Resolve;

/// Where resolutions are kept in the repository, by the patch and the tree it was resolved on.
const RESOLVED: &str = "refs/tdg-resolved";

/// What a series is wanted for.
#[derive(Clone, Debug)]
pub struct Target {
    /// The commit.
    pub commit: String,
    /// The name people have for it.
    pub name: String,
}

/// What came of a rebase; no file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebase {
    /// Every patch has its place; what becomes of each, in order.
    Done(Vec<Fate>),
    /// A patch and the upstream have changed the same lines.
    Conflict(Conflict),
    /// It cannot be done.
    Refused {
        /// The patch.
        patch: String,
        /// Why, and the remedy.
        why: String,
    },
}

/// What becomes of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The patch as the series names it.
    pub patch: String,
    /// What.
    pub end: FateEnd,
}

/// What becomes of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FateEnd {
    /// It applies as it is.
    Kept,
    /// The upstream has all of it: it goes.
    Dropped,
    /// It is another now.
    Rewritten {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The paths that are elsewhere now: before, after.
        moved: Vec<(String, String)>,
        /// What the upstream has of it.
        vanished: Vec<Vanished>,
        /// The files where the upstream has changed lines right beside those of the patch.
        beside: Vec<String>,
    },
}

/// Where a person has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The patch.
    pub patch: String,
    /// The digest of the patch.
    pub digest: String,
    /// The tree below it: the upstream with the patches before it.
    pub onto: String,
    /// A commit of that tree.
    pub head: String,
    /// A commit of the change.
    pub change: String,
    /// The files in conflict.
    pub files: Vec<String>,
    /// What git says of each.
    pub words: Vec<String>,
}

/// Finds what the patches of a series were made for, and keeps it in the repository.
///
/// Patches that other series share can be rewritten after that.
///
/// # Errors
/// Where git refuses.
pub fn remember(
    git: &Git,
    series: &Series,
    target: &Target,
    resolve: &mut Resolve<'_>,
) -> Result<(), GitError> {
    Work::new(git, series, false)?.find(&target.commit, resolve)
}

/// Rebases a series; `apart` leaves the repository as it is, otherwise objects are added to it.
///
/// # Errors
/// Where git refuses.
pub fn rebase(
    git: &Git,
    series: &Series,
    target: &Target,
    apart: bool,
    resolve: &mut Resolve<'_>,
) -> Result<Rebase, GitError> {
    let mut work = Work::new(git, series, apart)?;
    work.find(&target.commit, resolve)?;
    let mut tree = git.ok(&[
        "rev-parse",
        "--verify",
        &format!("{}^{{tree}}", target.commit),
    ])?;
    let mut fates = Vec::new();
    for at in 0..work.patches.len() {
        match one(&mut work, at, target, &tree)? {
            Step::Done(end, next) => {
                let patch = name(&work, at);
                fates.push(Fate { patch, end });
                tree = next;
            }
            Step::Conflict(conflict) => return Ok(Rebase::Conflict(conflict)),
            Step::Refused(why) => {
                let patch = name(&work, at);
                return Ok(Rebase::Refused { patch, why });
            }
        }
    }
    Ok(Rebase::Done(fates))
}

enum Step {
    Done(FateEnd, String),
    Conflict(Conflict),
    Refused(String),
}

fn name(work: &Work<'_>, at: usize) -> String {
    let patch = work.patches.get(at);
    patch.map(|p| p.listed.name.clone()).unwrap_or_default()
}

fn one(work: &mut Work<'_>, at: usize, target: &Target, tree: &str) -> Result<Step, GitError> {
    let Some(patch) = work.patches.get(at) else {
        return Ok(Step::Refused("it is not there".into()));
    };
    let (bytes, digest) = (patch.bytes.clone(), patch.listed.digest.to_string());
    let plain = super::mail::plain(work.index.git(), &bytes)?;
    if let Err(error) = Patch::read(&plain) {
        return Ok(Step::Refused(error.to_string()));
    }
    if let Some(resolved) = resolution(work.index.git(), &digest, tree)? {
        return resolved_by_hand(work, at, target, tree, &resolved);
    }
    work.index.read(tree)?;
    let tried = work.index.apply(&bytes)?;
    let plain = match tried.failure {
        None => Some(work.index.write()?),
        Some(_) => None,
    };
    let merged = work.replayed(at, &target.commit, tree)?;
    match (plain, merged) {
        // Both ways lead to the same place, or there is only the one that git takes by itself.
        (Some(plain), Some((Replayed::Clean { tree: merged, .. }, _))) if plain == merged => {
            Ok(Step::Done(FateEnd::Kept, plain))
        }
        (Some(plain), None | Some((Replayed::Conflict { .. }, _))) => {
            Ok(Step::Done(FateEnd::Kept, plain))
        }
        (
            _,
            Some((
                Replayed::Clean {
                    tree: merged,
                    beside,
                },
                placed,
            )),
        ) => clean(work, at, target, tree, (&merged, beside), &placed),
        (
            None,
            Some((
                Replayed::Conflict {
                    change,
                    files,
                    words,
                },
                _,
            )),
        ) => {
            let git = work.index.git();
            Ok(Step::Conflict(Conflict {
                patch: name(work, at),
                digest,
                head: commit(
                    git,
                    tree,
                    &[&target.commit],
                    "the upstream and the patches before",
                )?,
                onto: tree.to_owned(),
                change,
                files,
                words,
            }))
        }
        (None, None) => Ok(Step::Refused(no_base(work.index.git())?)),
    }
}

fn no_base(git: &Git) -> Result<String, GitError> {
    let shallow = git.ok(&["rev-parse", "--is-shallow-repository"])? == "true";
    let why = "no commit of the upstream is known that it applies to, so there is nothing to merge \
               with; say in its header what it was made for: `Applies-to: TAG`";
    Ok(if shallow {
        format!("{why} (the clone is shallow: a whole one may tell)")
    } else {
        why.to_owned()
    })
}

fn clean(
    work: &mut Work<'_>,
    at: usize,
    target: &Target,
    tree: &str,
    (merged, beside): (&str, Vec<String>),
    placed: &Placed,
) -> Result<Step, GitError> {
    if merged == tree {
        return Ok(Step::Done(FateEnd::Dropped, tree.to_owned()));
    }
    let kept = compare(&work.index, &placed.touched, tree, merged, &|p| {
        placed.of(p)
    })?;
    if let Some(first) = kept.strange.first() {
        return Ok(Step::Refused(format!(
            "merged, it would change what it did not change before ({first}): rebase it by hand"
        )));
    }
    let Some(patch) = work.patches.get(at) else {
        return Ok(Step::Refused("it is not there".into()));
    };
    Ok(
        match rewrite(&work.index, &patch.bytes, tree, merged, &applies_to(target))? {
            Ok(bytes) => Step::Done(
                FateEnd::Rewritten {
                    bytes,
                    moved: placed.moved(),
                    vanished: kept.vanished,
                    beside,
                },
                merged.to_owned(),
            ),
            Err(why) => Step::Refused(why),
        },
    )
}

fn applies_to(target: &Target) -> String {
    if target.name == target.commit {
        target.commit.clone()
    } else {
        format!("{} ({})", target.name, target.commit)
    }
}

/// Gives the tree a person has made out of a conflict between a patch and a tree, if one did.
fn resolution(git: &Git, digest: &str, onto: &str) -> Result<Option<String>, GitError> {
    let name = format!("{RESOLVED}/{digest}/{onto}");
    match git.commit(&name)? {
        Some(commit) => git
            .ok(&["rev-parse", "--verify", &format!("{commit}^{{tree}}")])
            .map(Some),
        None => Ok(None),
    }
}

/// Keeps what a person has made out of a conflict.
///
/// # Errors
/// Where git refuses.
pub fn resolve(git: &Git, digest: &str, onto: &str, tree: &str) -> Result<(), GitError> {
    let made = commit(git, tree, &[], "resolved by hand")?;
    let name = format!("{RESOLVED}/{digest}/{onto}");
    git.ok(&["update-ref", &name, &made]).map(drop)
}

/// Takes what a person decided; what it no longer does of the patch is told, and theirs to judge.
fn resolved_by_hand(
    work: &mut Work<'_>,
    at: usize,
    target: &Target,
    tree: &str,
    resolved: &str,
) -> Result<Step, GitError> {
    if resolved == tree {
        return Ok(Step::Done(FateEnd::Dropped, tree.to_owned()));
    }
    let placed = work
        .replayed(at, &target.commit, tree)?
        .map(|(_, placed)| placed);
    let vanished = match &placed {
        Some(placed) => {
            compare(&work.index, &placed.touched, tree, resolved, &|p| {
                placed.of(p)
            })?
            .vanished
        }
        None => Vec::new(),
    };
    let Some(patch) = work.patches.get(at) else {
        return Ok(Step::Refused("it is not there".into()));
    };
    Ok(
        match rewrite(
            &work.index,
            &patch.bytes,
            tree,
            resolved,
            &applies_to(target),
        )? {
            Ok(bytes) => Step::Done(
                FateEnd::Rewritten {
                    bytes,
                    moved: placed.map(|p| p.moved()).unwrap_or_default(),
                    vanished,
                    beside: Vec::new(),
                },
                resolved.to_owned(),
            ),
            Err(why) => Step::Refused(why),
        },
    )
}

impl Fate {
    /// Says in a line what becomes of the patch; nothing where it stays as it is.
    pub fn said(&self, target: &Target) -> Option<String> {
        let name = &self.patch;
        match &self.end {
            FateEnd::Kept => None,
            FateEnd::Dropped => Some(format!(
                "{name}: {} has all of it already; it is out of the series",
                target.name
            )),
            FateEnd::Rewritten {
                bytes,
                moved,
                vanished,
                beside,
            } => {
                let lines = Patch::read(bytes).map(|p| size(&p)).unwrap_or(0);
                let mut text = format!(
                    "{name}: rewritten for {} ({}), {lines} changed lines",
                    target.name,
                    short(&target.commit)
                );
                for (from, to) in moved {
                    text.push_str(&format!("; {from} is now {to}"));
                }
                for path in beside {
                    text.push_str(&format!("; lines next to it in {path} changed too"));
                }
                for part in vanished {
                    text.push_str(&format!("; {part}"));
                }
                Some(text)
            }
        }
    }
}

impl std::fmt::Display for Vanished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "in {} the upstream has already", self.path)?;
        let quote = |lines: &[String]| {
            let shown: Vec<String> = lines
                .iter()
                .take(3)
                .map(|l| format!("`{}`", l.trim()))
                .collect();
            let more = lines.len().saturating_sub(3);
            match more {
                0 => shown.join(", "),
                n => format!("{} and {n} more", shown.join(", ")),
            }
        };
        if !self.added.is_empty() {
            write!(f, " added {}", quote(&self.added))?;
        }
        if !self.removed.is_empty() {
            let and = if self.added.is_empty() { "" } else { " and" };
            write!(f, "{and} removed {}", quote(&self.removed))?;
        }
        Ok(())
    }
}
