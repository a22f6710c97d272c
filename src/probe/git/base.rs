//! What each patch of a series was made for: the tree before it and the tree after it.

use super::index::Index;
use super::moves::Moves;
use super::replay::{Pair, Replayed, Touched, commit, replay, touched};
use super::{Git, GitError, Patch as Listed, Series};
use crate::format::patch::{AppliesTo, Patch};
use crate::model::Sha256Digest;
use std::collections::HashMap;
use std::rc::Rc;

/// Where the pair of a patch is kept in the repository, by the digest of the patch.
const PAIRS: &str = "refs/tdg-pair";
/// How many commits are tried for what a patch was made for, and how many of each sort.
const MOST: usize = 80;

/// A patch as it is worked with.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) listed: Listed,
    pub(super) bytes: Vec<u8>,
    applies_to: Vec<AppliesTo>,
    /// Its paths before, with as much of the blob's name as it says.
    paths: Vec<(String, Option<String>)>,
}

impl Loaded {
    fn digest(&self) -> String {
        Sha256Digest::of(&self.bytes).to_string()
    }
}

/// Brings a name that a patch was made for into the repository, and gives its commit.
pub type Resolve<'r> = dyn FnMut(&str) -> Option<String> + 'r;

/// A series, and what is found out about it.
pub(super) struct Work<'g> {
    pub(super) index: Index,
    git: &'g Git,
    pub(super) patches: Vec<Loaded>,
    pub(super) pairs: Vec<Option<Pair>>,
    moves: HashMap<(String, String), Rc<Moves>>,
    /// The trees with the first patches applied, by commit and how many; nothing where that fails.
    states: HashMap<(String, usize), Option<String>>,
    keep: bool,
}

impl<'g> Work<'g> {
    /// Reads a series; `apart` leaves the repository as it is.
    pub(super) fn new(git: &'g Git, series: &Series, apart: bool) -> Result<Self, GitError> {
        let index = if apart {
            Index::apart(git)
        } else {
            Index::new(git)
        }?;
        let load = |listed: &Listed| -> Result<Loaded, GitError> {
            let bytes =
                super::series::read_bounded(&listed.path).map_err(|source| GitError::Io {
                    path: listed.path.clone(),
                    source,
                })?;
            let plain = super::mail::plain(git, &bytes)?;
            // What is no patch has no base either; applying it says what is wrong.
            let read = Patch::read(&plain).ok();
            let files = read.iter().flat_map(|p| &p.files);
            let paths = files.filter_map(|f| Some((f.old.clone()?, f.old_blob.clone())));
            let paths = paths.collect();
            let applies_to = read.map(|p| p.header.applies_to).unwrap_or_default();
            Ok(Loaded {
                listed: listed.clone(),
                bytes,
                applies_to,
                paths,
            })
        };
        let patches = series
            .patches
            .iter()
            .map(load)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            index,
            git,
            pairs: vec![None; patches.len()],
            patches,
            moves: HashMap::new(),
            states: HashMap::new(),
            keep: !apart,
        })
    }

    /// Finds what each patch was made for, as far as that can be found.
    pub(super) fn find(&mut self, target: &str, resolve: &mut Resolve<'_>) -> Result<(), GitError> {
        // Those that change files say by their blobs what they were made for; those that only make
        // new ones were made for the same.
        let (says, silent): (Vec<usize>, Vec<usize>) = (0..self.patches.len()).partition(|at| {
            let patch = self.patches.get(*at);
            patch.is_some_and(|p| p.paths.iter().any(|(_, blob)| blob.is_some()))
        });
        for at in says.into_iter().chain(silent) {
            let found = match self.kept(at)? {
                Some(pair) => Some(pair),
                None => self.search(at, target, resolve)?,
            };
            if let (Some(pair), true) = (&found, self.keep) {
                self.remember(at, pair)?;
            }
            if let Some(place) = self.pairs.get_mut(at) {
                *place = found;
            }
        }
        Ok(())
    }

    fn name(&self, at: usize) -> String {
        let digest = self.patches.get(at).map(Loaded::digest).unwrap_or_default();
        format!("{PAIRS}/{digest}")
    }

    /// Gives the pair that was found earlier for the same patch.
    fn kept(&self, at: usize) -> Result<Option<Pair>, GitError> {
        let name = self.name(at);
        let Some(after) = self.git.commit(&name)? else {
            return Ok(None);
        };
        let tree = |name: String| self.git.ok(&["rev-parse", "--verify", &name]);
        Ok(Some(Pair {
            base: tree(format!("{after}^^"))?,
            before: tree(format!("{after}^^{{tree}}"))?,
            after: tree(format!("{after}^{{tree}}"))?,
        }))
    }

    fn remember(&self, at: usize, pair: &Pair) -> Result<(), GitError> {
        let before = commit(self.git, &pair.before, &[&pair.base], "before the patch")?;
        let after = commit(self.git, &pair.after, &[&before], "after the patch")?;
        self.git
            .ok(&["update-ref", &self.name(at), &after])
            .map(drop)
    }

    fn search(
        &mut self,
        at: usize,
        target: &str,
        resolve: &mut Resolve<'_>,
    ) -> Result<Option<Pair>, GitError> {
        let candidates = self.candidates(at, target, resolve)?;
        // Where the blobs are those that the patch names, there is no doubt.
        for sure in [true, false] {
            for base in &candidates {
                let Some(before) = self.state(base, at)? else {
                    continue;
                };
                let Some(patch) = self.patches.get(at) else {
                    continue;
                };
                if sure && !has_blobs(self.index.git(), &before, &patch.paths)? {
                    continue;
                }
                self.index.read(&before)?;
                if self.index.apply(&patch.bytes)?.failure.is_none() {
                    return Ok(Some(Pair {
                        base: base.clone(),
                        before,
                        after: self.index.write()?,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Gives the tree of a commit with the first patches on it, each applied or carried there.
    fn state(&mut self, base: &str, count: usize) -> Result<Option<String>, GitError> {
        let key = (base.to_owned(), count);
        if let Some(known) = self.states.get(&key) {
            return Ok(known.clone());
        }
        let tree = match count.checked_sub(1) {
            None => Some(
                self.git
                    .ok(&["rev-parse", "--verify", &format!("{base}^{{tree}}")])?,
            ),
            Some(last) => match self.state(base, last)? {
                Some(tree) => self.carried(base, last, &tree)?,
                None => None,
            },
        };
        self.states.insert(key, tree.clone());
        Ok(tree)
    }

    fn carried(&mut self, base: &str, at: usize, tree: &str) -> Result<Option<String>, GitError> {
        let Some(patch) = self.patches.get(at) else {
            return Ok(None);
        };
        self.index.read(tree)?;
        if self.index.apply(&patch.bytes)?.failure.is_none() {
            return Ok(Some(self.index.write()?));
        }
        Ok(match self.replayed(at, base, tree)? {
            Some((Replayed::Clean { tree, .. }, _)) => Some(tree),
            Some((Replayed::Conflict { .. }, _)) | None => None,
        })
    }

    /// Replays a patch onto a tree that stands on a commit; nothing where it is not known what the
    /// patch was made for. Gives with it where each path went.
    pub(super) fn replayed(
        &mut self,
        at: usize,
        commit: &str,
        onto: &str,
    ) -> Result<Option<(Replayed, Placed)>, GitError> {
        let Some(pair) = self.pairs.get(at).cloned().flatten() else {
            return Ok(None);
        };
        let moves = self.moves(&pair.base, commit)?;
        let touched = touched(self.index.git(), &pair.before, &pair.after)?;
        let message = self
            .patches
            .get(at)
            .map_or("", |p| p.listed.name.as_str())
            .to_owned();
        let mut first = None;
        // A file that was copied, or split, is tried where it is likeliest, then elsewhere.
        for choice in 0..3 {
            let mut others = false;
            let places: HashMap<String, String> = touched
                .iter()
                .map(|t| {
                    let mut places = moves.of(&t.path);
                    others |= places.len() > choice + 1;
                    let chosen = choice.min(places.len() - 1);
                    (t.path.clone(), places.swap_remove(chosen))
                })
                .collect();
            let place = |path: &str| places.get(path).cloned().unwrap_or_else(|| path.to_owned());
            let replayed = replay(&self.index, &touched, onto, &place, &message)?;
            let clean = matches!(replayed, Replayed::Clean { .. });
            let placed = Placed {
                touched: touched.clone(),
                places,
            };
            if clean {
                return Ok(Some((replayed, placed)));
            }
            first.get_or_insert((replayed, placed));
            if !others {
                break;
            }
        }
        let Some((Replayed::Conflict { files, .. }, placed)) = &first else {
            return Ok(first);
        };
        // Part of a file may have become a file of its own: it is where the lines went.
        let mut split = placed.clone();
        let mut any = false;
        for touched in &touched {
            if files.contains(&placed.of(&touched.path))
                && let Some(to) = carrier(&self.index, onto, &moves, touched)?
            {
                split.places.insert(touched.path.clone(), to);
                any = true;
            }
        }
        if any {
            let place = |path: &str| split.of(path);
            let replayed = replay(&self.index, &touched, onto, &place, &message)?;
            if matches!(replayed, Replayed::Clean { .. }) {
                return Ok(Some((replayed, split)));
            }
        }
        Ok(first)
    }

    fn moves(&mut self, base: &str, target: &str) -> Result<Rc<Moves>, GitError> {
        let key = (base.to_owned(), target.to_owned());
        if let Some(moves) = self.moves.get(&key) {
            return Ok(moves.clone());
        }
        let moves = Rc::new(Moves::between(self.index.git(), base, target)?);
        self.moves.insert(key, moves.clone());
        Ok(moves)
    }

    /// Lists the commits a patch may have been made for, most likely first.
    fn candidates(
        &self,
        at: usize,
        target: &str,
        resolve: &mut Resolve<'_>,
    ) -> Result<Vec<String>, GitError> {
        let mut found: Vec<String> = Vec::new();
        let mut add = |commit: String| {
            if !found.contains(&commit) && found.len() < MOST {
                found.push(commit);
            }
        };
        let own = self.patches.get(at).map(|p| &p.applies_to);
        let all = self.patches.iter().rev().map(|p| &p.applies_to);
        for name in own.into_iter().chain(all).flatten() {
            let commit = match &name.commit {
                Some(commit) => self.git.commit(commit)?,
                None => None,
            };
            let commit = match commit {
                Some(commit) => Some(commit),
                None => resolve(&name.name),
            };
            commit.map(&mut add);
        }
        let built = self.git.ok(&[
            "for-each-ref",
            "--sort=-committerdate",
            "--count=20",
            "--format=%(objectname)",
            "refs/tdg/",
        ])?;
        built
            .lines()
            .filter(|c| *c != target)
            .for_each(|c| add(c.to_owned()));
        let others = self.pairs.iter().flatten().rev();
        others.for_each(|pair| add(pair.base.clone()));
        add(target.to_owned());
        let paths = self.patches.get(at).map(|p| &p.paths).into_iter().flatten();
        let paths: Vec<&str> = paths.map(|(path, _)| path.as_str()).take(100).collect();
        if !paths.is_empty() {
            let mut arguments = vec![
                "--literal-pathspecs",
                "log",
                "--max-count=60",
                "--format=%H %P",
                target,
                "--",
            ];
            arguments.extend(paths);
            let log = self.git.ok(&arguments)?;
            log.split_whitespace().for_each(|c| add(c.to_owned()));
        }
        Ok(found)
    }
}

/// Where the paths of a change are now.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) touched: Vec<Touched>,
    pub(super) places: HashMap<String, String>,
}

impl Placed {
    /// Gives where a path is now.
    pub(super) fn of(&self, path: &str) -> String {
        self.places
            .get(path)
            .cloned()
            .unwrap_or_else(|| path.to_owned())
    }

    /// Lists the paths that are elsewhere now.
    pub(super) fn moved(&self) -> Vec<(String, String)> {
        let moved = |t: &Touched| {
            let now = self.of(&t.path);
            (now != t.path).then(|| (t.path.clone(), now))
        };
        self.touched.iter().filter_map(moved).collect()
    }
}

/// Finds the one file that is new in the upstream and has every line that a change takes away.
fn carrier(
    index: &Index,
    onto: &str,
    moves: &Moves,
    touched: &Touched,
) -> Result<Option<String>, GitError> {
    let git = index.git();
    let net = super::kept::net(git, touched)?.unwrap_or_default();
    let removed: Vec<String> = net
        .iter()
        .filter(|(line, n)| **n < 0 && line.trim_ascii().len() >= 8)
        .filter_map(|(line, _)| String::from_utf8(line.clone()).ok())
        .take(8)
        .collect();
    let mut found: Option<Vec<String>> = None;
    for line in &removed {
        let arguments = ["grep", "-z", "-l", "-F", "-e", line, onto, "--"];
        let text = git.output(&arguments)?.stdout.text();
        let prefix = format!("{onto}:");
        let files = text
            .split('\0')
            .filter_map(|name| name.trim().strip_prefix(&prefix));
        let files: Vec<String> = files
            .filter(|f| moves.is_new(f))
            .map(str::to_owned)
            .collect();
        found = Some(match found {
            Some(before) => before.into_iter().filter(|f| files.contains(f)).collect(),
            None => files,
        });
    }
    Ok(match found.as_deref() {
        Some([one]) => Some(one.clone()),
        Some(_) | None => None,
    })
}

/// Tells whether a tree has the blobs that a patch names; a patch that names none has no say.
fn has_blobs(git: &Git, tree: &str, paths: &[(String, Option<String>)]) -> Result<bool, GitError> {
    let named: Vec<(&str, &str)> = paths
        .iter()
        .filter_map(|(path, blob)| Some((path.as_str(), blob.as_deref()?)))
        .take(100)
        .collect();
    if named.is_empty() {
        return Ok(false);
    }
    let mut arguments = vec![
        "--literal-pathspecs",
        "ls-tree",
        "-z",
        "--full-tree",
        tree,
        "--",
    ];
    arguments.extend(named.iter().map(|(path, _)| *path));
    let text = git.ok(&arguments)?;
    let blobs: HashMap<&str, &str> = text
        .split('\0')
        .filter_map(|line| {
            let (head, path) = line.split_once('\t')?;
            Some((path, head.rsplit(' ').next()?))
        })
        .collect();
    Ok(named
        .iter()
        .all(|(path, blob)| blobs.get(path).is_some_and(|b| b.starts_with(blob))))
}
