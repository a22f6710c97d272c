//! The kernel modules that extensions bring.

use super::super::ProbeError;
use super::super::entry::ImagePath;
use super::scope::Scope;
use crate::format::kmod::{index, is_module};
use crate::format::{Entry, FileType, Limits};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

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
    let mut modules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
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
            modules.entry(release).or_default().push(path);
        }
        if !found.layers.iter().any(|layer| layer == part.name) {
            found.layers.push(part.name.to_owned());
        }
    }
    let mut unlisted = Vec::new();
    for (release, found) in &mut releases {
        let listed = dependencies(scope, release)?;
        found.dependencies = listed.is_some();
        if known && !kernels.contains(release) {
            continue;
        }
        let listed = listed.unwrap_or_default();
        let own = modules.get(release).into_iter().flatten();
        let missing = own.filter(|path| !listed.contains(**path));
        unlisted.extend(missing.map(|path| ImagePath(format!("{MODULES}{release}/{path}"))));
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

/// Gives the modules that `modules.dep` of a release names, relative to its directory; `None`
/// where there is none.
fn dependencies(scope: &Scope<'_>, release: &str) -> Result<Option<HashSet<String>>, ProbeError> {
    let folder = format!("{MODULES}{release}/");
    let Ok(entry) = scope.view.resolve(&format!("{folder}modules.dep")) else {
        return Ok(None);
    };
    if entry.meta.kind != FileType::File {
        return Ok(None);
    }
    let lines = index::dependencies(&scope.view.read(entry)?, &Limits::default())
        .map_err(|error| ProbeError::new(format!("/{}: {error}", entry.path)))?;
    let names = lines.iter().map(|line| {
        let name = crate::model::path::normalise(&line.path);
        name.strip_prefix(&folder)
            .map_or(name.clone(), str::to_owned)
    });
    Ok(Some(names.collect()))
}
