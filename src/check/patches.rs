//! `patches`: a series of patches: does it apply, in order, and what does it change.

use super::entry::ImagePath;
use crate::model::Address;
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Sha256Digest;
use crate::model::path::normalise;
use crate::probe::exec::{self, Output, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
    /// Whether it applies on top of those before it.
    pub applies: bool,
    /// What git says where it does not.
    pub problem: Option<String>,
    /// The paths it changes.
    pub paths: Vec<ImagePath>,
    /// Its digest.
    pub sha256: String,
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
        let series = context.resolve(&args.series);
        let folder = series.parent().unwrap_or(Path::new("")).to_owned();
        let names = read_series(&series)?;
        if names.is_empty() {
            return Err(ProbeError::new(format!("{} names no patch", series.display())));
        }
        let reference = args.reference.as_deref().unwrap_or("HEAD");
        let git = Git::open(context.on_disk(subject)?, context)?;
        let commit = git.commit(reference)?;
        git.must(&["read-tree", &commit])?;
        let mut patches = Vec::new();
        let mut broken = false;
        for name in &names {
            let path = folder.join(name);
            let bytes = super::local::read(&path, MAX_PATCH)?;
            let absolute = absolute(&path)?;
            let paths = git.paths(&absolute)?;
            // After a patch that does not apply, those that follow were not tried: the tree they
            // are for does not exist.
            let (applies, problem) = if broken {
                (false, Some("not tried: an earlier patch does not apply".to_owned()))
            } else {
                git.apply(&absolute)?
            };
            broken |= !applies;
            patches.push(Patch {
                name: name.clone(),
                applies,
                problem,
                paths,
                sha256: Sha256Digest::of(&bytes).to_string(),
            });
        }
        Ok(Evidence {
            applies: !broken,
            changed: git.changes(&commit)?,
            commit,
            count: patches.len() as u64,
            patches,
            unlisted: unlisted(&folder)?,
        })
    }
}

/// A patch is read up to this size.
const MAX_PATCH: u64 = 64 << 20;

fn absolute(path: &Path) -> Result<PathBuf, ProbeError> {
    std::path::absolute(path).map_err(|e| ProbeError::new(format!("{}: {e}", path.display())))
}

/// Reads the names of a series file.
fn read_series(path: &Path) -> Result<Vec<String>, ProbeError> {
    let text = super::local::read_text(path, 1 << 20)?;
    let name = |line: &str| line.split('#').next().unwrap_or("").trim().to_owned();
    Ok(text.lines().map(name).filter(|n| !n.is_empty()).collect())
}

/// Finds patches that lie in the folder and belong to no series: left over, or forgotten.
fn unlisted(folder: &Path) -> Result<Vec<String>, ProbeError> {
    let mut listed = BTreeSet::new();
    let mut found = BTreeSet::new();
    let said = |e: std::io::Error| super::local::unreadable(folder, &e);
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let name = entry.map_err(said)?.file_name().to_string_lossy().into_owned();
        if name == "series" || name.ends_with(".series") {
            listed.extend(read_series(&folder.join(&name))?);
        } else if name.ends_with(".patch") || name.ends_with(".diff") {
            found.insert(name);
        }
    }
    let listed: BTreeSet<String> = listed.iter().map(|n| normalise(n)).collect();
    Ok(found.difference(&listed).cloned().collect())
}

/// A repository with an index and an object store of its own, so that nothing in it is written.
struct Git<'c> {
    folder: PathBuf,
    objects: PathBuf,
    scratch: tempfile::TempDir,
    context: &'c Context<'c>,
}

impl<'c> Git<'c> {
    fn open(folder: &Path, context: &'c Context<'c>) -> Result<Self, ProbeError> {
        let scratch = tempfile::tempdir()
            .map_err(|e| ProbeError::new(format!("no temporary folder can be made: {e}")))?;
        std::fs::metadata(folder).map_err(|e| super::local::unreadable(folder, &e))?;
        let mut git = Self {
            folder: absolute(folder)?,
            objects: PathBuf::new(),
            scratch,
            context,
        };
        let output = git.must(&["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        git.objects = PathBuf::from(output.trim());
        std::fs::create_dir_all(git.scratch.path().join("objects"))
            .map_err(|e| ProbeError::new(format!("no temporary folder can be made: {e}")))?;
        Ok(git)
    }

    fn run(&self, args: &[&str]) -> Result<Output, ProbeError> {
        let quiet = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"];
        let safe = ["-c", "safe.directory=*", "-c", "core.quotePath=false"];
        let argv = std::iter::once("git").chain(quiet).chain(safe).chain(args.iter().copied());
        let mut request = Request::new(argv)
            .cwd(&self.folder)
            .timeout(self.context.time_left())
            .cancel(self.context.cancel)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // A folder that merely lies inside of a repository is not one: git would look upwards
            // and then leave out, without a word, every path outside of the folder.
            .env("GIT_CEILING_DIRECTORIES", self.folder.parent().unwrap_or(&self.folder))
            .env("GIT_INDEX_FILE", self.scratch.path().join("index"));
        if !self.objects.as_os_str().is_empty() {
            request = request
                .env("GIT_OBJECT_DIRECTORY", self.scratch.path().join("objects"))
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects);
        }
        exec::run(&request).map_err(|e| ProbeError::new(e.to_string()))
    }

    fn must(&self, args: &[&str]) -> Result<String, ProbeError> {
        let output = self.run(args)?;
        if !output.success() {
            let said = output.stderr.text();
            return Err(ProbeError::new(format!(
                "git {} in {}: {} ({})",
                args.first().unwrap_or(&""),
                self.folder.display(),
                said.lines().next().unwrap_or("no message"),
                output.how()
            )));
        }
        Ok(output.stdout.text())
    }

    fn commit(&self, reference: &str) -> Result<String, ProbeError> {
        let name = format!("{reference}^{{commit}}");
        let commit = self.must(&["rev-parse", "--verify", "--end-of-options", &name]);
        commit.map(|c| c.trim().to_owned()).map_err(|e| {
            ProbeError::new(format!("{} has no commit `{reference}`: {e}", self.folder.display()))
                .remedy("name a commit, tag or branch with `ref:`")
        })
    }

    /// Gives the paths a patch names, whether it applies or not.
    fn paths(&self, patch: &Path) -> Result<Vec<ImagePath>, ProbeError> {
        let patch = patch.to_string_lossy();
        let output = self.run(&["apply", "--numstat", "-z", &patch])?;
        if !output.success() {
            return Ok(Vec::new());
        }
        let text = output.stdout.text();
        let path = |record: &str| record.splitn(3, '\t').nth(2).map(normalise);
        Ok(text.split('\0').filter_map(path).map(ImagePath).collect())
    }

    fn apply(&self, patch: &Path) -> Result<(bool, Option<String>), ProbeError> {
        let patch = patch.to_string_lossy();
        let output = self.run(&["apply", "--cached", "--whitespace=nowarn", &patch])?;
        if output.success() {
            return Ok((true, None));
        }
        let said = output.stderr.text();
        let said: Vec<&str> = said.lines().take(6).collect();
        Ok((false, Some(said.join("\n"))))
    }

    /// Compares the commit with the index that the patches have made.
    fn changes(&self, commit: &str) -> Result<Vec<Change>, ProbeError> {
        let text = self.must(&["diff-index", "--cached", "--no-renames", "-z", commit])?;
        let mut fields = text.split('\0');
        let mut changes = Vec::new();
        while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
            changes.extend(change(head, path));
        }
        Ok(changes)
    }
}

/// Reads one record of `git diff-index --raw`: `:100755 100644 OLD NEW M`.
fn change(head: &str, path: &str) -> Option<Change> {
    let mut words = head.strip_prefix(':')?.split(' ');
    let mode = |m: &str| (m != "000000").then(|| m.to_owned());
    let (old_mode, new_mode) = (mode(words.next()?), mode(words.next()?));
    let change = match words.next_back()?.as_bytes().first()? {
        b'A' => ChangeKind::Added,
        b'D' => ChangeKind::Deleted,
        b'T' => ChangeKind::Retyped,
        _ => ChangeKind::Modified,
    };
    let left_behind = [".orig", ".rej", ".tmp", ".bak", ".swp", "~", ".patch", ".diff"];
    Some(Change {
        path: normalise(path),
        change,
        mode_changed: change == ChangeKind::Modified && old_mode != new_mode,
        old_mode,
        new_mode,
        stray: change == ChangeKind::Added && left_behind.iter().any(|e| path.ends_with(e)),
    })
}
