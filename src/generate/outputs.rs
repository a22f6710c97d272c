//! What loops left in a folder, and whether it is what they found green.

use super::artifacts::touched;
use super::error::GenerateError;
use super::event::Stage;
use super::paths::Paths;
use super::state::State;
use super::{guard, journal};
use crate::probe::record::BuildRecord;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What loops left in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The artifacts of each variant that has some there.
    pub variants: Vec<Outputs>,
    /// The folders that loops alone write to, relative to the folder; an empty one is the folder
    /// itself. What lies there and is no artifact of a variant was judged by none.
    pub of_loops: Vec<PathBuf>,
    /// The process of a loop that is at work there.
    pub at_work: Option<String>,
    /// What this was read from.
    pub rests_on: RestsOn,
}

/// Files that something was read from, as they were before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestsOn(Vec<(PathBuf, Option<Stamp>)>);

/// When a file was changed last, and its size.
type Stamp = ((i64, i64), u64);

impl RestsOn {
    /// Tells whether one of them is another now.
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, then)| stamp(path) != *then)
    }

    fn on(&mut self, path: PathBuf) {
        let now = stamp(&path);
        self.0.push((path, now));
    }

    /// Rests on whether loops have worked in a folder.
    fn on_project(&mut self, folder: &Path) {
        for name in ["records", "loop.lock"] {
            self.on(folder.join(".tdg").join(name));
        }
    }
}

/// The artifacts of one variant that lie in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The variant, and the project where that is in the folder.
    pub variant: String,
    /// Why they are not green; nothing where they are.
    pub not_green: Option<String>,
    /// The artifacts.
    pub files: Vec<Output>,
}

/// One artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its path, relative to the folder.
    pub path: PathBuf,
    /// When it was changed last, seconds and nanoseconds, where it is what was judged.
    pub changed: (i64, i64),
    /// Its size.
    pub bytes: u64,
}

/// Where loops put what they make, relative to the project.
const OF_LOOPS: [&str; 2] = ["_out/assets", "_out/package"];

/// Folders, one in the other, that are looked into for projects.
const DEPTH: usize = 16;
/// Entries that are looked at for that.
const ENTRIES: usize = 100_000;

/// The projects in the folders of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Below {
    projects: Vec<PathBuf>,
    /// Whether all of the folder was looked through.
    pub whole: bool,
}

impl Below {
    /// Looks for projects in which loops have worked, at most 16 folders deep and among at most 100,000
    /// entries. No link is followed.
    ///
    /// # Errors
    /// Where the folder is not there.
    pub fn find(folder: &Path) -> Result<Self, GenerateError> {
        let folder = folder.canonicalize().map_err(GenerateError::io(folder))?;
        let mut found = Self {
            projects: Vec::new(),
            whole: true,
        };
        let mut walk = walkdir::WalkDir::new(&folder).min_depth(1).into_iter();
        let mut seen = 0;
        while let Some(entry) = walk.next() {
            seen += 1;
            if seen > ENTRIES {
                found.whole = false;
                break;
            }
            let Ok(entry) = entry else {
                // What may not be read here may be given all the same: to root.
                found.whole = false;
                continue;
            };
            if !entry.file_type().is_dir() {
                continue;
            }
            if [".git", ".tdg"].iter().any(|own| entry.file_name() == *own) {
                let project = entry.path().parent().unwrap_or(&folder);
                if project != folder && is_project(project) {
                    found.projects.push(project.to_owned());
                }
                walk.skip_current_dir();
            } else if entry.depth() >= DEPTH {
                found.whole = false;
                walk.skip_current_dir();
            }
        }
        found.projects.sort();
        found.projects.dedup();
        Ok(found)
    }
}

/// Tells whether loops have worked in a folder.
fn is_project(folder: &Path) -> bool {
    let own = folder.join(".tdg");
    own.join("records").is_dir() || own.join("loop.lock").is_file()
}

/// Lists what loops left in a folder, by variant: those of the project that it lies in, and of the
/// projects in it.
///
/// # Errors
/// Where the folder, a record or the journal cannot be read.
pub fn outputs(folder: &Path, below: &Below) -> Result<Left, GenerateError> {
    let named = std::path::absolute(folder).map_err(GenerateError::io(folder))?;
    let folder = folder.canonicalize().map_err(GenerateError::io(folder))?;
    let mut left = Left::default();
    // A link on the way into a project leads to it as the folder's own place does.
    let around = folder.ancestors().chain(named.ancestors()).find(|project| {
        left.rests_on.on_project(project);
        is_project(project)
    });
    if let Some(project) = around {
        left.add(project, &folder)?;
    }
    for project in &below.projects {
        left.rests_on.on_project(project);
        left.add(project, &folder)?;
    }
    Ok(left)
}

impl Left {
    /// Adds what the loops of a project left in a folder.
    fn add(&mut self, project: &Path, folder: &Path) -> Result<(), GenerateError> {
        let paths = Paths::new(project);
        self.rests_on.on(paths.journal());
        // Before anything else is looked at: a loop that begins later changes what is judged here.
        let at_work = guard::holder(&paths.guard())?;
        self.of_loops.extend(OF_LOOPS.iter().filter_map(|place| {
            let place = project.join(place).canonicalize().ok()?;
            match folder.starts_with(&place) {
                true => Some(PathBuf::new()),
                false => place.strip_prefix(folder).ok().map(Path::to_owned),
            }
        }));
        let state = State::replay(&journal::read(&paths.journal())?);
        let inside = |path: &str| {
            let path = project.join(path);
            let real = |path: &Path| {
                let parent = path.parent()?.canonicalize().ok()?;
                Some(parent.join(path.file_name()?))
            };
            let path = real(&path).unwrap_or(path);
            path.strip_prefix(folder).ok().map(Path::to_owned)
        };
        for variant in variants(project)? {
            let place = BuildRecord::place(project, &variant);
            self.rests_on.on(place.clone());
            let record = BuildRecord::read(&place).map_err(GenerateError::io(&place))?;
            if !record.artifacts.iter().any(|a| inside(&a.path).is_some()) {
                continue;
            }
            let collected = state
                .success(&variant, Stage::Collect)
                .map(|(_, success)| success);
            let written = collected
                .map(|success| success.files.as_slice())
                .unwrap_or_default();
            // A copy has other times than what was judged, and its content is compared below: these
            // are the times before that.
            let now: Vec<_> = written
                .iter()
                .map(|f| stamp(&project.join(&f.path)))
                .collect();
            let not_green = match (collected, state.success(&variant, Stage::Verify)) {
                (Some(collected), Some(_)) => touched(&paths, collected)
                    .map(|what| format!("{what} after its specs had held")),
                (None, _) | (_, None) => Some(match &at_work {
                    Some(pid) => format!("a loop (process {pid}) is at work on it"),
                    None => "its specs did not hold when they ran last".to_owned(),
                }),
            };
            let files = written.iter().zip(now).filter_map(|(file, now)| {
                let (changed, bytes) = now.unwrap_or((file.changed, file.bytes));
                Some(Output {
                    path: inside(&file.path)?,
                    changed,
                    bytes,
                })
            });
            let files = files.collect();
            self.variants.push(Outputs {
                files,
                variant: match project.strip_prefix(folder) {
                    Ok(below) if below != Path::new("") => {
                        format!("{variant} of {}", below.display())
                    }
                    Ok(_) | Err(_) => variant,
                },
                not_green,
            });
        }
        self.at_work = self.at_work.take().or(at_work);
        Ok(())
    }
}

/// Gives when a file was changed last, and its size.
fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some(((meta.ctime(), meta.ctime_nsec()), meta.len()))
}

/// Lists the variants that have a record, in the order of their names.
fn variants(project: &Path) -> Result<Vec<String>, GenerateError> {
    let folder = project.join(".tdg/records");
    let names = || {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .and_then(|n| n.strip_suffix(".json"))
                    .map(str::to_owned),
            );
        }
        names.sort();
        Ok::<_, io::Error>(names)
    };
    names().map_err(GenerateError::io(&folder))
}
