//! The kernel modules that extensions bring.

use super::super::ProbeError;
use super::super::entry::ImagePath;
use super::scope::Scope;
use crate::format::kmod::{index, is_module};
use crate::format::{Entry, FileType, Limits};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const MODULES: &str = "usr/lib/modules/";

/// The kernel modules of extensions, and the kernel they are for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Modules {
    /// The releases of the kernel that the root file system has modules of, by the names of its
    /// directories; or the release that was asked for.
    pub kernels: Vec<String>,
    /// The releases that the extensions have modules of.
    pub releases: Vec<Release>,
    /// Directories of modules for a kernel that the image does not have: nothing ever loads what is
    /// in them. Absent where no kernel is known.
    pub foreign: Option<Vec<ImagePath>>,
    /// Modules for the image's kernel that `modules.dep` does not name: nothing loads them by name.
    pub unlisted: Vec<ImagePath>,
}

/// The modules for one release of the kernel.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "release"))]
pub struct Release {
    /// The name of the directory: `6.18.38-talos`.
    pub release: String,
    /// How many files the extensions have in it.
    pub files: u64,
    /// How many of them are modules.
    pub modules: u64,
    /// The extensions that have some.
    pub layers: Vec<String>,
    /// Whether the image has a `modules.dep` for it.
    pub dependencies: bool,
}

/// Looks at the modules of the extensions looked at.
///
/// # Errors
/// Where a `modules.dep` cannot be read.
pub(super) fn modules(scope: &Scope<'_>, asked: Option<&str>) -> Result<Modules, ProbeError> {
    let kernels: BTreeSet<&str> = match asked {
        Some(kernel) => BTreeSet::from([kernel]),
        None => scope
            .base
            .iter()
            .flat_map(|base| base.entries)
            .filter_map(directory)
            .collect(),
    };
    let known = asked.is_some() || scope.is_whole();
    let mut releases: BTreeMap<&str, Release> = BTreeMap::new();
    let mut modules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (part, entry) in scope.brought() {
        if let Some(release) = directory(entry) {
            releases
                .entry(release)
                .or_insert_with(|| Release::new(release));
        }
        let Some((release, path)) = inside(entry) else {
            continue;
        };
        let found = releases
            .entry(release)
            .or_insert_with(|| Release::new(release));
        found.files += 1;
        if is_module(path) {
            found.modules += 1;
            modules.entry(release).or_default().insert(path);
        }
        if !found.layers.iter().any(|layer| layer == part.name) {
            found.layers.push(part.name.to_owned());
        }
    }
    let mut unlisted = Vec::new();
    for (release, found) in &mut releases {
        let mut own: BTreeSet<&str> = modules.remove(release).unwrap_or_default();
        found.dependencies = strike_out(scope, release, &mut own)?;
        if !known || kernels.contains(release) {
            let path = |path| ImagePath(format!("{MODULES}{release}/{path}"));
            unlisted.extend(own.into_iter().map(path));
        }
    }
    let foreign = releases
        .keys()
        .filter(|release| !kernels.contains(*release));
    let foreign = foreign
        .map(|release| ImagePath(format!("{MODULES}{release}")))
        .collect();
    Ok(Modules {
        foreign: known.then_some(foreign),
        kernels: kernels.into_iter().map(str::to_owned).collect(),
        releases: releases.into_values().collect(),
        unlisted,
    })
}

impl Release {
    fn new(release: &str) -> Self {
        Self {
            release: release.to_owned(),
            files: 0,
            modules: 0,
            layers: Vec::new(),
            dependencies: false,
        }
    }
}

/// Gives the release that a directory of modules is for.
fn directory(entry: &Entry) -> Option<&str> {
    let release = entry.path.strip_prefix(MODULES)?;
    let own = entry.meta.kind == FileType::Directory && !release.contains('/');
    own.then_some(release)
}

/// Gives the release and the path below its directory of a file.
fn inside(entry: &Entry) -> Option<(&str, &str)> {
    let split = entry.path.strip_prefix(MODULES)?.split_once('/');
    split.filter(|_| entry.meta.kind == FileType::File)
}

/// Takes those modules out that `modules.dep` of a release names; tells whether there is one.
fn strike_out(
    scope: &Scope<'_>,
    release: &str,
    modules: &mut BTreeSet<&str>,
) -> Result<bool, ProbeError> {
    let folder = format!("{MODULES}{release}/");
    let path = format!("{folder}modules.dep");
    let found = scope.view.resolve(&path);
    let Some(entry) = found.ok().filter(|e| e.meta.kind == FileType::File) else {
        return Ok(false);
    };
    let text = scope.view.read(entry)?;
    let lines = index::dependencies(&text, &Limits::default());
    for line in lines.map_err(|error| ProbeError::new(format!("/{path}: {error}")))? {
        let name = crate::model::path::normalise(&line.path);
        modules.remove(name.strip_prefix(&folder).unwrap_or(&name));
    }
    Ok(true)
}
