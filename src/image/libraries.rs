//! Where a program's libraries are looked for.

use std::collections::HashMap;

use super::services::{Mounts, ROOTS as CONTAINERS};
use super::{ImageError, MergedEntry, ServiceFile, Unresolved, View};
use crate::format::FileType;
use crate::format::elf::Elf;

const DEFAULTS: [&str; 5] = ["lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib"];
/// A configuration is a few lines.
const MAX_CONFIG: u64 = 64 << 10;

/// The library directories that each root of a view configures, and what of
/// the machine it sees.
#[derive(Debug)]
pub(super) struct Roots {
    configured: HashMap<String, Vec<String>>,
    mounts: Mounts,
}

/// Gives the directory that a program sees as its root: the container that it
/// lies in, or the root file system that it belongs to.
pub(super) fn root_of<'p>(view: &View, path: &'p str) -> &'p str {
    let system = view.root_of(path).len();
    let inside = path.get(system..).unwrap_or_default();
    let start = path.len() - inside.trim_start_matches('/').len();
    let container = path
        .get(start..)
        .and_then(|inside| inside.strip_prefix(CONTAINERS)?.find('/'))
        .and_then(|end| path.get(..start + CONTAINERS.len() + end));
    container.unwrap_or_else(|| path.get(..system).unwrap_or_default())
}

impl Roots {
    /// Reads `ld.so.conf`, the files that distributions include from it, and
    /// musl's path files, of every root.
    ///
    /// Errors where one of them cannot be read.
    pub(super) fn read(view: &View, services: &[ServiceFile]) -> Result<Self, ImageError> {
        let mut configured: HashMap<String, Vec<String>> = HashMap::new();
        for entry in view.entries() {
            let root = root_of(view, &entry.path);
            let path = entry
                .path
                .get(root.len()..)
                .unwrap_or_default()
                .trim_start_matches('/');
            let file = entry.meta.kind == FileType::File && entry.meta.size <= MAX_CONFIG;
            if !file || !is_configuration(path) {
                continue;
            }
            let text = view.read(entry)?;
            let text = String::from_utf8_lossy(&text);
            let lines = text.split(['\n', ':']).map(str::trim);
            let directories = lines
                .filter(|line| line.starts_with('/'))
                .map(str::to_owned);
            configured
                .entry(root.to_owned())
                .or_default()
                .extend(directories);
        }
        Ok(Self {
            configured,
            mounts: Mounts::of(services),
        })
    }

    /// Finds what a path leads to as it is seen from `root`, links followed: in
    /// a container, what is shown from the machine comes before its own.
    pub(super) fn resolve<'v>(
        &self,
        view: &'v View,
        root: &str,
        path: &str,
    ) -> Result<&'v MergedEntry, Unresolved> {
        if let Some(outside) = self.mounts.outside(root, path) {
            return view.resolve(&outside);
        }
        let found = view.resolve_in(root, path);
        // A link of the container may lead to what is shown from the machine.
        if let Err(Unresolved::Missing(missing)) = &found
            && let Some(inside) = missing.strip_prefix(root)
            && let Some(outside) = self.mounts.outside(root, inside)
        {
            return view.resolve(&outside);
        }
        found
    }

    /// Gives the directories in which the libraries of a file are looked for,
    /// in their order and as the file's root sees them.
    ///
    /// Source: `ld.so(8)`: `DT_RPATH` where there is no `DT_RUNPATH`, then
    /// `DT_RUNPATH`, then what `ld.so.conf` names, then the defaults; musl
    /// reads `ld-musl-<arch>.path` in their place.
    pub(super) fn directories(&self, root: &str, entry: &MergedEntry, elf: &Elf) -> Vec<String> {
        let origin = entry
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let origin = origin
            .strip_prefix(root)
            .unwrap_or(origin)
            .trim_start_matches('/');
        let own = if elf.runpath.is_empty() {
            &elf.rpath
        } else {
            &elf.runpath
        };
        let lib = if elf.class == 64 { "lib64" } else { "lib" };
        let mut directories: Vec<String> = own
            .iter()
            .map(|path| {
                path.replace("${ORIGIN}", &format!("/{origin}"))
                    .replace("$ORIGIN", &format!("/{origin}"))
                    .replace("$LIB", lib)
                    .replace("${LIB}", lib)
            })
            .collect();
        directories.extend(self.configured.get(root).into_iter().flatten().cloned());
        if let Some(triplet) = triplet(elf) {
            for base in ["lib", "usr/lib", "usr/local/lib"] {
                directories.push(format!("{base}/{triplet}"));
            }
        }
        directories.extend(DEFAULTS.map(str::to_owned));
        directories
    }
}

fn is_configuration(path: &str) -> bool {
    let Some(name) = path.strip_prefix("etc/ld") else {
        return false;
    };
    let included = name
        .strip_prefix(".so.conf.d/")
        .is_some_and(|name| !name.contains('/') && name.ends_with(".conf"));
    let musl = name.starts_with("-musl-") && name.ends_with(".path");
    name == ".so.conf" || included || musl
}

/// Finds a library; gives its path in the view. `suits` resolves a path, as
/// the file's root sees it, to a library of the right machine.
pub(super) fn search<'v>(
    directories: &[String],
    name: &str,
    suits: impl Fn(&str) -> Option<&'v str>,
) -> Option<String> {
    if name.contains('/') {
        return suits(name).map(str::to_owned);
    }
    let found = directories
        .iter()
        .find_map(|directory| suits(&format!("{directory}/{name}")));
    found.map(str::to_owned)
}

/// Gives Debian's directory name for a machine.
fn triplet(elf: &Elf) -> Option<&'static str> {
    Some(match elf.machine.as_str() {
        "aarch64" => "aarch64-linux-gnu",
        "x86_64" => "x86_64-linux-gnu",
        "i386" => "i386-linux-gnu",
        "arm" => "arm-linux-gnueabihf",
        "riscv64" => "riscv64-linux-gnu",
        "ppc64le" => "powerpc64le-linux-gnu",
        "s390x" => "s390x-linux-gnu",
        "loongarch64" => "loongarch64-linux-gnu",
        _ => return None,
    })
}
