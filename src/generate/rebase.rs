//! A series for another commit of the upstream: what becomes of its files.

use super::LoopOptions;
use super::error::GenerateError;
use super::guard::Guard;
use super::paths::Paths;
use super::recipe::{self, Recipe, Variant};
use super::source;
use crate::model::words::quote;
use crate::probe::exec::Cancel;
use crate::probe::git::conflict::{self, Waiting};
use crate::probe::git::{self, Fate, FateEnd, Git, GitError, Rebase, Series, Target, short};
use crate::probe::store;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The upstream's clone, and the names of it that patches were made for.
pub(super) struct Upstream {
    pub(super) git: Git,
    address: String,
    known: HashMap<String, Option<String>>,
}

impl Upstream {
    pub(super) fn new(recipe: &Recipe, paths: &Paths, cancel: &Cancel) -> Self {
        Self {
            git: Git::at(paths.source()).cancel(cancel),
            address: source::address(recipe),
            known: HashMap::new(),
        }
    }

    /// Gives the commit of a name, fetched where it is not here; nothing where it cannot be had.
    pub(super) fn commit(&mut self, name: &str) -> Option<String> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let commit = self.find(name).ok().flatten();
        self.known.insert(name.to_owned(), commit.clone());
        commit
    }

    fn find(&self, name: &str) -> Result<Option<String>, GitError> {
        let tag = format!("refs/upstream/tags/{name}");
        let hex = name.len() >= 7 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let places = [tag.clone(), format!("refs/tags/{name}"), name.to_owned()];
        for place in places.iter().take(if hex { 3 } else { 2 }) {
            if let Some(commit) = self.git.commit(place)? {
                return Ok(Some(commit));
            }
        }
        if !self.git.output(&["check-ref-format", &tag])?.success() {
            return Ok(None);
        }
        let spec = format!("+refs/tags/{name}:{tag}");
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--end-of-options",
            &self.address,
            &spec,
        ];
        self.git.clone().network().output(&arguments)?;
        self.git.commit(&tag)
    }
}

/// Where the work tree of a variant's conflict is.
pub(super) fn conflict_tree(paths: &Paths, variant: &str) -> PathBuf {
    paths.own().join("conflict").join(variant)
}

/// Reads the series of a variant; nothing where it has none, or it cannot be read.
pub(super) fn series(recipe: &Recipe, variant: &Variant) -> Option<Series> {
    let name = variant.series.as_ref()?;
    Series::read(&recipe.project.join(name)).ok()
}

/// Finds what the patches of every variant were made for, before any of them is rewritten:
/// variants share patches.
pub(super) fn remember_all(
    recipe: &Recipe,
    upstream: &mut Upstream,
    target: &Target,
) -> Result<(), GitError> {
    let git = upstream.git.clone();
    for series in recipe.variants.iter().filter_map(|v| series(recipe, v)) {
        git::remember(&git, &series, target, &mut |name| upstream.commit(name))?;
    }
    Ok(())
}

/// What a rebase came to, in words.
pub(super) struct Said {
    /// Whether a file is another now.
    pub(super) changed: bool,
    /// A line each.
    pub(super) lines: Vec<String>,
}

/// Writes what becomes of a variant's patches; what they were is kept under `.tdg/replaced`.
pub(super) fn write(
    recipe: &Recipe,
    paths: &Paths,
    variant: &Variant,
    series: &Series,
    target: &Target,
    fates: &[Fate],
) -> Result<Said, GenerateError> {
    let mut said = Said {
        changed: false,
        lines: fates.iter().filter_map(|f| f.said(target)).collect(),
    };
    let mut gone = Vec::new();
    for (patch, fate) in series.patches.iter().zip(fates) {
        match &fate.end {
            FateEnd::Kept => {}
            FateEnd::Rewritten { bytes, .. } => {
                keep(recipe, paths, &patch.path)?;
                store::write(&patch.path, bytes).map_err(GenerateError::io(&patch.path))?;
                said.changed = true;
            }
            FateEnd::Dropped => gone.push(patch),
        }
    }
    if gone.is_empty() {
        return Ok(said);
    }
    said.changed = true;
    keep(recipe, paths, &series.path)?;
    let text = std::fs::read_to_string(&series.path).map_err(GenerateError::io(&series.path))?;
    let lines = (1..).zip(text.split_inclusive('\n'));
    let left: String = lines
        .filter(|(number, _)| !gone.iter().any(|p| p.line == *number))
        .map(|(_, line)| line)
        .collect();
    store::write(&series.path, left.as_bytes()).map_err(GenerateError::io(&series.path))?;
    let others = recipe
        .variants
        .iter()
        .filter(|v| v.series != variant.series);
    let others: Vec<Series> = others.filter_map(|v| self::series(recipe, v)).collect();
    for patch in gone {
        let named = others
            .iter()
            .flat_map(|s| &s.patches)
            .any(|p| p.path == patch.path);
        if !named {
            keep(recipe, paths, &patch.path)?;
            store::remove(&patch.path).map_err(GenerateError::io(&patch.path))?;
        }
    }
    Ok(said)
}

fn keep(recipe: &Recipe, paths: &Paths, file: &Path) -> Result<(), GenerateError> {
    let to = paths.own().join("replaced").join(recipe.shown(file));
    store::copy(file, &to)
        .map(drop)
        .map_err(GenerateError::io(&to))
}

/// Leaves a conflict to people, and says what there is to do, a line each.
///
/// Nothing that somebody has worked on is written over: then it only says so.
pub(super) fn leave(
    recipe: &Recipe,
    paths: &Paths,
    variant: &Variant,
    git: &Git,
    conflict: &git::Conflict,
    target: &Target,
) -> Result<Vec<String>, GitError> {
    let tree = conflict_tree(paths, &variant.name);
    let shown = recipe.shown(&tree);
    let mut lines = vec![format!(
        "{} and {} ({}) change the same lines; no patch was changed",
        conflict.patch,
        target.name,
        short(&target.commit)
    )];
    lines.extend(conflict.words.iter().cloned());
    let same = |w: &Waiting| w.digest == conflict.digest && w.onto == conflict.onto;
    let waiting = Waiting::read(&tree)?;
    let touched = match &waiting {
        Some(waiting) => waiting.touched(&tree)?,
        None => false,
    };
    match waiting {
        Some(waiting) if touched && !same(&waiting) => {
            lines.push(format!(
                "{shown} has work of yours on another conflict ({} for {}): finish it with \
                 `tdg generate --continue-rebase`, or remove the folder",
                waiting.patch, waiting.name
            ));
            return Ok(lines);
        }
        Some(_) if touched => {}
        Some(_) | None => conflict::leave(git, &tree, conflict, target)?,
    }
    // What is to be typed is typed as it stands.
    let files: Vec<String> = conflict.files.iter().map(|file| quote(file)).collect();
    let files = files.join(" ");
    lines.extend([
        format!("1. edit in {shown}: {files}"),
        "   above ======= stands the upstream, below it what the patch makes of it, between \
         them, under |||||||, what the patch was made for"
            .to_owned(),
        format!("2. git -C {} add -- {files}", quote(&shown)),
        "3. tdg generate --continue-rebase".to_owned(),
    ]);
    Ok(lines)
}

/// What became of one variant's conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The variant.
    pub variant: String,
    /// Whether the series is whole now.
    pub done: bool,
    /// What there is to say, a line each.
    pub lines: Vec<String>,
}

/// Takes what people made of conflicts into the series, variant by variant.
///
/// # Errors
/// Where the recipe is wrong, another loop is at work, or a file cannot be read or written.
pub fn continue_rebase(
    options: &LoopOptions,
    cancel: &Cancel,
) -> Result<Vec<Continued>, GenerateError> {
    let recipe = recipe::load(&options.recipe, &options.vars)?;
    let chosen = super::choose(&recipe, options)?;
    let paths = Paths::new(&recipe.project);
    let mut all = Vec::new();
    if !paths.own().is_dir() {
        return Ok(all);
    }
    let _guard = Guard::take(&paths.guard(), &recipe.project)?;
    for variant in chosen {
        let tree = conflict_tree(&paths, &variant.name);
        let Some(waiting) = Waiting::read(&tree)? else {
            continue;
        };
        let (done, lines) = one(&recipe, &paths, variant, &tree, &waiting, cancel)?;
        all.push(Continued {
            variant: variant.name.clone(),
            done,
            lines,
        });
    }
    Ok(all)
}

fn one(
    recipe: &Recipe,
    paths: &Paths,
    variant: &Variant,
    tree: &Path,
    waiting: &Waiting,
    cancel: &Cancel,
) -> Result<(bool, Vec<String>), GenerateError> {
    let still = |text: String| Ok((false, vec![text]));
    let mut upstream = Upstream::new(recipe, paths, cancel);
    let git = upstream.git.clone();
    let Some(series) = series(recipe, variant) else {
        return still("its series cannot be read".into());
    };
    let patch = series.patches.iter().find(|p| p.name == waiting.patch);
    if patch.is_none_or(|p| p.digest.to_string() != waiting.digest) {
        return still(format!(
            "{} is another since the conflict was left: remove {} and run `tdg generate` again",
            waiting.patch,
            recipe.shown(tree)
        ));
    }
    match conflict::resolved(tree, waiting)? {
        Err(what) => return still(what),
        Ok(made) => git::resolve(&git, &waiting.digest, &waiting.onto, &made)?,
    }
    let target = Target {
        commit: waiting.commit.clone(),
        name: waiting.name.clone(),
    };
    remember_all(recipe, &mut upstream, &target)?;
    let rebased = git::rebase(&git, &series, &target, false, &mut |n| upstream.commit(n))?;
    Ok(match rebased {
        Rebase::Done(fates) => {
            let said = write(recipe, paths, variant, &series, &target, &fates)?;
            conflict::clear(&git, tree)?;
            (true, said.lines)
        }
        Rebase::Conflict(next) => {
            // What was decided is kept in the clone: the tree may go.
            conflict::clear(&git, tree)?;
            let mut lines = vec![format!("{} is decided", waiting.patch)];
            lines.extend(leave(recipe, paths, variant, &git, &next, &target)?);
            (false, lines)
        }
        Rebase::Refused { patch, why } => (false, vec![format!("{patch}: {why}")]),
    })
}
