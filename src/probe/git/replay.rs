//! A change of one tree, made to another: git's own three-way merge of contents and modes, on
//! paths that were found beforehand.

use super::index::{Entry, Index};
use super::{DATE, Git, GitError};
use std::collections::BTreeMap;

/// What a patch does, on what it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The upstream's commit below.
    pub base: String,
    /// The tree before.
    pub before: String,
    /// The tree after.
    pub after: String,
}

/// One path of a change: before and after; nothing where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) path: String,
    pub(super) old: Option<Entry>,
    pub(super) new: Option<Entry>,
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    /// The tree it makes.
    Clean {
        tree: String,
        /// Files whose lines next to the changed ones were changed as well.
        beside: Vec<String>,
    },
    /// It has to be decided by hand.
    Conflict {
        /// A commit of the change, on a commit of what it was made for, both with the paths of now.
        change: String,
        /// The files in conflict.
        files: Vec<String>,
        /// What git says of it.
        words: Vec<String>,
    },
}

/// Lists what a pair changes, renames taken apart.
pub(super) fn touched(git: &Git, before: &str, after: &str) -> Result<Vec<Touched>, GitError> {
    let bytes = git.all(&[
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        before,
        after,
    ])?;
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.split('\0');
    let mut all = Vec::new();
    // `:100644 100755 <object> <object> M`, path.
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, old, new, _] = words.as_slice() else {
            break;
        };
        let entry = |mode: &str, object: &str| {
            (mode != "000000").then(|| (mode.to_owned(), object.to_owned()))
        };
        all.push(Touched {
            path: path.to_owned(),
            old: entry(old_mode, old),
            new: entry(new_mode, new),
        });
    }
    Ok(all)
}

/// Makes a commit of a tree that is the same whenever it is made.
pub(super) fn commit(
    git: &Git,
    tree: &str,
    parents: &[&str],
    message: &str,
) -> Result<String, GitError> {
    let git = git.clone().with("GIT_AUTHOR_DATE", DATE);
    let mut arguments = vec!["commit-tree", tree, "-m", message];
    for parent in parents {
        arguments.extend(["-p", parent]);
    }
    git.ok(&arguments)
}

/// Makes a change to another tree; `place` says where each of its paths is there.
pub(super) fn replay(
    index: &Index,
    touched: &[Touched],
    onto: &str,
    place: &dyn Fn(&str) -> String,
    message: &str,
) -> Result<Replayed, GitError> {
    let git = index.git();
    let side = |entry: fn(&Touched) -> Option<&Entry>| -> Result<String, GitError> {
        index.read(onto)?;
        let places: Vec<(String, Option<&Entry>)> =
            touched.iter().map(|t| (place(&t.path), entry(t))).collect();
        index.set(places.iter().map(|(p, e)| (p.as_str(), *e)))?;
        index.write()
    };
    let (before, after) = (side(|t| t.old.as_ref())?, side(|t| t.new.as_ref())?);
    let base = commit(git, &before, &[], "what the patch was made for")?;
    let ours = commit(git, onto, &[&base], "the upstream")?;
    let change = commit(git, &after, &[&base], message)?;
    let arguments = ["merge-tree", "--write-tree", "-z", &ours, &change];
    let output = git.output(&arguments)?;
    let text = output.stdout.text();
    let mut fields = text.split('\0');
    let tree = fields.next().unwrap_or("").trim().to_owned();
    let is_tree = tree.len() >= 40 && tree.bytes().all(|b| b.is_ascii_hexdigit());
    if output.success() && is_tree {
        let beside = Vec::new();
        return Ok(Replayed::Clean { tree, beside });
    }
    if !is_tree {
        // `merge-tree --write-tree` came with git 2.38.
        return Err(super::failed(&arguments, &output));
    }
    let mut open: BTreeMap<String, Stages> = BTreeMap::new();
    // `100644 <object> <stage>`, a tab, the path.
    for line in fields.by_ref().take_while(|f| !f.is_empty()) {
        let Some((head, path)) = line.split_once('\t') else {
            continue;
        };
        let stages = open.entry(path.to_owned()).or_default();
        let words: Vec<&str> = head.split(' ').collect();
        if let [mode, object, stage] = words.as_slice() {
            let entry = Some(((*mode).to_owned(), (*object).to_owned()));
            match *stage {
                "1" => stages.base = entry,
                "2" => stages.ours = entry,
                _ => stages.theirs = entry,
            }
        }
    }
    if let Some(tree) = neighbours(index, &tree, &open)? {
        let beside = open.into_keys().collect();
        return Ok(Replayed::Clean { tree, beside });
    }
    let words = fields
        .filter(|f| f.starts_with("CONFLICT") && f.contains(": "))
        .map(|f| f.trim().to_owned());
    Ok(Replayed::Conflict {
        change,
        words: words.collect(),
        files: open.into_keys().collect(),
    })
}

/// A file in conflict: what each side has.
#[derive(Debug, Default)]
struct Stages {
    base: Option<Entry>,
    ours: Option<Entry>,
    theirs: Option<Entry>,
}

/// Decides conflicts that are none: neighbouring lines were changed. Nothing where one is left.
fn neighbours(
    index: &Index,
    tree: &str,
    open: &BTreeMap<String, Stages>,
) -> Result<Option<String>, GitError> {
    let git = index.git();
    let mut decided = Vec::new();
    for (path, stages) in open {
        let (Some(base), Some(ours), Some(theirs)) = (&stages.base, &stages.ours, &stages.theirs)
        else {
            return Ok(None);
        };
        // Only files; and a mode that both have changed is not decided here.
        let files = [base, ours, theirs]
            .iter()
            .all(|(mode, _)| mode.starts_with("100"));
        let mode = match (ours.0 == base.0, theirs.0 == base.0) {
            (_, true) => &ours.0,
            (true, false) => &theirs.0,
            (false, false) if ours.0 == theirs.0 => &ours.0,
            (false, false) => return Ok(None),
        };
        if !files {
            return Ok(None);
        }
        let content = |entry: &Entry| git.all(&["cat-file", "blob", &entry.1]);
        let (base, ours, theirs) = (content(base)?, content(ours)?, content(theirs)?);
        let Some(merged) = super::beside::merge(git, &base, &ours, &theirs)? else {
            return Ok(None);
        };
        let object = git.ok_of(&["hash-object", "-w", "--stdin"], merged)?;
        decided.push((path.as_str(), (mode.clone(), object)));
    }
    if decided.is_empty() {
        return Ok(None);
    }
    index.read(tree)?;
    index.set(decided.iter().map(|(path, entry)| (*path, Some(entry))))?;
    index.write().map(Some)
}
