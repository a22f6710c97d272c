//! The first stage: the upstream's pinned commit, here.

use super::again::{Next, Tries};
use super::error::GenerateError;
use super::event::{LoopEvent, Stage};
use super::inputs::Inputs;
use super::journal::Success;
use super::lock;
use super::paths::Paths;
use super::recipe::{Recipe, Variant};
use super::session::{Session, StageEnd, Stop};
use super::verify::{Failure, Place};
use crate::probe::exec::Cancel;
use crate::probe::exec::Output;
use crate::probe::git::Git;
use crate::probe::store;
use std::path::Path;
use std::time::Duration;

/// Gives what the stage depends on; which commit the name stands for is the lock's to say.
pub(super) fn inputs(recipe: &Recipe) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add("the url of the source", &recipe.source.git);
    inputs.add("the ref of the source", &recipe.source.reference);
    inputs
}

/// Tells whether a commit has been brought here.
pub(super) fn has(paths: &Paths, commit: &str) -> bool {
    paths.source().join("refs/tdg").join(commit).is_file()
}

/// Gives where to fetch from: a path relative to the project becomes absolute.
pub(super) fn address(recipe: &Recipe) -> String {
    let git = &recipe.source.git;
    let scp = git
        .split_once(':')
        .is_some_and(|(host, _)| !host.contains('/'));
    if git.contains("://") || scp {
        return git.clone();
    }
    recipe.project.join(git).to_string_lossy().into_owned()
}

/// Brings the commit here and pins it.
pub(super) fn bring(
    session: &mut Session<'_>,
    variant: &Variant,
    pinned: Option<&str>,
) -> Result<StageEnd, Stop> {
    let git = repository(session)?;
    let commit = match pinned {
        Some(commit) if git.commit(commit)?.is_some() => commit.to_owned(),
        Some(commit) => match fetch_pinned(session, variant, &git, commit)? {
            Ok(()) => commit.to_owned(),
            Err(words) => return Ok(failed(session.recipe, words)),
        },
        None => match fetch_name(session, variant, &git)? {
            Ok(commit) => commit,
            Err(words) => return Ok(failed(session.recipe, words)),
        },
    };
    // A ref of its own keeps the commit whatever happens to others.
    git.ok(&["update-ref", &format!("refs/tdg/{commit}"), &commit])?;
    if pinned.is_none() {
        lock::pin(&session.paths.lock(), &session.recipe.source, &commit)?;
    }
    let name = &session.recipe.source.reference;
    let summary = match (name == &commit, pinned) {
        (true, _) => format!("commit {}", &commit[..12]),
        (false, Some(_)) => format!("{name} is {} (tdg.lock)", &commit[..12]),
        (false, None) => format!("{name} is {}, now in tdg.lock", &commit[..12]),
    };
    Ok(StageEnd::Done {
        success: Success {
            head: commit,
            ..Success::default()
        },
        summary,
    })
}

/// Makes the bare repository, whole or not at all.
fn repository(session: &Session<'_>) -> Result<Git, Stop> {
    Ok(clone_of(&session.paths, session.cancel, session.left())?)
}

/// Gives the bare repository of the upstream, made where it is not there yet.
pub(super) fn clone_of(
    paths: &Paths,
    cancel: &Cancel,
    left: Option<Duration>,
) -> Result<Git, GenerateError> {
    let place = paths.source();
    let git = |folder: &Path| Git::at(folder).network().cancel(cancel).timeout(left);
    if !place.join("HEAD").is_file() {
        let new = place.with_extension("git.new");
        store::remove(&new).map_err(GenerateError::io(&new))?;
        store::remove(&place).map_err(GenerateError::io(&place))?;
        std::fs::create_dir_all(&new).map_err(GenerateError::io(&new))?;
        git(&new).ok(&["init", "--quiet", "--bare", "."])?;
        std::fs::rename(&new, &place).map_err(GenerateError::io(&place))?;
    }
    Ok(git(&place))
}

/// Removes the lock files of gits that were killed: only one loop works here, and this is it.
pub(super) fn clear_locks(place: &Path) -> Result<(), GenerateError> {
    let mut folders = vec![
        place.to_owned(),
        place.join("refs/tdg"),
        place.join("objects/info"),
    ];
    if let Ok(trees) = std::fs::read_dir(place.join("worktrees")) {
        folders.extend(trees.flatten().map(|e| e.path()));
    }
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for path in entries.flatten().map(|e| e.path()) {
            if path.is_file() && path.extension().is_some_and(|e| e == "lock") {
                store::remove(&path).map_err(GenerateError::io(&path))?;
            }
        }
    }
    Ok(())
}

/// Fetches what the recipe names; gives its commit, or git's words.
fn fetch_name(
    session: &mut Session<'_>,
    variant: &Variant,
    git: &Git,
) -> Result<Result<String, String>, Stop> {
    let name = session.recipe.source.reference.clone();
    let output = fetch(session, variant, git, &[&name])?;
    if !output.success() {
        return Ok(Err(words(&output)));
    }
    Ok(match git.commit("FETCH_HEAD")? {
        Some(commit) => Ok(commit),
        None => Err(format!("`{name}` names no commit")),
    })
}

/// Fetches the commit that the lock pins: by its name, by itself, or with everything.
fn fetch_pinned(
    session: &mut Session<'_>,
    variant: &Variant,
    git: &Git,
    commit: &str,
) -> Result<Result<(), String>, Stop> {
    let name = session.recipe.source.reference.clone();
    let tries: [&[&str]; 3] = [
        &[&name],
        &[commit],
        &[
            "+refs/heads/*:refs/upstream/heads/*",
            "+refs/tags/*:refs/upstream/tags/*",
        ],
    ];
    let mut said = String::new();
    for what in tries {
        let output = fetch(session, variant, git, what)?;
        if git.commit(commit)?.is_some() {
            return Ok(Ok(()));
        }
        if !output.success() {
            said = words(&output);
        }
    }
    let lost = format!(
        "tdg.lock pins {commit}, which {} does not have; remove tdg.lock to pin `{name}` anew",
        session.recipe.source.git
    );
    Ok(Err(if said.is_empty() {
        lost
    } else {
        format!("{lost}\n{said}")
    }))
}

fn fetch(
    session: &mut Session<'_>,
    variant: &Variant,
    git: &Git,
    what: &[&str],
) -> Result<Output, Stop> {
    let address = address(session.recipe);
    let mut arguments = vec![
        "fetch",
        "--force",
        "--no-tags",
        "--end-of-options",
        &address,
    ];
    arguments.extend(what);
    let shown = format!("git fetch {} {}", session.recipe.source.git, what.join(" "));
    let mut tries = Tries::new(session, &shown);
    loop {
        session.emit(&LoopEvent::Command {
            variant: &variant.name,
            command: &shown,
            log: "",
        });
        let on_event = &mut *session.on_event;
        let output = git.output_with(&arguments, &mut |stream, line| {
            on_event(&LoopEvent::Line {
                variant: &variant.name,
                stream,
                line,
            });
        })?;
        if output.success() {
            return Ok(output);
        }
        match tries.failed(session, variant, &words(&output))? {
            Next::Again => {}
            Next::Enough(why) => {
                if let Some(why) = why {
                    session.note(variant, &why);
                }
                return Ok(output);
            }
        }
    }
}

fn words(output: &Output) -> String {
    let text = output.stderr.text();
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|l| l.rsplit('\r').next())
        .filter(|l| !l.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(8);
    format!("{}\n({})", lines[from..].join("\n"), output.how())
}

fn failed(recipe: &Recipe, words: String) -> StageEnd {
    let (git, name) = (&recipe.source.git, &recipe.source.reference);
    let summary = format!("{name} of {git} could not be had");
    StageEnd::Failed {
        failures: vec![Failure {
            trial: Stage::Source.to_string(),
            check: format!("{name} of {git} can be had"),
            kind: "source".into(),
            verdict: "error",
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: 1,
            },
            mismatches: Vec::new(),
            hunks: Vec::new(),
            evidence: None,
            message: format!("{summary}: {words}"),
        }],
        tail: words,
        far: 0,
        summary,
    }
}
