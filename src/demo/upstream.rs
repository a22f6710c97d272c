//! Lays the demo out on disk: the project, and in it the upstream as a git
//! repository.
//!
//! What is laid out is made under another name and renamed when it is whole,
//! and `tdg.yaml` comes last: a folder that has one is complete, however the
//! run that made it ended.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::embedded::{Embedded, PROJECT, UPSTREAM};
use super::error::DemoError;
use crate::probe::exec::{self, Request};

/// The tag that the demo's recipe builds.
pub const TAG: &str = "v0.1.0";

/// The commit behind [`TAG`]: the same on every machine.
pub const COMMIT: &str = "70d66fa16f88fd1db701bfb69ad94d3c14e6ab6b";

/// The make variable and environment variable that names the imager.
pub const IMAGER_VARIABLE: &str = "IMAGER";

/// The recipe's file name; a folder that has it is laid out.
const RECIPE: &str = "tdg.yaml";

/// Where [`lay_out`] put things; all paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The project, with its `patches`, `specs` and `scripts`.
    pub project: PathBuf,
    /// The recipe in the project.
    pub recipe: PathBuf,
    /// The upstream's repository in the project.
    pub upstream: PathBuf,
}

/// Makes `dir` the demo's project, with the upstream in it, and leaves alone
/// what is there: the patches of a project are what an earlier run made of them.
///
/// # Errors
/// A file cannot be written, git is missing, or `dir` holds something else.
pub fn lay_out(dir: &Path) -> Result<Layout, DemoError> {
    fs::create_dir_all(dir).map_err(DemoError::at(dir))?;
    let project = dir.canonicalize().map_err(DemoError::at(dir))?;
    let upstream = project.join("upstream");
    let recipe = project.join(RECIPE);
    if recipe.exists() {
        let text = fs::read_to_string(&recipe).map_err(DemoError::at(&recipe))?;
        if !text.contains("recipe: demo-talos-arm64") {
            return Err(DemoError::Occupied(project));
        }
    } else {
        only_ours(&project)?;
        for (name, is_folder) in top_level() {
            let files = PROJECT
                .iter()
                .filter(|file| Path::new(file.path).starts_with(name));
            let place = project.join(name);
            match (name, is_folder) {
                (RECIPE, _) => {}
                (_, true) => {
                    remove(&place)?;
                    whole(&place, |partial| write_files(partial, name, files))?;
                }
                (_, false) => write_files(&project, "", files)?,
            }
        }
    }
    materialise(&upstream)?;
    if !recipe.exists() {
        let partial = project.join("tdg.yaml.partial");
        let text = PROJECT.iter().find(|file| file.path == RECIPE);
        fs::write(&partial, text.map_or("", |file| file.text)).map_err(DemoError::at(&partial))?;
        fs::rename(&partial, &recipe).map_err(DemoError::at(&recipe))?;
    }
    Ok(Layout {
        project,
        recipe,
        upstream,
    })
}

/// Lists what lies at the top of the project, and whether it is a folder.
fn top_level() -> BTreeSet<(&'static str, bool)> {
    PROJECT
        .iter()
        .map(|file| match file.path.split_once('/') {
            Some((folder, _)) => (folder, true),
            None => (file.path, false),
        })
        .collect()
}

/// Refuses a folder that has anything in it that [`lay_out`] does not make.
fn only_ours(project: &Path) -> Result<(), DemoError> {
    let mut ours: BTreeSet<String> = BTreeSet::from(["upstream".to_owned()]);
    ours.extend(top_level().iter().map(|(name, _)| (*name).to_owned()));
    for entry in fs::read_dir(project).map_err(DemoError::at(project))? {
        let name = entry.map_err(DemoError::at(project))?.file_name();
        let name = name.to_string_lossy();
        if !ours.contains(name.strip_suffix(".partial").unwrap_or(&name)) {
            return Err(DemoError::Occupied(project.to_path_buf()));
        }
    }
    Ok(())
}

/// Makes the value of [`IMAGER_VARIABLE`]: this program's path, quoted for the
/// shell that make starts, and the hidden subcommand.
pub fn imager_command(program: &Path) -> String {
    let path = program.display().to_string().replace('\'', "'\\''");
    // make expands a dollar sign before the shell sees it
    format!("'{}' imager", path.replace('$', "$$"))
}

/// Writes the upstream into `dir` and makes it a git repository with a history
/// of three commits and the tag [`TAG`]; a repository that is there and has
/// that tag at [`COMMIT`] is left alone. Gives the commit's id.
///
/// # Errors
/// As [`lay_out`].
pub fn materialise(dir: &Path) -> Result<String, DemoError> {
    if dir.exists() {
        let tag = format!("refs/tags/{TAG}");
        let there = git(dir, &["rev-parse", "--verify", "--quiet", &tag]).unwrap_or_default();
        return if there == COMMIT {
            Ok(there)
        } else {
            Err(DemoError::Occupied(dir.to_path_buf()))
        };
    }
    whole(dir, |partial| {
        git(
            partial,
            &["init", "--quiet", "--template=", "--object-format=sha1"],
        )?;
        git(partial, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        for (folder, message) in [
            (
                "packages/core/talos",
                "Build Talos images from imager profiles",
            ),
            (
                "packages/core/talos/images/matchbox",
                "Serve the images with matchbox",
            ),
            ("", "Say what this tree is"),
        ] {
            let files = UPSTREAM.iter().filter(|file| commit_of(file) == folder);
            write_files(partial, "", files)?;
            git(partial, &["add", "--all", "--force"])?;
            git(
                partial,
                &["commit", "--quiet", "--no-verify", "--message", message],
            )?;
        }
        git(partial, &["tag", TAG])?;
        Ok(())
    })?;
    git(dir, &["rev-parse", "HEAD"])
}

/// Tells with which commit's folder a file comes in.
fn commit_of(file: &Embedded) -> &'static str {
    ["packages/core/talos/images/matchbox", "packages/core/talos"]
        .into_iter()
        .find(|folder| file.path.starts_with(folder))
        .unwrap_or("")
}

/// Fills a folder beside `dir`, then renames it to `dir`.
fn whole(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), DemoError>) -> Result<(), DemoError> {
    let mut name = dir.file_name().unwrap_or(OsStr::new("demo")).to_os_string();
    name.push(".partial");
    let partial = dir.with_file_name(name);
    remove(&partial)?;
    fs::create_dir_all(&partial).map_err(DemoError::at(&partial))?;
    fill(&partial)?;
    fs::rename(&partial, dir).map_err(DemoError::at(dir))
}

/// Removes a folder, if there is one.
fn remove(dir: &Path) -> Result<(), DemoError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DemoError::at(dir)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes files into `dir`, without the part `below` of their paths.
fn write_files<'a>(
    dir: &Path,
    below: &str,
    files: impl IntoIterator<Item = &'a Embedded>,
) -> Result<(), DemoError> {
    for file in files {
        let name = Path::new(file.path);
        let path = dir.join(name.strip_prefix(below).unwrap_or(name));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(DemoError::at(parent))?;
        }
        fs::write(&path, file.text).map_err(DemoError::at(&path))?;
        let mode = if file.program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(DemoError::at(&path))?;
    }
    Ok(())
}

/// Runs git in `dir` with nothing of the caller's: no `GIT_*` variable, no
/// configuration, no hook, no prompt; a fixed person and a fixed time. Gives
/// what it wrote to standard output, trimmed.
fn git(dir: &Path, arguments: &[&str]) -> Result<String, DemoError> {
    const SETTINGS: [&str; 12] = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.fileMode=true",
        "-c",
        "commit.gpgSign=false",
        "-c",
        "tag.gpgSign=false",
        "-c",
        "gc.auto=0",
    ];
    let words = ["git"].iter().chain(&SETTINGS).chain(arguments);
    let mut request = Request::new(words).cwd(dir);
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "tdg demo"),
        ("GIT_AUTHOR_EMAIL", "demo@demo.invalid"),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_COMMITTER_NAME", "tdg demo"),
        ("GIT_COMMITTER_EMAIL", "demo@demo.invalid"),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
        ("LC_ALL", "C"),
    ] {
        request = request.env(name, value);
    }
    let output = exec::run(&request).map_err(DemoError::NoGit)?;
    if output.success() {
        return Ok(output.stdout.text().trim().to_owned());
    }
    Err(DemoError::Git {
        command: arguments.first().copied().unwrap_or_default().to_owned(),
        how: output.how(),
        stderr: output.stderr.text().trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_the_same_everywhere_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let upstream = dir.path().join("upstream");
        assert_eq!(materialise(&upstream).unwrap(), COMMIT);
        assert_eq!(git(&upstream, &["status", "--porcelain"]).unwrap(), "");
        assert_eq!(
            git(&upstream, &["rev-list", "--count", "HEAD"]).unwrap(),
            "3"
        );
        let script = git(
            &upstream,
            &[
                "ls-files",
                "--stage",
                "packages/core/talos/hack/gen-profiles.sh",
            ],
        );
        assert!(script.unwrap().starts_with("100755 "));
        assert_eq!(materialise(&upstream).unwrap(), COMMIT);
    }

    #[test]
    fn something_else_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("upstream");
        fs::create_dir(&mine).unwrap();
        fs::write(mine.join("precious"), "x").unwrap();
        assert!(matches!(materialise(&mine), Err(DemoError::Occupied(_))));
        assert!(mine.join("precious").exists());
    }

    #[test]
    fn what_a_killed_run_left_behind_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("upstream.partial")).unwrap();
        fs::write(dir.path().join("upstream.partial/half"), "x").unwrap();
        materialise(&dir.path().join("upstream")).unwrap();
        assert!(!dir.path().join("upstream/half").exists());
    }

    #[test]
    fn a_project_keeps_what_a_run_made_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = lay_out(dir.path()).unwrap();
        let series = layout.project.join("patches/spin-only.series");
        fs::write(&series, "mended").unwrap();
        assert_eq!(lay_out(dir.path()).unwrap(), layout);
        assert_eq!(fs::read_to_string(&series).unwrap(), "mended");
        let remedy = fs::metadata(layout.project.join("scripts/remedy")).unwrap();
        assert_eq!(remedy.permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_project_that_was_left_half_laid_out_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("patches.partial")).unwrap();
        fs::create_dir_all(dir.path().join("patches")).unwrap();
        let layout = lay_out(dir.path()).unwrap();
        assert!(layout.recipe.exists());
        assert!(layout.project.join("patches/02-spin.patch").exists());
    }

    #[test]
    fn a_folder_of_someone_elses_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(lay_out(dir.path()), Err(DemoError::Occupied(_))));
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(RECIPE), "recipe: mine").unwrap();
        assert!(matches!(lay_out(dir.path()), Err(DemoError::Occupied(_))));
    }

    #[test]
    fn the_imagers_path_survives_make_and_the_shell() {
        let command = imager_command(Path::new("/a b/it's/$x/tdg"));
        assert_eq!(command, "'/a b/it'\\''s/$$x/tdg' imager");
    }
}
