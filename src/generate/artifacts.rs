//! Artifacts: removed before a build, found fresh after it, collected, still there later.

use super::error::GenerateError;
use super::inputs::Inputs;
use super::journal::{Success, Written};
use super::paths::Paths;
use super::recipe::Variant;
use super::session::{Session, StageEnd, Stop};
use super::words::count;
use crate::model::Sha256Digest;
use crate::model::size::show_size;
use crate::probe::record::BuildRecord;
use crate::probe::store;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What became of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The build wrote it; its path is relative to the project's work tree.
    Fresh(Written),
    /// It is not there.
    Missing,
    /// It is there, and was before the build.
    Stale,
    /// It is there, and no file this can be: why.
    Unusable(String),
}

/// Removes what a build is about to write: what is there afterwards is new.
pub(super) fn remove(variant: &Variant, work: &Path) -> Result<(), Stop> {
    for name in &variant.artifacts.files {
        let path = work.join(&variant.artifacts.from).join(name);
        // A link could lead out of the tree: the link itself is removed, never what it names.
        if inside(&path, work) {
            store::remove(&path).map_err(GenerateError::io(&path))?;
        }
    }
    Ok(())
}

/// Removes what earlier builds of a variant collected, also under names the recipe no longer has.
pub(super) fn remove_collected(session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let project = session.paths.project();
    let assets = session.paths.assets(variant);
    let mut places: Vec<PathBuf> = variant
        .artifacts
        .files
        .iter()
        .map(|f| assets.join(f))
        .collect();
    if let Ok(record) = BuildRecord::read(&BuildRecord::place(project, &variant.name)) {
        let named = record.artifacts.into_iter().map(|a| PathBuf::from(a.path));
        let plain = |p: &PathBuf| p.components().all(|c| matches!(c, Component::Normal(_)));
        places.extend(named.filter(|p| p.starts_with(&assets) && plain(p)));
    }
    for place in places {
        let path = project.join(place);
        store::remove(&path).map_err(GenerateError::io(&path))?;
    }
    Ok(())
}

/// Tells whether an artifact of a variant has been collected, whenever that was.
pub(super) fn any_collected(paths: &Paths, variant: &Variant) -> bool {
    let assets = paths.project().join(paths.assets(variant));
    variant
        .artifacts
        .files
        .iter()
        .any(|f| assets.join(f).exists())
}

/// Copies whatever artifact is there, for specs that look at an unpatched build.
pub(super) fn collect_any(session: &Session<'_>, variant: &Variant) -> Result<usize, Stop> {
    let work = session.paths.work(&variant.name);
    let assets = session.paths.project().join(session.paths.assets(variant));
    let mut copied = 0;
    for (name, found) in look(variant, &work, (0, 0)) {
        if let Found::Fresh(_) = found {
            let to = assets.join(&name);
            let from = work.join(&variant.artifacts.from).join(&name);
            store::copy(&from, &to).map_err(GenerateError::io(&to))?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// Tells whether the folder of a path is in the work tree once links are followed.
fn inside(path: &Path, work: &Path) -> bool {
    let folder = path.parent().and_then(|p| p.canonicalize().ok());
    matches!((folder, work.canonicalize()), (Some(folder), Ok(work)) if folder.starts_with(&work))
}

/// Gives the file system's present time, as it stamps a file that is written now.
pub(super) fn now(folder: &Path) -> Result<(i64, i64), Stop> {
    let path = folder.join("build-start");
    let stamp = fs::write(&path, b"").and_then(|()| fs::metadata(&path));
    let meta = stamp.map_err(GenerateError::io(&path))?;
    Ok((meta.ctime(), meta.ctime_nsec()))
}

/// Looks for each artifact.
pub(super) fn look(variant: &Variant, work: &Path, since: (i64, i64)) -> Vec<(String, Found)> {
    let folder = work.join(&variant.artifacts.from);
    let look = |name: &String| (name.clone(), look_at(&folder.join(name), work, since));
    variant.artifacts.files.iter().map(look).collect()
}

fn look_at(path: &Path, work: &Path, since: (i64, i64)) -> Found {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Missing,
        Err(error) => return Found::Unusable(error.to_string()),
    };
    if !work.canonicalize().is_ok_and(|work| real.starts_with(work)) {
        return Found::Unusable(format!(
            "it leads out of the work tree, to {}",
            real.display()
        ));
    }
    let meta = match fs::metadata(&real) {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return Found::Unusable("it is not a file".into()),
        Err(error) => return Found::Unusable(error.to_string()),
    };
    // The time of the last status change: tar and cp -p set the other one back.
    if (meta.ctime(), meta.ctime_nsec()) < since {
        return Found::Stale;
    }
    match File::open(&real).and_then(Sha256Digest::of_reader) {
        Ok(digest) => Found::Fresh(written(String::new(), &meta, &digest.to_string())),
        Err(error) => Found::Unusable(error.to_string()),
    }
}

/// Looks at a file that was written, by its path relative to the project.
pub(super) fn seen(path: &Path, project: &Path) -> io::Result<Written> {
    let file = File::open(project.join(path))?;
    let meta = file.metadata()?;
    let digest = Sha256Digest::of_reader(file)?;
    Ok(written(
        path.display().to_string(),
        &meta,
        &digest.to_string(),
    ))
}

fn written(path: String, meta: &Metadata, sha256: &str) -> Written {
    Written {
        path,
        bytes: meta.len(),
        sha256: sha256.to_owned(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    }
}

impl Found {
    /// Says what is wrong with an artifact, and what is there instead.
    pub(super) fn explain(&self, variant: &Variant, work: &Path, name: &str) -> String {
        let from = &variant.artifacts.from;
        let place = if from.is_empty() {
            name.to_owned()
        } else {
            format!("{from}/{name}")
        };
        match self {
            Self::Fresh(_) => format!("{place} is fresh"),
            Self::Stale => format!(
                "every step succeeded, and {place} is older than the build: nothing wrote it"
            ),
            Self::Unusable(why) => {
                format!("every step succeeded, and {place} cannot be used: {why}")
            }
            Self::Missing => {
                let folder = work.join(from).join(name);
                let there = folder.parent().map(neighbours).unwrap_or_default();
                let shown = if from.is_empty() {
                    "the work tree"
                } else {
                    from
                };
                match there.as_slice() {
                    [] => format!(
                        "every step succeeded, and {place} was not written: {shown} is empty"
                    ),
                    names => format!(
                        "every step succeeded, and {place} was not written: {shown} has {}",
                        names.join(", ")
                    ),
                }
            }
        }
    }
}

/// Lists what is in a folder, a few names.
fn neighbours(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|e| crate::model::path::printable(&e.file_name().to_string_lossy()))
        .filter(|name| name != ".git")
        .collect();
    names.sort();
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

/// Gives what collecting depends on: each artifact as it was built.
pub(super) fn inputs(built: &Success) -> Inputs {
    let mut inputs = Inputs::default();
    for file in &built.files {
        inputs.add(file.path.clone(), &file.sha256);
    }
    inputs
}

/// Copies each artifact to its place, whole or not at all.
pub(super) fn collect(
    session: &mut Session<'_>,
    variant: &Variant,
    built: &Success,
) -> Result<StageEnd, Stop> {
    let project = session.paths.project().to_owned();
    let assets = session.paths.assets(variant);
    let mut files = Vec::new();
    let mut total = 0;
    for (name, file) in variant.artifacts.files.iter().zip(&built.files) {
        session.check_cancel()?;
        let place = assets.join(name);
        let to = project.join(&place);
        let from = project.join(&file.path);
        let (bytes, digest) = store::copy(&from, &to).map_err(GenerateError::io(&to))?;
        if digest.to_string() != file.sha256 {
            let changed = io::Error::other("it changed after the build: something still writes it");
            return Err(GenerateError::io(&from)(changed).into());
        }
        let meta = fs::metadata(&to).map_err(GenerateError::io(&to))?;
        files.push(written(place.display().to_string(), &meta, &file.sha256));
        total += bytes;
    }
    let summary = format!(
        "{} in {}, {}",
        count(files.len(), "artifact"),
        assets.display(),
        show_size(total)
    );
    Ok(StageEnd::Done {
        success: Success {
            head: built.head.clone(),
            files,
            ..Success::default()
        },
        summary,
    })
}

/// Names the first file that is not as it was written; nothing where all are.
pub(super) fn touched(paths: &Paths, success: &Success) -> Option<String> {
    let changed = |file: &&Written| !intact(&paths.project().join(&file.path), file);
    let file = success.files.iter().find(changed)?;
    let there = paths.project().join(&file.path).exists();
    let verb = if there { "was changed" } else { "is gone" };
    Some(format!("{} {verb}", file.path))
}

fn intact(path: &PathBuf, file: &Written) -> bool {
    let Ok(meta) = fs::metadata(path) else {
        return false;
    };
    if !meta.is_file() || meta.len() != file.bytes {
        return false;
    }
    // While the times hold nobody has written it; else only its content tells.
    (meta.ctime(), meta.ctime_nsec()) == file.changed
        || File::open(path)
            .and_then(Sha256Digest::of_reader)
            .is_ok_and(|digest| digest.to_string() == file.sha256)
}
