//! What extensions add to the configuration of the container runtime.

use super::super::ProbeError;
use super::problems::Problem;
use super::scope::{Scope, file_name};
use crate::format::cri::{Config, Runtime as Written, shim};
use crate::format::{FileType, Limits};
use crate::image::MergedEntry;
use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;
use std::collections::BTreeMap;

/// Source: `EtcCRIConfdPath` and `CRIContainerdConfig` of Talos.
const PARTS: &str = "etc/cri/conf.d/";
const CONFIG: &str = "etc/cri/containerd.toml";
const PROGRAM: &str = "usr/bin/containerd";
/// Where containerd looks for shims. Source: `PATH` in `pkg/machinery/constants/environment.go` of
/// Talos; versions before 1.13 have the last three as well.
const SEARCHED: [&str; 6] = [
    "usr/bin",
    "usr/local/sbin",
    "usr/local/bin",
    "usr/sbin",
    "sbin",
    "bin",
];
/// Larger parts are refused as that.
const MAX_BYTES: usize = (1 << 20) + 1;
/// Bytes of all parts of an image.
const MAX_TOTAL: usize = 8 << 20;
/// The packages of containerd 2.x have another name than those of 1.x, and a program written in Go
/// holds the names of its packages.
const PACKAGES: [(&[u8], u64); 2] = [
    (b"github.com/containerd/containerd/v2/", 2),
    (b"github.com/containerd/containerd/", 1),
];

/// The parts of containerd's configuration that extensions bring, and what they ask for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Cri {
    /// The major version of containerd that the image has: by the version of
    /// `/etc/cri/containerd.toml` (3 is containerd 2), or by what is in the program; or the one of
    /// the Talos version that was asked for. Absent where nothing tells.
    pub containerd: Option<u64>,
    /// The parts that the extensions bring, as far as they can be read.
    pub parts: Vec<Part>,
    /// The runtimes that they add.
    pub runtimes: Vec<Runtime>,
    /// Settings for a plugin that the image's containerd does not have, and so passes over in
    /// silence. Absent where nothing tells which containerd it has.
    pub misfits: Option<Vec<Misfit>>,
    /// What the runtimes name and is not there: shims, programs, configurations. Absent of an
    /// extension by itself: it may be in the root file system.
    pub missing: Option<Vec<Missing>>,
}

/// A part of containerd's configuration.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Part {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// The version that it gives itself.
    pub version: Option<u64>,
    /// The plugins that it has settings for.
    pub plugins: Vec<String>,
}

/// A runtime that pods may ask for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Runtime {
    /// Its name, which a `RuntimeClass` names as its handler.
    pub name: String,
    /// The part that adds it.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// The plugin that it is written under.
    pub plugin: String,
    /// Its `runtime_type`: `io.containerd.spin.v2`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The program that containerd starts for it: `containerd-shim-spin-v2`.
    pub shim: Option<String>,
    /// Where that program is; absent where it is not there.
    #[schemars(extend("format" = "image-path"))]
    pub program: Option<String>,
    /// Whether that program is there and may be run.
    pub resolves: bool,
}

/// Settings for a plugin of another containerd.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Misfit {
    /// The part, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// The plugin.
    pub plugin: String,
    /// The major version of the containerd that has this plugin.
    pub containerd: u64,
}

/// Something that a runtime names and the image does not have.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct Missing {
    /// What is not there: the name of a program, or a path.
    pub file: String,
    /// The runtime that names it.
    pub runtime: String,
    /// The part that does.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
}

/// A part, and whether it can be read.
struct Found<'a> {
    path: &'a str,
    /// The extension, of those looked at, that it comes from.
    owner: Option<&'a str>,
    config: Result<Config, String>,
}

/// Looks at the parts that the extensions looked at bring.
///
/// # Errors
/// Where the root file system cannot be read.
pub(super) fn cri(scope: &Scope<'_>, talos: Option<&Version>) -> Result<Cri, ProbeError> {
    let parts = parts(scope)?;
    let containerd = match (generation(scope)?, talos) {
        (Some(found), _) => Some(found),
        // Talos has containerd 2, and files of version 3, since 1.8.
        (None, Some(talos)) => Some(if *talos >= Version::new(1, 8, 0) {
            2
        } else {
            1
        }),
        (None, None) => None,
    };
    // What one part says of a runtime, another may go on with.
    let mut types: BTreeMap<&str, &Written> = BTreeMap::new();
    for runtime in parts
        .iter()
        .flat_map(|p| p.config.iter().flat_map(|c| &c.runtimes))
    {
        if runtime.kind.is_some() || runtime.path.is_some() {
            types.insert(&runtime.name, runtime);
        }
    }
    let mut cri = Cri {
        containerd,
        parts: Vec::new(),
        runtimes: Vec::new(),
        misfits: containerd.map(|_| Vec::new()),
        missing: scope.is_whole().then(Vec::new),
    };
    for part in &parts {
        if let (Some(owner), Ok(config)) = (part.owner, &part.config) {
            cri.add(scope, part.path, owner, config, &types)?;
        }
    }
    Ok(cri)
}

impl Cri {
    fn add(
        &mut self,
        scope: &Scope<'_>,
        path: &str,
        owner: &str,
        config: &Config,
        types: &BTreeMap<&str, &Written>,
    ) -> Result<(), ProbeError> {
        let (path, layer) = (path.to_owned(), owner.to_owned());
        self.parts.push(Part {
            path: path.clone(),
            layer: layer.clone(),
            version: config.version,
            plugins: config.plugins.iter().map(|p| p.name.clone()).collect(),
        });
        if let (Some(misfits), Some(own)) = (&mut self.misfits, self.containerd) {
            let others = config.plugins.iter().filter_map(|plugin| {
                let containerd = plugin.containerd.filter(|containerd| *containerd != own)?;
                Some(Misfit {
                    path: path.clone(),
                    layer: layer.clone(),
                    plugin: plugin.name.clone(),
                    containerd,
                })
            });
            misfits.extend(others);
        }
        for runtime in &config.runtimes {
            let typed = types.get(runtime.name.as_str()).copied().unwrap_or(runtime);
            let named = typed.path.clone();
            let named = named.or_else(|| typed.kind.as_deref().and_then(shim));
            let program = named.as_deref().and_then(|name| program(scope, name));
            let missing = |file: String| Missing {
                file,
                runtime: runtime.name.clone(),
                path: path.clone(),
                layer: layer.clone(),
            };
            if let Some(list) = &mut self.missing {
                if program.is_none() {
                    let nothing = || "runtime_type".to_owned();
                    list.push(missing(named.clone().unwrap_or_else(nothing)));
                }
                let absent = |file: &&String| scope.view.resolve(file).is_err();
                list.extend(runtime.files.iter().filter(absent).cloned().map(missing));
            }
            self.runtimes.push(Runtime {
                name: runtime.name.clone(),
                path: path.clone(),
                layer: layer.clone(),
                plugin: runtime.plugin.clone(),
                kind: typed.kind.clone(),
                shim: named,
                resolves: program.is_some(),
                program,
            });
        }
        Ok(())
    }
}

/// Says which parts cannot be read: with one of them, Talos makes no configuration at all, and the
/// container runtime does not start.
///
/// # Errors
/// Where the root file system cannot be read.
pub(super) fn problems(scope: &Scope<'_>) -> Result<Vec<Problem>, ProbeError> {
    let own = config(scope)?.and_then(|config| config.version);
    let mut problems = Vec::new();
    for part in parts(scope)? {
        let Some(owner) = part.owner else { continue };
        match part.config {
            Err(error) => problems.push(Problem::new(part.path, owner, error)),
            Ok(config) => {
                // Source: `LoadConfigWithPlugins` of containerd.
                if let (Some(version), Some(own)) = (config.version, own)
                    && version > own
                {
                    let said = format!(
                        "its version is {version} and that of /{CONFIG} {own}; containerd takes none above that"
                    );
                    problems.push(Problem::new(part.path, owner, said));
                }
            }
        }
    }
    Ok(problems)
}

/// Reads every part of the view, in the order in which Talos merges them.
fn parts<'a>(scope: &Scope<'a>) -> Result<Vec<Found<'a>>, ProbeError> {
    let mut parts = Vec::new();
    let mut left = MAX_TOTAL;
    for entry in scope.view.entries() {
        let name = entry.path.strip_prefix(PARTS);
        let part = name.is_some_and(|name| !name.contains('/') && name.ends_with(".part"));
        // Talos passes over directories.
        if part && entry.meta.kind != FileType::Directory {
            parts.push(Found {
                path: &entry.path,
                owner: scope.owner(entry),
                config: read(scope, entry, &mut left)?,
            });
        }
    }
    Ok(parts)
}

/// Reads a part, and takes its bytes from those that are left.
fn read(
    scope: &Scope<'_>,
    entry: &MergedEntry,
    left: &mut usize,
) -> Result<Result<Config, String>, ProbeError> {
    let file = match scope.view.resolve(&entry.path) {
        Ok(file) if file.meta.kind == FileType::File => file,
        Ok(file) => return Ok(Err(format!("it is a {}", file.meta.kind.name()))),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let bytes = scope.view.open(file)?.up_to(0, MAX_BYTES);
    let bytes = bytes.map_err(|error| ProbeError::new(format!("/{}: {error}", file.path)))?;
    *left = left.checked_sub(bytes.len()).ok_or_else(|| {
        ProbeError::new(format!(
            "the parts in /{PARTS} have more than {MAX_TOTAL} bytes"
        ))
        .remedy("no image in use has that many; look at how this one was made")
    })?;
    Ok(Config::read(&bytes, &Limits::default()).map_err(|error| error.to_string()))
}

/// Reads the configuration that imports the parts; `None` where there is none.
fn config(scope: &Scope<'_>) -> Result<Option<Config>, ProbeError> {
    let Some(entry) = scope.view.get(CONFIG) else {
        return Ok(None);
    };
    let mut left = MAX_TOTAL;
    Ok(read(scope, entry, &mut left)?.ok())
}

/// Finds out which containerd the image has.
fn generation(scope: &Scope<'_>) -> Result<Option<u64>, ProbeError> {
    if let Some(version) = config(scope)?.and_then(|config| config.version) {
        return Ok(Some(if version >= 3 { 2 } else { 1 }));
    }
    let Ok(program) = scope.view.resolve(PROGRAM) else {
        return Ok(None);
    };
    let bytes = scope.view.read(program)?;
    let holds = |name: &[u8]| memchr::memmem::find(&bytes, name).is_some();
    Ok(PACKAGES
        .iter()
        .find(|(name, _)| holds(name))
        .map(|(_, major)| *major))
}

/// Finds a program by its path, or by its name where containerd looks for it.
fn program(scope: &Scope<'_>, name: &str) -> Option<String> {
    let runs = |path: &str| {
        let entry = scope.view.resolve(path).ok()?;
        let runs = entry.meta.kind == FileType::File && entry.meta.permissions() & 0o111 != 0;
        runs.then(|| entry.path.clone())
    };
    if name.contains('/') {
        return runs(name);
    }
    SEARCHED
        .iter()
        .find_map(|folder| runs(&format!("{folder}/{}", file_name(name))))
}
