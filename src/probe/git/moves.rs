//! Where files of one commit are in another: by the renames of every commit between, which are
//! small, and only then by comparing both ends.

use super::{Git, GitError};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// No more commits are looked at between two; further apart, only the ends are compared.
const MOST_COMMITS: &str = "--max-count=20000";

/// Where the files of a base are in a target.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    base: BTreeSet<String>,
    target: BTreeSet<String>,
    /// By the history between.
    walked: HashMap<String, String>,
    /// By comparing the ends; a file may have been copied to more than one.
    compared: BTreeMap<String, Vec<String>>,
}

impl Moves {
    /// Looks for the moves between two commits.
    ///
    /// # Errors
    /// Where git refuses.
    pub fn between(git: &Git, base: &str, target: &str) -> Result<Self, GitError> {
        if base == target {
            return Ok(Self::default());
        }
        let files = |commit: &str| -> Result<BTreeSet<String>, GitError> {
            let text = git.all(&["ls-tree", "-r", "-z", "--name-only", commit])?;
            Ok(texts(&text).map(str::to_owned).collect())
        };
        let mut moves = Self {
            base: files(base)?,
            target: files(target)?,
            ..Self::default()
        };
        moves.walked = walked(git, base, target)?;
        let ends = git.all(&[
            "diff-tree",
            "-r",
            "-z",
            "-B40%",
            "-M40%",
            "-C40%",
            "-l3000",
            "--diff-filter=RC",
            "--name-status",
            "--no-ext-diff",
            base,
            target,
        ])?;
        for (from, to) in pairs(&ends) {
            moves.compared.entry(from).or_default().push(to);
        }
        Ok(moves)
    }

    /// Gives where a path of the base is in the target, most likely first; the path itself where
    /// nothing says that it was moved.
    pub fn of(&self, path: &str) -> Vec<String> {
        let mut places = Vec::new();
        let mut add = |place: &str| {
            if !places.iter().any(|p| p == place) {
                places.push(place.to_owned());
            }
        };
        let there = |place: &&str| self.target.contains(*place);
        if there(&path) {
            add(path);
        }
        if self.base.contains(path) {
            self.walked
                .get(path)
                .map(String::as_str)
                .filter(there)
                .map(&mut add);
            self.compared
                .get(path)
                .into_iter()
                .flatten()
                .for_each(|p| add(p));
        } else if !there(&path) {
            // A file that the patch makes goes where its neighbours went.
            self.folder(path).as_deref().map(&mut add);
        }
        if places.is_empty() {
            places.push(path.to_owned());
        }
        places
    }

    /// Tells whether a file of the target was not in the base.
    pub fn is_new(&self, path: &str) -> bool {
        self.target.contains(path) && !self.base.contains(path)
    }

    /// Gives where a path is whose folder has moved: most of its files went to the same place.
    fn folder(&self, path: &str) -> Option<String> {
        let mut folder = path;
        while let Some((above, _)) = folder.rsplit_once('/') {
            folder = above;
            let rest = path.get(folder.len() + 1..)?;
            let inside = format!("{folder}/");
            let mut went: BTreeMap<&str, usize> = BTreeMap::new();
            let mut count = 0;
            for file in self.base.range(inside.clone()..) {
                let Some(name) = file.strip_prefix(&inside) else {
                    break;
                };
                count += 1;
                if self.target.contains(file) {
                    continue;
                }
                let now = self.walked.get(file).filter(|p| self.target.contains(*p));
                let now = now.or_else(|| self.compared.get(file)?.first());
                // The file's own name may have changed; its folder is what counts.
                let now = now.and_then(|now| match now.strip_suffix(name) {
                    Some(start) => start.strip_suffix('/'),
                    None if !name.contains('/') => now.rsplit_once('/').map(|(f, _)| f),
                    None => None,
                });
                if let Some(now) = now {
                    *went.entry(now).or_default() += 1;
                }
            }
            let most = went.into_iter().max_by_key(|(_, n)| *n);
            if let Some((now, _)) = most.filter(|(_, n)| n * 2 > count) {
                return Some(format!("{now}/{rest}"));
            }
            if count > 0 {
                return None;
            }
        }
        None
    }
}

/// Follows the renames of every commit: from the base back to where both have parted, and from
/// there to the target.
fn walked(git: &Git, base: &str, target: &str) -> Result<HashMap<String, String>, GitError> {
    let parted = git.output(&["merge-base", base, target])?;
    let parted = parted.stdout.text().trim().to_owned();
    if parted.is_empty() {
        return Ok(HashMap::new());
    }
    let back = renamed(git, &parted, base)?;
    let mut forth = renamed(git, &parted, target)?;
    let mut walked = HashMap::new();
    for (first, at_base) in back {
        let now = forth.remove(&first).unwrap_or(first);
        walked.insert(at_base, now);
    }
    walked.extend(forth);
    Ok(walked)
}

/// Gives what files of a commit are called in a later one.
fn renamed(git: &Git, from: &str, to: &str) -> Result<HashMap<String, String>, GitError> {
    if from == to {
        return Ok(HashMap::new());
    }
    let range = format!("{from}..{to}");
    let log = git.all(&[
        "log",
        "--reverse",
        "--first-parent",
        "-m",
        MOST_COMMITS,
        "-M50%",
        "-l3000",
        "--diff-filter=R",
        "--name-status",
        "-z",
        "--format=",
        "--no-ext-diff",
        &range,
    ])?;
    let mut now: HashMap<String, String> = HashMap::new();
    let mut origin: HashMap<String, String> = HashMap::new();
    for (from, to) in pairs(&log) {
        let first = origin.remove(&from).unwrap_or(from);
        origin.insert(to.clone(), first.clone());
        now.insert(first, to);
    }
    Ok(now)
}

fn texts(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes
        .split(|b| *b == 0)
        .filter_map(|field| std::str::from_utf8(field).ok())
        .filter(|field| !field.is_empty())
}

/// Reads `R100 NUL from NUL to NUL …`.
fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let mut fields = texts(bytes).map(|f| f.trim_start_matches('\n'));
    let mut found = Vec::new();
    while let Some(status) = fields.next() {
        if !status.starts_with(['R', 'C']) {
            continue;
        }
        if let (Some(from), Some(to)) = (fields.next(), fields.next()) {
            found.push((from.to_owned(), to.to_owned()));
        }
    }
    found
}
