//! Over a range of the upstream's tags: where each series applies, since which commit it does
//! not, and whether `rebase` would mend it.
//!
//! Nothing of the project is touched: what is needed is fetched into the loop's clone, and patches
//! are tried on an index in memory.

mod names;
mod since;

use super::LoopOptions;
use super::error::GenerateError;
use super::guard::Guard;
use super::paths::Paths;
use super::rebase::Upstream;
use super::recipe::{self, Recipe, Variant};
use super::source;
use crate::probe::exec::Cancel;
use crate::probe::git::{self, FateEnd, Index, Rebase, Series, Target};
use crate::probe::store;
use names::Name;
use serde::Serialize;

/// What was found, oldest ref first, variant by variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamReport {
    /// The recipe's name.
    pub recipe: String,
    /// Where the upstream is, as the recipe has it.
    pub upstream: String,
    /// One row for each variant and ref.
    pub rows: Vec<UpstreamRow>,
}

/// Whether one series applies to one ref.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamRow {
    /// The variant.
    pub variant: String,
    /// The ref, as the upstream calls it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its commit.
    pub commit: String,
    /// How many patches the series has.
    pub patches: usize,
    /// Whether every patch applies, in order.
    pub applies: bool,
    /// How many hunks apply elsewhere than their patch says.
    pub moved_hunks: usize,
    /// The first patch that does not apply.
    pub patch: Option<String>,
    /// What git says of it.
    pub words: Option<String>,
    /// The upstream's commit since which the series does not apply, where it can be told.
    pub since: Option<Since>,
    /// What `rebase` would make of it; nothing where the series applies.
    pub rebase: Option<Mended>,
}

/// A commit of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Since {
    /// Its name.
    pub commit: String,
    /// Its date, `2026-01-31`.
    pub date: String,
    /// Its subject.
    pub subject: String,
}

/// What `rebase` would make of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Whether it would mend it with no hand.
    pub mends: bool,
    /// What would become of the patches, or why it would not: a line each.
    pub says: Vec<String>,
}

impl UpstreamReport {
    /// Tells whether every series applies to every ref.
    pub fn all_apply(&self) -> bool {
        self.rows.iter().all(|row| row.applies)
    }
}

/// Looks at which of the upstream's refs each variant's series applies to.
///
/// A name is a tag, a branch, a whole commit id, a pattern (`v1.*`), or a range of tags in the
/// order of their versions (`v1.0..v1.6`).
///
/// # Errors
/// Where the recipe is wrong, a series cannot be read, the upstream cannot be reached, or it has
/// no such name, or no variant has a patch.
pub fn check_upstream(
    options: &LoopOptions,
    wanted: &[String],
    cancel: &Cancel,
) -> Result<UpstreamReport, GenerateError> {
    let recipe = recipe::load(&options.recipe, &options.vars)?;
    let chosen = super::choose(&recipe, options)?;
    let paths = Paths::new(&recipe.project);
    let own = paths.own();
    std::fs::create_dir_all(&own).map_err(GenerateError::io(&own))?;
    let ignore = own.join(".gitignore");
    if !ignore.exists() {
        store::write(&ignore, b"*\n").map_err(GenerateError::io(&ignore))?;
    }
    let _guard = Guard::take(&paths.guard(), &recipe.project)?;
    source::clear_locks(&paths.source())?;
    let git = source::clone_of(&paths, cancel, None)?;
    let names = names::fetch(&git, &recipe, wanted)?;
    let mut upstream = Upstream::new(&recipe, &paths, cancel);
    let mut rows = Vec::new();
    for variant in chosen {
        rows.extend(one(&recipe, variant, &names, &mut upstream)?);
    }
    if rows.iter().all(|row| row.patches == 0) {
        return Err(GenerateError::NoPatch);
    }
    Ok(UpstreamReport {
        recipe: recipe.name.clone(),
        upstream: recipe.source.git.clone(),
        rows,
    })
}

fn one(
    recipe: &Recipe,
    variant: &Variant,
    names: &[Name],
    upstream: &mut Upstream,
) -> Result<Vec<UpstreamRow>, GenerateError> {
    let series = match &variant.series {
        None => return Ok(Vec::new()),
        Some(name) => Series::read(&recipe.project.join(name)),
    };
    let series = series.map_err(|e| git_error(&e))?;
    let mut bench = Bench::new(&upstream.git, &series)?;
    let mut rows: Vec<UpstreamRow> = Vec::new();
    for name in names {
        let tried = bench.at(&name.commit)?;
        let mut row = UpstreamRow {
            variant: variant.name.clone(),
            reference: name.name.clone(),
            commit: name.commit.clone(),
            patches: series.patches.len(),
            applies: tried.failure.is_none(),
            moved_hunks: tried.moved_hunks,
            patch: tried.failure.as_ref().map(|(patch, _)| patch.clone()),
            words: tried.failure.map(|(_, words)| words),
            since: None,
            rebase: None,
        };
        if !row.applies {
            row.since = since::since(&mut bench, upstream, &series, &rows, &row)?;
            row.rebase = Some(mended(upstream, &series, name)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

fn git_error(error: &git::SeriesError) -> GenerateError {
    GenerateError::Specs(format!("error: {error}"))
}

fn mended(upstream: &mut Upstream, series: &Series, name: &Name) -> Result<Mended, GenerateError> {
    let target = Target {
        commit: name.commit.clone(),
        name: name.name.clone(),
    };
    let git = upstream.git.clone();
    let rebased = git::rebase(&git, series, &target, true, &mut |n| upstream.commit(n))?;
    Ok(match rebased {
        Rebase::Done(fates) => Mended {
            mends: true,
            says: fates
                .iter()
                .filter(|f| f.end != FateEnd::Kept)
                .filter_map(|f| f.said(&target))
                .collect(),
        },
        Rebase::Conflict(conflict) => Mended {
            mends: false,
            says: vec![format!(
                "{} is in conflict in {}",
                conflict.patch,
                conflict.files.join(", ")
            )],
        },
        Rebase::Refused { patch, why } => Mended {
            mends: false,
            says: vec![format!("{patch}: {why}")],
        },
    })
}

/// Tries a series on commits, each once.
struct Bench {
    index: Index,
    patches: Vec<(String, Vec<u8>)>,
    known: std::collections::HashMap<String, Tried>,
}

/// What came of trying a series.
#[derive(Clone, Debug, Default)]
struct Tried {
    failure: Option<(String, String)>,
    moved_hunks: usize,
}

impl Bench {
    fn new(git: &git::Git, series: &Series) -> Result<Self, GenerateError> {
        let read = |patch: &git::Patch| {
            let bytes = patch.read().map_err(GenerateError::io(&patch.path))?;
            Ok((patch.name.clone(), bytes))
        };
        Ok(Self {
            index: Index::apart(git)?,
            patches: series
                .patches
                .iter()
                .map(read)
                .collect::<Result<_, GenerateError>>()?,
            known: std::collections::HashMap::new(),
        })
    }

    fn at(&mut self, commit: &str) -> Result<Tried, GenerateError> {
        if let Some(known) = self.known.get(commit) {
            return Ok(known.clone());
        }
        self.index.read(commit)?;
        let mut tried = Tried::default();
        for (name, bytes) in &self.patches {
            let one = self.index.apply(bytes)?;
            tried.moved_hunks += one.offsets.len();
            if let Some(words) = one.failure {
                tried.failure = Some((name.clone(), words));
                break;
            }
        }
        self.known.insert(commit.to_owned(), tried.clone());
        Ok(tried)
    }

    fn good(&mut self, commit: &str) -> Result<bool, GenerateError> {
        Ok(self.at(commit)?.failure.is_none())
    }
}

/// Gives the commits that the patches of a series say they were made for.
fn made_for(upstream: &mut Upstream, series: &Series) -> Vec<String> {
    let mut commits = Vec::new();
    for patch in &series.patches {
        let bytes = patch.read().unwrap_or_default();
        let Ok(read) = crate::format::patch::Patch::read(&bytes) else {
            continue;
        };
        for name in read.header.applies_to {
            let commit = name
                .commit
                .and_then(|c| upstream.git.commit(&c).ok().flatten());
            commits.extend(commit.or_else(|| upstream.commit(&name.name)));
        }
    }
    commits
}
