//! The last stage: artifacts that hold become an OCI artifact, with the verdicts attached.
//!
//! Its digest follows from the artifacts, the recipe and the upstream alone: the same on any
//! machine, at any hour, in any folder. It is made only of what is green; what is no longer so is
//! taken away.

mod attestation;
mod build;
mod contents;
mod facts;
mod gzip;
mod layout;
mod manifest;
mod push;
mod report;

use super::artifacts;
use super::error::GenerateError;
use super::event::{LoopEvent, Stage};
use super::inputs::Inputs;
use super::journal::{Packaged, Success, Written};
use super::law::Law;
use super::recipe::{BuildValues, Package, PackageTemplate, Recipe, Variant};
use super::session::{Session, StageEnd, Stop};
use super::verify::{Failure, Place};
use crate::model::size::show_size;
use crate::model::words::quote;
use crate::probe::exec::Stream;
use crate::probe::git::Git;
use crate::probe::record::PatchRecord;
use crate::probe::store;
use contents::Artifact;
use facts::Facts;
use jiff::Timestamp;
use push::{PushLog, Told};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a package is made of: each stage's success, and the commit.
#[derive(Clone, Copy)]
pub(super) struct Made<'m> {
    /// The upstream's commit.
    pub(super) commit: &'m str,
    /// The patches that were applied to it, in order.
    pub(super) series: &'m [PatchRecord],
    /// The collected artifacts.
    pub(super) collected: &'m Success,
    /// The verdicts on them.
    pub(super) verified: &'m Success,
}

/// Gives what a package depends on.
pub(super) fn inputs(
    recipe: &Recipe,
    template: &PackageTemplate,
    (law, made): (&Law, Made<'_>),
    epoch: Option<&str>,
) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add("how it is packaged", format!("{:?}", template.sample));
    inputs.add("the upstream's commit", made.commit);
    inputs.add("the ref of the source", &recipe.source.reference);
    inputs.add("the url of the source", &recipe.source.git);
    inputs.add("the recipe's name", &recipe.name);
    inputs.add("SOURCE_DATE_EPOCH", epoch.unwrap_or_default());
    inputs.add("tdg", env!("CARGO_PKG_VERSION"));
    for patch in made.series {
        inputs.add(format!("the patch {}", patch.name), &patch.sha256);
    }
    for (path, digest) in law {
        inputs.add(path.clone(), digest);
    }
    for file in &made.collected.files {
        inputs.add(file.path.clone(), &file.sha256);
    }
    for judged in &made.verified.judged {
        inputs.add(
            format!("the verdict of {}", judged.trial),
            judged.verdict.name(),
        );
    }
    inputs
}

/// Takes away what was packaged: it is not, or no longer, green.
pub(super) fn withdraw(session: &Session<'_>, variant: &Variant) -> Result<(), Stop> {
    let place = session.paths.project().join(session.paths.package(variant));
    store::remove(&place).map_err(GenerateError::io(&place))?;
    let mut packages = session.locks.packages();
    packages.insert(variant.name.clone(), None);
    Ok(())
}

/// Makes the package in its place, whole or not at all.
pub(super) fn make(
    session: &mut Session<'_>,
    variant: &Variant,
    template: &PackageTemplate,
    made: Made<'_>,
) -> Result<StageEnd, Stop> {
    let created = match date(session, made.commit)? {
        Ok(created) => created,
        Err(why) => return Ok(failed(session.recipe, "error", "its date is known", why)),
    };
    let values = BuildValues {
        variant: variant.name.clone(),
        reference: session.recipe.source.reference.clone(),
        commit: made.commit.to_owned(),
        date: created.strftime("%Y%m%d").to_string(),
    };
    let package = match template.fill(&values) {
        Ok(package) => package,
        Err(why) => {
            return Ok(failed(
                session.recipe,
                "error",
                "the recipe's `package`",
                why,
            ));
        }
    };
    let artifacts = artifacts_of(session, variant, made.collected);
    let same = contents::sameness(&package, &artifacts);
    if let Some(other) = twin(session, variant, &same) {
        let why = format!(
            "{other} and {} have the same artifacts, byte for byte: one of them is not what it is \
             called",
            variant.name
        );
        return Ok(failed(
            session.recipe,
            "fail",
            "each variant is another",
            why,
        ));
    }
    let facts = facts(session, variant, made, created);
    let place = session.paths.package(variant);
    let built = write(session, &place, &package, &artifacts, &facts)?;
    let files = files(session.paths.project(), &place)?;
    let size = files.iter().map(|f| f.bytes).sum();
    let mut summary = format!(
        "sha256:{} in {}, {}",
        built.digest.short(),
        place.display(),
        show_size(size)
    );
    let push = session.options.push || package.push;
    if push {
        if let Some(why) = publish(session, variant, &package, &built)? {
            return Ok(failed(
                session.recipe,
                "error",
                "it is in its registry",
                why,
            ));
        }
        summary.push_str(", pushed and pulled back");
    }
    let packaged = Packaged {
        layout: place.display().to_string(),
        digest: format!("sha256:{}", built.digest),
        attestation: format!("sha256:{}", built.attestation),
        references: package.references(),
        pushed: push,
        same,
    };
    Ok(StageEnd::Done {
        success: Success {
            head: made.collected.head.clone(),
            files,
            package: Some(packaged),
            ..Success::default()
        },
        summary,
    })
}

/// Pushes the package and pulls it back; says why that did not go well.
fn publish(
    session: &mut Session<'_>,
    variant: &Variant,
    package: &Package,
    built: &build::Built,
) -> Result<Option<String>, Stop> {
    let place = session.paths.package(variant);
    let layout = session.paths.project().join(&place);
    let log = PushLog::begin(session, variant)?;
    let back = layout.with_file_name(format!(".{}.back", variant.name));
    if let Some(first) = package.references().first() {
        let tags: Vec<String> = package
            .tags
            .iter()
            .skip(1)
            .map(|t| format!(" --tag {}", quote(t)))
            .collect();
        let command = format!(
            "tdg push {} {}{}",
            quote(&place.display().to_string()),
            quote(&format!("oci://{first}")),
            tags.concat()
        );
        session.emit(&LoopEvent::Command {
            variant: &variant.name,
            command: &command,
            log: &session.recipe.shown(&log.path),
        });
    }
    let deadline = session
        .left()
        .and_then(|left| Instant::now().checked_add(left));
    let (mut log, mut again) = (log, 0);
    let name = variant.name.as_str();
    let published = push::publish(&layout, &back, (package, built), deadline, &mut |told| {
        let line = match &told {
            Told::Step(line) | Told::Again(line) => line,
        };
        log.line(line);
        match told {
            Told::Step(line) => session.emit(&LoopEvent::Line {
                variant: name,
                stream: Stream::Stdout,
                line: &line,
            }),
            Told::Again(line) => {
                again += 1;
                if again <= TOLD {
                    session.note(variant, &line);
                }
            }
        }
    });
    session.check_cancel()?;
    let why = published.map_err(GenerateError::io(&back))?;
    if again > TOLD {
        let more = format!("tried again {} times more", again - TOLD);
        session.note(variant, &more);
    }
    log.line(why.as_deref().unwrap_or("pushed and pulled back"));
    log.end()?;
    Ok(why)
}

/// Of more retries than this only the number is shown; the log has them all.
const TOLD: usize = 10;

/// Gives when the upstream's commit was made, or what `SOURCE_DATE_EPOCH` says.
fn date(session: &Session<'_>, commit: &str) -> Result<Result<Timestamp, String>, Stop> {
    let (text, from) = match &session.options.source_date_epoch {
        Some(epoch) => (epoch.clone(), "SOURCE_DATE_EPOCH"),
        None => {
            let git = Git::at(session.paths.source()).cancel(session.cancel);
            let text = git.ok(&["show", "--no-patch", "--format=%ct", commit])?;
            (text, "the date of the upstream's commit")
        }
    };
    let seconds = text.trim().parse::<i64>().map_err(|_| ());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).map_err(|_| ()));
    Ok(time.map_err(|()| format!("{from} is `{text}`, which is no number of seconds")))
}

fn artifacts_of(
    session: &Session<'_>,
    variant: &Variant,
    collected: &Success,
) -> BTreeMap<String, Artifact> {
    let project = session.paths.project();
    let artifact = |(name, file): (&String, &Written)| {
        let artifact = Artifact {
            path: project.join(&file.path),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        (name.clone(), artifact)
    };
    let names = variant.artifacts.files.iter();
    names.zip(&collected.files).map(artifact).collect()
}

/// Finds another variant whose package has the same artifacts.
fn twin(session: &Session<'_>, variant: &Variant, same: &str) -> Option<String> {
    let others = session
        .recipe
        .variants
        .iter()
        .filter(|v| v.name != variant.name);
    let mut packages = session.locks.packages();
    let is_twin = |other: &&Variant| match packages.get(&other.name) {
        Some(now) => now.as_deref() == Some(same),
        None => {
            let before = session.state.success(&other.name, Stage::Package);
            let before = before.and_then(|(_, success)| success.package.as_ref());
            before.is_some_and(|packaged| packaged.same == same)
        }
    };
    let twin = others.into_iter().find(|other| is_twin(other));
    let now = twin.is_none().then(|| same.to_owned());
    packages.insert(variant.name.clone(), now);
    twin.map(|other| other.name.clone())
}

fn facts(session: &Session<'_>, variant: &Variant, made: Made<'_>, created: Timestamp) -> Facts {
    let recipe = session.recipe;
    let named = |path: &String| match Path::new(path) {
        // Where it lies outside of the project is another place on each machine.
        outside if outside.is_absolute() => {
            let name = outside.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        }
        _ => path.clone(),
    };
    let law = session.law.iter();
    Facts {
        recipe: recipe.name.clone(),
        variant: variant.name.clone(),
        row: variant.row.clone(),
        source: facts::public(&recipe.source.git),
        reference: recipe.source.reference.clone(),
        commit: made.commit.to_owned(),
        created,
        patches: made.series.to_vec(),
        law: law
            .map(|(path, digest)| (named(path), digest.clone()))
            .collect(),
        judged: made.verified.judged.clone(),
    }
}

/// Writes the layout beside its place and puts it there.
fn write(
    session: &Session<'_>,
    place: &Path,
    package: &Package,
    artifacts: &BTreeMap<String, Artifact>,
    facts: &Facts,
) -> Result<build::Built, Stop> {
    let place = session.paths.project().join(place);
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let beside = place.with_file_name(format!(".{name}.new"));
    let write = || {
        store::remove(&beside)?;
        let built = build::build(&beside, package, artifacts, facts)?;
        store::remove(&place)?;
        fs::rename(&beside, &place)?;
        Ok(built)
    };
    let built = write();
    if built.is_err() {
        // The first fault is the one to tell.
        let _ = store::remove(&beside);
    }
    built.map_err(|error| GenerateError::io(&place)(error).into())
}

/// Lists the files of a layout as they were written.
fn files(project: &Path, place: &Path) -> Result<Vec<Written>, Stop> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(project.join(place)).sort_by_file_name() {
        let entry = entry.map_err(|e| GenerateError::io(place)(e.into()))?;
        if entry.file_type().is_file() {
            let path: PathBuf = entry
                .path()
                .strip_prefix(project)
                .unwrap_or(entry.path())
                .into();
            files.push(artifacts::seen(&path, project).map_err(GenerateError::io(&path))?);
        }
    }
    Ok(files)
}

/// Says that a variant cannot be packaged; no remedy of the patches mends that.
fn failed(recipe: &Recipe, verdict: &'static str, check: &str, why: String) -> StageEnd {
    StageEnd::Failed {
        summary: why.clone(),
        failures: vec![Failure {
            trial: Stage::Package.to_string(),
            check: check.to_owned(),
            kind: Stage::Package.to_string(),
            verdict,
            spec: Place {
                file: recipe.shown(&recipe.path),
                line: 1,
            },
            mismatches: Vec::new(),
            hunks: Vec::new(),
            evidence: None,
            message: why.clone(),
        }],
        tail: why,
        far: 0,
    }
}
