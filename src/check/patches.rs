//! `patches`: a series of patches: does it apply, in order, and what does it change.

use super::entry::ImagePath;
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::patch;
use crate::model::Address;
use crate::model::path::normalise;
use crate::probe::git::{self, Git, GitError, Index, Series};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// The kind.
pub struct TheKind;

/// Which series, and what it is for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The series file: one patch a line, in order; `#` begins a comment.
    pub series: String,
    /// The commit, tag or branch of the subject it has to apply to; its `HEAD` where left out.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

/// What the patches are, and what came of applying them to an index in memory; no work tree is
/// touched.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether all apply, one after another.
    pub applies: bool,
    /// The commit they were applied to.
    pub commit: String,
    /// How many patches the series names.
    pub count: u64,
    /// The patches, in order.
    pub patches: Vec<Patch>,
    /// Every path that any of them changes.
    pub changed: Vec<Change>,
    /// Patches in the series' folder that no line of any `*.series` or `series` file there names.
    pub unlisted: Vec<String>,
}

/// One patch.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Patch {
    /// Its name as the series has it.
    pub name: String,
    /// Whether it applies on top of those before it, every line of it: there is no fuzz.
    pub applies: bool,
    /// What git says where it does not, or what is wrong with the file.
    pub problem: Option<String>,
    /// The paths it changes.
    pub paths: Vec<ImagePath>,
    /// What it does to each of them, as its text says.
    pub files: Vec<PatchedFile>,
    /// How many hunks it has.
    pub hunks: u64,
    /// How many of them apply on other lines than it says.
    pub moved_hunks: u64,
    /// By how many lines the furthest of them is off.
    pub largest_offset: u64,
    /// What it is called: `Subject` or `Description`, without `[PATCH]`.
    pub subject: Option<String>,
    /// Who wrote it: `From` or `Author`.
    pub author: Option<String>,
    /// Why it exists: the text of its header, without trailers.
    pub why: Option<String>,
    /// The refs it was made for: `Applies-to` in its header.
    pub applies_to: Vec<String>,
    /// Its digest.
    pub sha256: String,
}

/// What one patch does to one file.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct PatchedFile {
    /// The path, after the patch.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The path before, where it is another.
    pub from: Option<ImagePath>,
    /// What becomes of it.
    pub change: FileChange,
    /// The mode before, where the patch says: `100755`.
    pub old_mode: Option<String>,
    /// The mode after, where the patch says.
    pub new_mode: Option<String>,
    /// Whether it loses its exec bit.
    pub exec_lost: bool,
    /// Whether it gains an exec bit it did not have.
    pub exec_gained: bool,
    /// Whether it is new and looks like something an editor or a patch tool left behind.
    pub stray: bool,
}

/// What a patch does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It makes it.
    Added,
    /// It removes it.
    Deleted,
    /// It changes its content or mode.
    Modified,
    /// It gives it another name.
    Renamed,
    /// It makes it out of another that stays.
    Copied,
}

/// One changed path, all patches together.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Change {
    /// The path.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// What became of it.
    pub change: ChangeKind,
    /// Its mode before, as git writes it: `100755`.
    pub old_mode: Option<String>,
    /// Its mode after.
    pub new_mode: Option<String>,
    /// Whether a mode was lost or won on the way: an exec bit, most often.
    pub mode_changed: bool,
    /// Whether it looks like something an editor or a patch tool left behind.
    pub stray: bool,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or mode changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It changed between file and link.
    Retyped,
}

impl Kind for TheKind {
    const NAME: &'static str = "patches";
    const SUMMARY: &'static str = "a patch series: does it apply in order, what does it change";
    const MAIN: Option<&'static str> = Some("series");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: the series applies and keeps the script a program
  patches: patches/spin-only.series
  in: upstream
  expect:
    applies: true
    changed: { every: { path: { starts-with: packages/core/talos/ }, mode-changed: false, stray: false } }";
    const DESCRIBES: &'static [&'static str] = &["applies", "count", "patches", "unlisted"];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no repository is named"))?;
        let path = context.resolve(&args.series);
        let series = Series::read(&path).map_err(|e| ProbeError::new(e.to_string()))?;
        if series.patches.is_empty() {
            return Err(ProbeError::new(format!(
                "{} names no patch",
                path.display()
            )));
        }
        let folder = context.on_disk(subject)?;
        std::fs::metadata(folder).map_err(|e| super::local::unreadable(folder, &e))?;
        let folder = std::path::absolute(folder)
            .map_err(|e| ProbeError::new(format!("{}: {e}", folder.display())))?;
        // A folder that merely lies inside of a repository is not one: git would look upwards and
        // then leave out, without a word, every path outside of the folder.
        let git = Git::at(folder)
            .only_here()
            .cancel(context.cancel)
            .timeout(Some(context.time_left()));
        let index = Index::apart(&git).map_err(said)?;
        let reference = args.reference.as_deref().unwrap_or("HEAD");
        let commit = git.commit(reference).map_err(said)?.ok_or_else(|| {
            let folder = git.folder().display();
            ProbeError::new(format!("{folder} has no commit `{reference}`"))
                .remedy("name a commit, tag or branch with `ref:`")
        })?;
        index.read(&commit).map_err(said)?;
        let mut patches = Vec::new();
        let mut broken = false;
        for listed in &series.patches {
            let patch = observe(&index, listed, broken)?;
            broken |= !patch.applies;
            patches.push(patch);
        }
        let after = index.write().map_err(said)?;
        let changed = git::changes(index.git(), &commit, &after).map_err(said)?;
        Ok(Evidence {
            applies: !broken,
            changed: changed.into_iter().flat_map(apart).map(change).collect(),
            commit,
            count: patches.len() as u64,
            patches,
            // Another series that is wrong matters only where this is asked for.
            unlisted: match context.wants("unlisted") {
                true => unlisted(path.parent().unwrap_or(Path::new("")))?,
                false => Vec::new(),
            },
        })
    }
}

fn said(error: GitError) -> ProbeError {
    ProbeError::new(error.to_string())
}

/// Looks at a patch, and tries it where those before it apply.
fn observe(index: &Index, listed: &git::Patch, broken: bool) -> Result<Patch, ProbeError> {
    let bytes = listed
        .read()
        .map_err(|e| super::local::unreadable(&listed.path, &e))?;
    let mut patch = Patch {
        name: listed.name.clone(),
        applies: false,
        problem: None,
        paths: Vec::new(),
        files: Vec::new(),
        hunks: 0,
        moved_hunks: 0,
        largest_offset: 0,
        subject: None,
        author: None,
        why: None,
        applies_to: Vec::new(),
        sha256: listed.digest.to_string(),
    };
    let plain = git::plain(index.git(), &bytes).map_err(said)?;
    match patch::Patch::read(&plain) {
        Ok(read) => {
            patch.files = read.files.iter().map(file).collect();
            patch.paths = read
                .files
                .iter()
                .map(|f| ImagePath(normalise(f.path())))
                .collect();
            patch.hunks = read.files.iter().map(|f| f.hunks.len() as u64).sum();
            let refs = read.header.applies_to.into_iter();
            patch.applies_to = refs.map(|r| r.name).collect();
            (patch.subject, patch.author) = (read.header.subject, read.header.author);
            patch.why = read.header.why;
        }
        Err(error) => {
            patch.problem = Some(error.to_string());
            return Ok(patch);
        }
    }
    // After a patch that does not apply, those that follow were not tried: the tree they are for
    // does not exist.
    if broken {
        patch.problem = Some("not tried: an earlier patch does not apply".to_owned());
        return Ok(patch);
    }
    let tried = index.apply(&bytes).map_err(said)?;
    patch.applies = tried.failure.is_none();
    patch.problem = tried.failure;
    patch.moved_hunks = tried.offsets.len() as u64;
    let offsets = tried.offsets.iter().map(|o| o.lines.unsigned_abs());
    patch.largest_offset = offsets.max().unwrap_or(0);
    Ok(patch)
}

fn file(file: &patch::FilePatch<'_>) -> PatchedFile {
    let change = match file.change {
        patch::Change::Added => FileChange::Added,
        patch::Change::Deleted => FileChange::Deleted,
        patch::Change::Modified => FileChange::Modified,
        patch::Change::Renamed => FileChange::Renamed,
        patch::Change::Copied => FileChange::Copied,
    };
    let path = normalise(file.path());
    let from = file
        .old
        .as_deref()
        .map(normalise)
        .filter(|old| *old != path);
    let exec = |mode: &Option<String>| mode.as_ref().map(|m| m.ends_with("755"));
    let (before, after) = (exec(&file.old_mode), exec(&file.new_mode));
    let new = matches!(change, FileChange::Added | FileChange::Copied);
    PatchedFile {
        stray: new && left_behind(&path),
        path,
        from: from.map(ImagePath),
        change,
        old_mode: file.old_mode.clone(),
        new_mode: file.new_mode.clone(),
        exec_lost: (before, after) == (Some(true), Some(false)),
        exec_gained: (before, after) == (Some(false), Some(true)),
    }
}

/// Finds patches that lie in the folder and belong to no series: left over, or forgotten.
fn unlisted(folder: &Path) -> Result<Vec<String>, ProbeError> {
    let mut listed = BTreeSet::new();
    let mut found = BTreeSet::new();
    let said = |e: std::io::Error| super::local::unreadable(folder, &e);
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let name = entry
            .map_err(said)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name == "series" || name.ends_with(".series") {
            let names = Series::names(&folder.join(&name));
            let names = names.map_err(|e| ProbeError::new(e.to_string()))?;
            listed.extend(names.into_iter().map(|(_, name)| normalise(&name)));
        } else if name.ends_with(".patch") || name.ends_with(".diff") {
            found.insert(name);
        }
    }
    Ok(found.difference(&listed).cloned().collect())
}

/// Tells by its name whether a file is what an editor, a merge or a patch tool left behind.
fn left_behind(path: &str) -> bool {
    const ENDS: &[&str] = &[
        ".orig", ".rej", ".tmp", ".bak", ".swp", ".swo", "~", ".patch", ".diff", ".sh.tmp",
    ];
    ENDS.iter().any(|end| path.ends_with(end))
}

/// Takes a rename apart: one path is gone, another is new.
fn apart(of: git::Change) -> Vec<git::Change> {
    let Some(from) = of.from.clone() else {
        return vec![of];
    };
    let nothing = || "000000".to_owned();
    let gone = git::Change {
        path: from,
        from: None,
        status: 'D',
        mode_before: of.mode_before.clone(),
        mode_after: nothing(),
    };
    let new = git::Change {
        from: None,
        status: 'A',
        mode_before: nothing(),
        ..of
    };
    vec![gone, new]
}

fn change(of: git::Change) -> Change {
    let mode = |mode: String| (mode != "000000").then_some(mode);
    let change = match of.status {
        'A' => ChangeKind::Added,
        'D' => ChangeKind::Deleted,
        'T' => ChangeKind::Retyped,
        _ => ChangeKind::Modified,
    };
    let path = normalise(&of.path);
    let (old_mode, new_mode) = (mode(of.mode_before), mode(of.mode_after));
    Change {
        stray: change == ChangeKind::Added && left_behind(&path),
        path,
        change,
        mode_changed: change == ChangeKind::Modified && old_mode != new_mode,
        old_mode,
        new_mode,
    }
}
