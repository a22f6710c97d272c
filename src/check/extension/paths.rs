//! Where an extension puts its files, and who may write them.

use super::super::ProbeError;
use super::super::entry::EntryType;
use super::scope::Scope;
use crate::format::{Entry, FileType, Metadata};
use crate::image::Unresolved;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// Where an extension may put files. Source: `AllowedPaths` in
/// `pkg/machinery/extensions/extensions.go` of Talos.
const ALLOWED: [&str; 19] = [
    "etc/cri/conf.d",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/vulkan",
    "usr/bin/ldconfig",
    "usr/bin/nvidia-cdi-hook",
    "usr/bin/nvidia-ctk",
    "usr/bin/nvidia-modprobe",
    "usr/bin/nvidia-pcc",
    "usr/bin/nvidia-smi",
    "usr/bin/nvme",
    "usr/lib/firmware",
    "usr/lib/ld-linux-aarch64.so.1",
    "usr/lib/ld-linux-x86-64.so.2",
    "usr/lib/modules",
    "usr/lib/udev/rules.d",
    "usr/local",
    "usr/share/egl",
    "usr/share/glvnd",
];

/// What a machine makes when it boots; links may lead there.
const MADE_AT_BOOT: [&str; 7] = ["dev", "proc", "run", "sys", "system", "tmp", "var"];

/// A file, directory, link or device that an extension brings.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Brought {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// Its permissions, as four octal digits: `0755`.
    pub mode: String,
    /// Where it points, of a symbolic link.
    pub target: Option<String>,
}

impl Brought {
    fn new(path: &str, meta: &Metadata, layer: &str) -> Self {
        Self {
            path: path.to_owned(),
            layer: layer.to_owned(),
            kind: meta.kind.into(),
            mode: format!("{:04o}", meta.permissions()),
            target: meta.target.clone(),
        }
    }
}

/// Lists those of what the extensions looked at bring that a test finds.
fn those(scope: &Scope<'_>, found: impl Fn(&Entry) -> bool) -> Vec<Brought> {
    let entries = scope.brought().filter(|(_, entry)| found(entry));
    entries
        .map(|(part, entry)| Brought::new(&entry.path, &entry.meta, part.name))
        .collect()
}

/// An entry that is there more than once.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Repeated {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension that has it twice, or `initramfs` where the archive has the extension's own
    /// squashfs image twice.
    pub layer: String,
    /// How often it is there.
    pub count: u64,
}

/// Tells whether a path, without leading `/`, is where Talos lets an extension put files. Whole
/// components are compared: `usr/local-evil` is not under `usr/local`.
fn allowed(path: &str) -> bool {
    ALLOWED.iter().any(|allowed| {
        let rest = path.strip_prefix(allowed);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Lists what lies where it may not. Directories may: they are the way to what is in them.
pub(super) fn disallowed(scope: &Scope<'_>) -> Vec<Brought> {
    those(scope, |e| {
        e.meta.kind != FileType::Directory && !allowed(&e.path)
    })
}

/// Lists what everybody may write and anybody may replace.
pub(super) fn world_writable(scope: &Scope<'_>) -> Vec<Brought> {
    those(scope, |e| writable(e) && !is_sticky(e))
}

/// Lists directories that everybody may write, where only the owner of a file may replace it.
pub(super) fn sticky(scope: &Scope<'_>) -> Vec<Brought> {
    those(scope, |e| writable(e) && is_sticky(e))
}

/// Tells whether everybody may write an entry. The permissions of a link say nothing.
fn writable(entry: &Entry) -> bool {
    entry.meta.kind != FileType::Symlink && entry.meta.permissions() & 0o002 != 0
}

fn is_sticky(entry: &Entry) -> bool {
    entry.meta.kind == FileType::Directory && entry.meta.permissions() & 0o1000 != 0
}

/// Lists what is neither file nor directory nor link.
pub(super) fn special(scope: &Scope<'_>) -> Vec<Brought> {
    those(scope, |entry| match entry.meta.kind {
        FileType::File | FileType::Directory | FileType::Symlink => false,
        FileType::CharDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => true,
    })
}

/// Lists links that lead nowhere, as the program that follows them sees it. Those that lead to
/// what a machine makes when it boots are left out.
///
/// # Errors
/// Where the services of the root file system cannot be read.
pub(super) fn dangling(scope: &Scope<'_>) -> Result<Vec<Brought>, ProbeError> {
    let mut dangling = Vec::new();
    for (owner, entry) in scope
        .owned()
        .filter(|(_, e)| e.meta.kind == FileType::Symlink)
    {
        let root = scope.view.root_of(&entry.path);
        let inside = entry.path.strip_prefix(root).unwrap_or(&entry.path);
        let lost = match scope.view.seen_by(&entry.path, inside)? {
            Ok(_) => false,
            Err(Unresolved::Missing(path)) => {
                let inside = path.strip_prefix(root).unwrap_or(&path);
                let first = inside.trim_start_matches('/').split('/').next();
                !first.is_some_and(|first| MADE_AT_BOOT.contains(&first))
            }
            Err(Unresolved::NotADirectory(_) | Unresolved::Loop) => true,
        };
        if lost {
            dangling.push(Brought::new(&entry.path, &entry.meta, owner));
        }
    }
    Ok(dangling)
}

/// Lists what is there more than once: in the archive, or in the extension's own image. Who reads
/// it takes one of them, and another reader another. `None` where a container shows only the last
/// of several.
pub(super) fn repeated(scope: &Scope<'_>) -> Option<Vec<Repeated>> {
    const TELL: [&str; 2] = ["squashfs", "folder"];
    if !scope
        .parts
        .iter()
        .all(|part| TELL.contains(&part.tree.format()))
    {
        return None;
    }
    let images = scope.images.iter().filter(|(_, count)| *count > 1);
    let mut repeated: Vec<Repeated> = images
        .map(|(path, count)| Repeated {
            path: crate::model::path::normalise(path),
            layer: "initramfs".to_owned(),
            count: *count,
        })
        .collect();
    for part in &scope.parts {
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for entry in part.entries {
            *seen.entry(&entry.path).or_default() += 1;
        }
        let mut twice: Vec<_> = seen.into_iter().filter(|(_, count)| *count > 1).collect();
        twice.sort_unstable();
        repeated.extend(twice.into_iter().map(|(path, count)| Repeated {
            path: path.to_owned(),
            layer: part.name.to_owned(),
            count,
        }));
    }
    Some(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_component() {
        for path in [
            "usr/local/bin/a",
            "usr/local",
            "etc/cri/conf.d/10-spin.part",
            "usr/lib/modules/6.1/a.ko",
            "etc/ld.so.conf",
            "usr/bin/nvidia-smi",
        ] {
            assert!(allowed(path), "{path}");
        }
        for path in [
            "usr/local-evil/bin/a",
            "usr/bin/nvidia-smi2",
            "etc/ld.so.conf.d/a.conf",
            "usr/lib/modules.dep",
            "rootfs/usr/local/bin/a",
            "etc/cri/containerd.toml",
            "usr",
        ] {
            assert!(!allowed(path), "{path}");
        }
    }
}
