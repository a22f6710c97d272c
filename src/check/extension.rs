//! `extension`: Talos system extensions inside an initramfs, or one as it is published: listed,
//! present, and what is in them, which Talos itself does not look at.

mod binaries;
mod cri;
mod evidence;
mod modules;
mod overlaps;
mod paths;
mod problems;
mod scope;
mod services;

use super::entry::ImagePath;
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::extensions::{self, Listed};
use crate::format::{Limits, compatibility};
use crate::image::{Image, Talos};
use crate::model::Address;
pub use evidence::{Evidence, Form};
use problems::Problem;
use schemars::JsonSchema;
use scope::{MANIFEST, Packed, ROOT, Scope};
use semver::Version;
use serde::Deserialize;
use std::sync::Arc;

/// The kind.
pub struct TheKind;

/// Which extension, and what it has to fit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Its `metadata.name` in `extensions.yaml`; left out, the check is about all extensions.
    pub name: Option<String>,
    /// The machine its programs have to be for, as `elf` names it: `aarch64`. Left out, the one
    /// that most files of the root file system are for.
    pub machine: Option<String>,
    /// The version of Talos it has to fit: `v1.13.6`. Left out, the one of the image.
    pub talos: Option<String>,
    /// The release of the kernel its modules have to be for: `6.18.38-talos`. Left out, the one
    /// that the root file system has modules of.
    pub kernel: Option<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "extension";
    const SUMMARY: &'static str =
        "a Talos system extension: listed, present, non-empty, and all that is in it";
    const MAIN: Option<&'static str> = Some("name");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where a check asks for it.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: spin is installed, and pods can ask for it
  extension: spin
  in: _out/assets/initramfs-metal-arm64.xz
  expect:
    present: true
    version: { semver: \">=0.21\" }
    files: { contain: /usr/local/bin/containerd-shim-spin-v2 }
    cri: { runtimes: [{ name: spin, resolves: true }], misfits: { len: 0 } }
    disallowed: { len: 0 }
    problems: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &[
        "present",
        "listed",
        "version",
        "compatible",
        "files",
        "needs-configuration",
        "disallowed",
        "foreign",
        "unresolved",
        "problems",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        args.talos().map(drop)
    }

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no initramfs is named"))?;
        let image = context.image(subject)?;
        // An initramfs first: other checks decode it at the same time, and all share what that gives.
        let talos = image.talos();
        if let Ok(Some(talos)) = talos {
            return installed(&image, talos, &args, context);
        }
        if let Some(packed) = Packed::open(&image)? {
            return by_itself(&packed, &args, context);
        }
        talos?;
        Err(ProbeError::new(format!(
            "{subject} holds neither `rootfs.sqsh` nor `extensions.yaml`: no initramfs of Talos"
        ))
        .remedy("look at it with `initramfs` or `tree`; extensions are a part of Talos"))
    }
}

impl Args {
    fn talos(&self) -> Result<Option<Version>, ProbeError> {
        let version = self.talos.as_deref().map(compatibility::talos);
        version.transpose().map_err(ProbeError::new)
    }
}

/// Looks at the extensions of an initramfs.
fn installed(
    image: &Arc<Image>,
    talos: &Talos,
    args: &Args,
    context: &Context<'_>,
) -> Result<Evidence, ProbeError> {
    let mut hollow = Vec::new();
    for extension in &talos.extensions {
        if !extension.present() || extension.empty()? {
            hollow.push(extension.listed.name.clone());
        }
    }
    let named = args.name.as_deref();
    let found = named.and_then(|name| talos.extension(name));
    let mut evidence = Evidence::nothing(Form::Installed);
    if let Some(extension) = found {
        evidence.image_present = extension.present();
        evidence.empty = extension.empty()?;
        evidence.list(extension.entries()?, context);
        evidence.position = Some(extension.position as u64);
        evidence.image = Some(extension.listed.image.clone());
        evidence.describe(&extension.listed);
    }
    evidence.present = match named {
        Some(_) => evidence.image_present && !evidence.empty,
        None => !talos.extensions.is_empty() && hollow.is_empty(),
    };
    evidence.listed = match named {
        Some(_) => found.is_some(),
        None => talos.has_list,
    };
    evidence.hollow = hollow;
    evidence.all = talos
        .extensions
        .iter()
        .map(|e| e.listed.name.clone())
        .collect();
    evidence.duplicates.clone_from(&talos.duplicates);
    evidence.unlisted = talos.unlisted.iter().cloned().map(ImagePath).collect();
    if context.wants("compatible") {
        let version = match args.talos()? {
            Some(asked) => Some(asked),
            None => own_version(talos)?,
        };
        let judged: Vec<&Listed> = match named {
            Some(_) => found.iter().map(|e| &e.listed).collect(),
            None => talos.extensions.iter().map(|e| &e.listed).collect(),
        };
        evidence.compatible = compatible(&judged, version.as_ref());
    }
    if evidence.looks(context)
        && let Some(scope) = Scope::installed(image, talos, named)?
    {
        evidence.look(&scope, args, context)?;
    }
    Ok(evidence)
}

/// Looks at an extension as it is published.
fn by_itself(packed: &Packed, args: &Args, context: &Context<'_>) -> Result<Evidence, ProbeError> {
    let mut problems = Vec::new();
    let missing = |what: &str| Err(format!("there is no {what} of that name; Talos refuses it"));
    let manifest = match &packed.manifest {
        Some(bytes) => {
            extensions::read_manifest(bytes, &Limits::default()).map_err(|e| e.to_string())
        }
        None => missing("file"),
    };
    let name = manifest.as_ref().map_or("", |listed| listed.name.as_str());
    let another = args.name.as_deref().is_some_and(|asked| asked != name);
    if let Err(problem) = &manifest {
        problems.push(Problem::new(MANIFEST, name, problem.clone()));
    }
    let mut evidence = Evidence::nothing(Form::Image);
    let unexpected = packed
        .top
        .iter()
        .filter(|path| ![MANIFEST, ROOT].contains(&path.as_str()));
    evidence.unexpected = Some(unexpected.cloned().map(ImagePath).collect());
    evidence.all = manifest.iter().map(|listed| listed.name.clone()).collect();
    // An extension of another name says nothing about the one that is asked for.
    if another && manifest.is_ok() {
        return Ok(evidence);
    }
    match &packed.root {
        Some((_, entries)) => {
            evidence.image_present = true;
            evidence.empty = crate::image::payload(entries) == 0;
            evidence.list(entries, context);
        }
        None => {
            if let Err(problem) = missing("folder") {
                problems.push(Problem::new(ROOT, name, problem));
            }
        }
    }
    evidence.listed = manifest.is_ok();
    evidence.present = evidence.listed && evidence.image_present && !evidence.empty;
    if !evidence.present {
        evidence.hollow = evidence.all.clone();
    }
    if let Ok(listed) = &manifest {
        evidence.describe(listed);
        evidence.compatible = compatible(&[listed], args.talos()?.as_ref());
    }
    if evidence.looks(context)
        && let Some(scope) = packed.scope(name)?
    {
        evidence.look(&scope, args, context)?;
    }
    let found = evidence.problems.take().unwrap_or_default();
    evidence.problems = Some(problems.into_iter().chain(found).collect());
    Ok(evidence)
}

/// Reads the version of Talos that the root file system says it is.
fn own_version(talos: &Talos) -> Result<Option<Version>, ProbeError> {
    let text = talos.os_release()?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="));
    Ok(version.and_then(|version| compatibility::talos(version.trim_matches('"')).ok()))
}

/// Tells whether a version of Talos is in the range of each of some extensions; `None` where there
/// is no version or no extension. A range that Talos cannot read is one that it is not in.
fn compatible(extensions: &[&Listed], version: Option<&Version>) -> Option<bool> {
    let version = version.filter(|_| !extensions.is_empty())?;
    let fits = |listed: &&Listed| match listed.talos.as_deref() {
        None | Some("") => true,
        Some(range) => compatibility::Range::read(range).is_ok_and(|range| range.holds(version)),
    };
    Some(extensions.iter().all(fits))
}
