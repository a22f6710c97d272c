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
}

/// The artifacts of one variant that lie in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The variant.
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

/// Lists what loops left in a folder, by variant; nothing where no loop collects into it.
///
/// # Errors
/// Where the folder, a record or the journal cannot be read.
pub fn outputs(folder: &Path) -> Result<Left, GenerateError> {
    let named = std::path::absolute(folder).map_err(GenerateError::io(folder))?;
    let folder = folder.canonicalize().map_err(GenerateError::io(folder))?;
    let mut rests_on = RestsOn::default();
    let mut own = |project: &&Path| {
        let own = project.join(".tdg");
        for name in ["records", "loop.lock"] {
            rests_on.on(own.join(name));
        }
        own.join("records").is_dir() || own.join("loop.lock").is_file()
    };
    // A link on the way into a project leads to it as the folder's own place does.
    let Some(project) = folder.ancestors().chain(named.ancestors()).find(&mut own) else {
        return Ok(Left {
            rests_on,
            ..Left::default()
        });
    };
    let paths = Paths::new(project);
    rests_on.on(paths.journal());
    // Before anything else is looked at: a loop that begins later changes what is judged here.
    let at_work = guard::holder(&paths.guard())?;
    let of_loops = OF_LOOPS.iter().filter_map(|place| {
        let place = project.join(place).canonicalize().ok()?;
        match folder.starts_with(&place) {
            true => Some(PathBuf::new()),
            false => place.strip_prefix(&folder).ok().map(Path::to_owned),
        }
    });
    let of_loops = of_loops.collect();
    let state = State::replay(&journal::read(&paths.journal())?);
    let mut all = Vec::new();
    for variant in variants(project)? {
        let place = BuildRecord::place(project, &variant);
        rests_on.on(place.clone());
        let record = BuildRecord::read(&place).map_err(GenerateError::io(&place))?;
        let inside = |path: &str| {
            let path = project.join(path);
            let real = |path: &Path| {
                let parent = path.parent()?.canonicalize().ok()?;
                Some(parent.join(path.file_name()?))
            };
            let path = real(&path).unwrap_or(path);
            path.strip_prefix(&folder).ok().map(Path::to_owned)
        };
        if !record.artifacts.iter().any(|a| inside(&a.path).is_some()) {
            continue;
        }
        let collected = state
            .success(&variant, Stage::Collect)
            .map(|(_, success)| success);
        let written = collected
            .map(|success| success.files.as_slice())
            .unwrap_or_default();
        // A copy has other times than what was judged, and its content is compared below: these are
        // the times before that.
        let now: Vec<_> = written
            .iter()
            .map(|f| stamp(&project.join(&f.path)))
            .collect();
        let not_green = match (collected, state.success(&variant, Stage::Verify)) {
            (Some(collected), Some(_)) => {
                touched(&paths, collected).map(|what| format!("{what} after its specs had held"))
            }
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
        all.push(Outputs {
            files: files.collect(),
            variant,
            not_green,
        });
    }
    Ok(Left {
        variants: all,
        of_loops,
        at_work,
        rests_on,
    })
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
