//! `rebase`: a patch that no longer applies, three-way on what it was made for.

use super::super::event::Stage;
use super::super::rebase::{Upstream, leave, remember_all, series, write};
use super::super::remedied::RemedyEnd;
use super::super::session::{Session, Stop};
use super::super::{GenerateError, lock};
use super::unit::{Did, Situation, Touch, Unit};
use crate::probe::git::{self, FateEnd, Target};

/// The remedy.
pub(super) struct Rebase;

impl Unit for Rebase {
    fn name(&self) -> String {
        "rebase".into()
    }

    fn is_for(&self, situation: &Situation<'_>) -> bool {
        let mut failures = situation.failures.iter();
        failures.any(|f| f.kind == "patches" && f.trial == Stage::Patch.name())
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[Touch::Series]
    }

    fn apply(&self, session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop> {
        let looked_at = situation.failures.iter().map(|f| f.check.clone());
        let did = rebase(session, situation)?;
        Ok(did.looked_at(looked_at.collect()))
    }
}

fn rebase(session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop> {
    let (recipe, variant) = (session.recipe, situation.variant);
    let locks = session.locks;
    let _alone = locks.source();
    let pinned =
        lock::pinned(&session.paths.lock(), &recipe.source).map_err(GenerateError::from)?;
    let (Some(commit), Some(series)) = (pinned, series(recipe, variant)) else {
        return Ok(Did::done("rebase has no series, or no commit, to work on"));
    };
    let target = Target {
        commit,
        name: recipe.source.reference.clone(),
    };
    let mut upstream = Upstream::new(recipe, &session.paths, session.cancel);
    let git = upstream.git.clone().timeout(session.left());
    remember_all(recipe, &mut upstream, &target)?;
    let rebased = git::rebase(&git, &series, &target, false, &mut |n| upstream.commit(n))?;
    Ok(match rebased {
        git::Rebase::Done(fates) if fates.iter().all(|f| f.end == FateEnd::Kept) => Did {
            // Another variant's turn has mended what they share.
            end: RemedyEnd::Again,
            ..Did::done("every patch applies by now")
        },
        git::Rebase::Done(fates) => {
            let said = write(recipe, &session.paths, variant, &series, &target, &fates)?;
            said.lines
                .iter()
                .for_each(|line| session.note(variant, line));
            Did::done(said.lines.join("; "))
        }
        git::Rebase::Conflict(conflict) => {
            let lines = leave(recipe, &session.paths, variant, &git, &conflict, &target)?;
            lines.iter().for_each(|line| session.note(variant, line));
            let first = lines.into_iter().next().unwrap_or_default();
            let tree = recipe.shown(&super::super::rebase::conflict_tree(
                &session.paths,
                &variant.name,
            ));
            Did::done(format!(
                "rebase: {first}; resolve it in {tree}, then `tdg generate --continue-rebase`"
            ))
        }
        git::Rebase::Refused { patch, why } => Did::done(format!("rebase: {patch}: {why}")),
    })
}
