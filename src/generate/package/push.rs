//! A package in its registry: pushed with what is attached to it, pulled back, and looked at.

use super::build::Built;
use crate::format::Limits;
use crate::generate::error::GenerateError;
use crate::generate::recipe::{Package, Variant};
use crate::generate::session::{Session, Stop};
use crate::model::size::{show_duration, show_size};
use crate::probe::registry::{
    Event, Name, Options, Progress, RegistryError, Verify, Which, pull, push,
};
use crate::probe::store;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often it is looked whether the work has ended without a word.
const LOOK: Duration = Duration::from_millis(200);

/// What is told while a package is under way, a line each.
pub(super) enum Told {
    /// Something is there, or is known now.
    Step(String),
    /// Something did not go well, and is tried again.
    Again(String),
}

impl Told {
    /// Gives what is worth a line of an event; bytes are not.
    fn of(event: &Event<'_>) -> Option<Self> {
        Some(match event {
            Event::Planned { blobs, bytes } => {
                Self::Step(format!("{blobs} blobs, {}", show_size(*bytes)))
            }
            Event::Blob { digest, size, how } => {
                Self::Step(format!("{digest} {} {}", show_size(*size), how.words()))
            }
            Event::Manifest { digest } => Self::Step(format!("{digest} a manifest")),
            Event::Tag { tag } => Self::Step(format!("the tag {tag}")),
            Event::Retry { what, why, pause } => {
                Self::Again(format!("{what}: {why}; again in {}", show_duration(*pause)))
            }
            Event::Bytes(_) | Event::Back(_) => return None,
        })
    }
}

/// The log of a push: all that was told, a line each.
pub(super) struct PushLog {
    pub(super) path: PathBuf,
    file: fs::File,
    broken: Option<io::Error>,
}

impl PushLog {
    pub(super) fn begin(session: &Session<'_>, variant: &Variant) -> Result<Self, Stop> {
        let attempt = session.state.attempt(&variant.name);
        let path = session
            .paths
            .push_log(session.number, attempt, &variant.name);
        let open = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::File::create(&path)
        };
        let file = open().map_err(GenerateError::io(&path))?;
        Ok(Self {
            path,
            file,
            broken: None,
        })
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Err(error) = writeln!(self.file, "{line}") {
            self.broken.get_or_insert(error);
        }
    }

    /// Says that a line could not be written, if one could not.
    pub(super) fn end(self) -> Result<(), Stop> {
        match self.broken {
            None => Ok(()),
            Some(error) => Err(GenerateError::io(&self.path)(error).into()),
        }
    }
}

/// Pushes a layout under the package's tags, and pulls it back into `back`, a folder of its own;
/// tells what happens while it happens. Says why that did not go well, if it did not.
///
/// # Errors
/// Where a file of this machine cannot be read or written.
pub(super) fn publish(
    layout: &Path,
    back: &Path,
    (package, built): (&Package, &Built),
    deadline: Option<Instant>,
    tell: &mut dyn FnMut(Told),
) -> io::Result<Option<String>> {
    let (sender, told) = mpsc::channel();
    let last = sender.clone();
    let progress: Progress = Arc::new(move |event: &Event<'_>| {
        if let Some(line) = Told::of(event) {
            // Nobody listens only where the work is over.
            let _ = sender.send(Some(line));
        }
    });
    store::remove(back)?;
    let done = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let done = there_and_back(layout, back, (package, built), deadline, &progress);
            let _ = last.send(None);
            done
        });
        loop {
            match told.recv_timeout(LOOK) {
                Ok(Some(line)) => tell(line),
                Err(RecvTimeoutError::Timeout) if !work.is_finished() => {}
                Ok(None) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        work.join()
    });
    let why = match done {
        Ok(Ok(why)) => why,
        Ok(Err(error)) => Some(format!("{error}{}", error.advice())),
        Err(_) => Some("tdg itself failed here (a panic): please report this".into()),
    };
    store::remove(back).map(|()| why)
}

/// Says what is wrong with what has come back; nothing where it is what went.
fn there_and_back(
    layout: &Path,
    back: &Path,
    (package, built): (&Package, &Built),
    deadline: Option<Instant>,
    progress: &Progress,
) -> Result<Option<String>, RegistryError> {
    let usual = Options::default();
    let options = Options {
        referrers: true,
        verify: Verify::Sizes,
        limits: Limits {
            deadline,
            ..usual.limits
        },
        ..usual
    };
    let repository = package.repository.as_deref().unwrap_or_default();
    let Some(first) = package.tags.first() else {
        return Ok(Some("the recipe names no tag to push it as".into()));
    };
    let to = Name::parse(&format!("oci://{repository}:{first}"))?;
    let which = Which::Named(first.clone());
    push(layout, &which, &to, &package.tags, &options, progress)?;
    for tag in &package.tags {
        // What is here already is not fetched twice; each tag is.
        let from = Name::parse(&format!("oci://{repository}:{tag}"))?;
        let pulled = pull(&from, back, &options, progress)?;
        let wanted = format!("sha256:{}", built.digest);
        let found = pulled.root.digest.to_string();
        if found != wanted {
            return Ok(Some(format!(
                "{repository}:{tag} leads to {found} and not to {wanted}: somebody else pushes it"
            )));
        }
        let attached = format!("sha256:{}", built.attestation);
        if !pulled
            .referrers
            .iter()
            .any(|r| r.digest.to_string() == attached)
        {
            return Ok(Some(format!(
                "{repository}:{tag} is there, and its verdicts ({attached}) are not attached to it"
            )));
        }
    }
    Ok(missing(layout, back).map(|name| format!("{repository} has not given {name} back")))
}

/// Names a blob of one layout that the other one lacks, or has in another size; what the other one
/// has was held to its digest when it came.
fn missing(layout: &Path, back: &Path) -> Option<String> {
    let blobs = |folder: &Path| fs::read_dir(folder.join("blobs/sha256"));
    let Ok(own) = blobs(layout) else {
        return Some("its blobs".into());
    };
    own.into_iter().find_map(|blob| {
        let Ok(blob) = blob else {
            return Some("all its blobs, which cannot be listed here".into());
        };
        let there = back.join("blobs/sha256").join(blob.file_name());
        let same = match (blob.metadata(), there.metadata()) {
            (Ok(own), Ok(there)) => own.len() == there.len(),
            (Ok(_) | Err(_), _) => false,
        };
        (!same).then(|| blob.file_name().to_string_lossy().into_owned())
    })
}
