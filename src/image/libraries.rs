//! Where a program's libraries are looked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::merged::{Merged, MergedEntry};
use super::{ImageError, Pattern};
use crate::format::FileType;
use crate::format::elf::Elf;

/// Below this, each directory is the root of a container of its own.
const CONTAINERS: &str = "usr/local/lib/containers/";
const DEFAULTS: [&str; 5] = ["lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib"];
/// A configuration is a few lines.
const MAX_CONFIG: u64 = 64 << 10;

/// The roots of a view, with the library directories that each configures.
pub(super) struct Roots<'a> {
    view: &'a Merged,
    configured: Mutex<HashMap<String, Vec<String>>>,
}

impl<'a> Roots<'a> {
    pub(super) fn new(view: &'a Merged) -> Self {
        Self {
            view,
            configured: Mutex::default(),
        }
    }

    /// Gives the directory that a program sees as its root.
    pub(super) fn of<'p>(&self, path: &'p str) -> &'p str {
        let container = path
            .strip_prefix(CONTAINERS)
            .and_then(|rest| rest.find('/'))
            .and_then(|end| path.get(..CONTAINERS.len() + end));
        container.unwrap_or("")
    }

    /// Gives the directories in which the libraries of a file are looked for,
    /// in their order and as the file's root sees them.
    ///
    /// Source: `ld.so(8)`: `DT_RPATH` where there is no `DT_RUNPATH`, then
    /// `DT_RUNPATH`, then what `ld.so.conf` names, then the defaults; musl
    /// reads `ld-musl-<arch>.path` in their place.
    pub(super) fn directories(
        &self,
        root: &str,
        entry: &MergedEntry,
        elf: &Elf,
    ) -> Result<Vec<String>, ImageError> {
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
        directories.extend(self.configured(root)?);
        if let Some(triplet) = triplet(elf) {
            for base in ["lib", "usr/lib", "usr/local/lib"] {
                directories.push(format!("{base}/{triplet}"));
            }
        }
        directories.extend(DEFAULTS.map(str::to_owned));
        Ok(directories)
    }

    fn configured(&self, root: &str) -> Result<Vec<String>, ImageError> {
        let mut configured = self
            .configured
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(directories) = configured.get(root) {
            return Ok(directories.clone());
        }
        let directories = self.read_configuration(root)?;
        configured.insert(root.to_owned(), directories.clone());
        Ok(directories)
    }

    /// Reads `ld.so.conf`, the files that distributions include from it, and
    /// musl's path files.
    fn read_configuration(&self, root: &str) -> Result<Vec<String>, ImageError> {
        let prefix = if root.is_empty() {
            String::new()
        } else {
            format!("{root}/")
        };
        let names = "{ld.so.conf,ld.so.conf.d/*.conf,ld-musl-*.path}";
        // Only `root` can hold odd characters, and a path is no pattern.
        let Ok(pattern) = Pattern::new(&format!("etc/{names}")) else {
            return Ok(Vec::new());
        };
        let mut directories = Vec::new();
        for entry in self.view.entries() {
            let file = entry.meta.kind == FileType::File && entry.meta.size <= MAX_CONFIG;
            let Some(path) = entry.path.strip_prefix(&prefix).filter(|_| file) else {
                continue;
            };
            if !path.starts_with("etc/ld") || !pattern.matches(path) {
                continue;
            }
            let text = self.view.read(entry)?;
            let text = String::from_utf8_lossy(&text);
            let lines = text.split(['\n', ':']).map(str::trim);
            directories.extend(
                lines
                    .filter(|line| line.starts_with('/'))
                    .map(str::to_owned),
            );
        }
        Ok(directories)
    }
}

/// Finds a library; gives its path in the view.
pub(super) fn search(
    view: &Merged,
    root: &str,
    directories: &[String],
    name: &str,
    elf: &Elf,
) -> Option<String> {
    if name.contains('/') {
        return view.same_machine(root, name, elf).map(str::to_owned);
    }
    directories
        .iter()
        .find_map(|directory| view.same_machine(root, &format!("{directory}/{name}"), elf))
        .map(str::to_owned)
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
