//! The services of a Talos root file system, and what of the machine their
//! containers see.

use std::collections::HashMap;

use super::{ImageError, MergedEntry, View};
use crate::format::service::Service;
use crate::format::{FileType, FormatError, Limits};

/// Where the documents are, and where the root of each service is.
///
/// Source: `ExtensionServiceConfigPath` and `ExtensionServiceRootfsPath` of
/// Talos.
const DOCUMENTS: &str = "usr/local/etc/containers/";
pub(super) const ROOTS: &str = "usr/local/lib/containers/";
/// A document is a few kilobytes; the reader refuses what is larger than this.
const MAX_BYTES: usize = (1 << 20) + 1;
/// Bytes of all documents of an image.
const MAX_TOTAL: u64 = 8 << 20;

/// One document, read.
#[derive(Debug, Clone)]
pub struct ServiceFile {
    /// The path of the document.
    pub path: String,
    /// The layer that it came from.
    pub layer: String,
    /// What it says, or why Talos could not read it.
    pub service: Result<Service, String>,
}

impl ServiceFile {
    /// Says what Talos does not take of it, or why it cannot be read; nothing
    /// where it is a service.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        match &self.service {
            Ok(service) => service.faults(),
            Err(error) => vec![error.clone()],
        }
    }
}

/// Gives the root that a service of this name has.
#[must_use]
pub fn root(name: &str) -> String {
    format!("{ROOTS}{name}")
}

/// Reads every document of a view, in the order in which Talos takes them.
///
/// Errors where the image itself cannot be read, or has megabytes of them.
pub(super) fn read(view: &View) -> Result<Vec<ServiceFile>, ImageError> {
    let mut files = Vec::new();
    let mut total = 0;
    let documents = view.entries().iter().filter(|entry| {
        let name = entry.path.strip_prefix(DOCUMENTS);
        name.is_some_and(|name| !name.contains('/') && name.ends_with(".yaml"))
    });
    for entry in documents {
        files.push(ServiceFile {
            path: entry.path.clone(),
            layer: view.layer(entry).to_owned(),
            service: document(view, entry, &mut total)?,
        });
    }
    Ok(files)
}

fn document(
    view: &View,
    entry: &MergedEntry,
    total: &mut u64,
) -> Result<Result<Service, String>, ImageError> {
    let entry = match view.resolve(&entry.path) {
        Ok(entry) if entry.meta.kind == FileType::File => entry,
        Ok(entry) => return Ok(Err(format!("it is a {}", entry.meta.kind.name()))),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let bytes = view.open(entry)?.up_to(0, MAX_BYTES);
    let bytes = bytes.map_err(|error| ImageError::format(view.subject(), error))?;
    *total += bytes.len() as u64;
    if *total > MAX_TOTAL {
        let error = FormatError::Limit {
            format: "service",
            offset: 0,
            limit: "bytes of all services of one image",
            value: MAX_TOTAL,
            remedy: "no image in use has that many; look at how this one was made",
        };
        return Err(ImageError::format(view.subject(), error));
    }
    Ok(Service::read(&bytes, &Limits::default()).map_err(|error| error.to_string()))
}

/// Which paths of each service's root show a part of the machine.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// By root: the path in the container and on the machine, the longest
    /// first.
    by_root: HashMap<String, Vec<(String, String)>>,
}

impl Mounts {
    pub(super) fn of(files: &[ServiceFile]) -> Self {
        let mut by_root: HashMap<String, Vec<(String, String)>> = HashMap::new();
        let taken = files.iter().filter(|file| file.faults().is_empty());
        for service in taken.filter_map(|file| file.service.as_ref().ok()) {
            let Some(name) = &service.name else { continue };
            let path = |path: &str| crate::format::node::normalise(path.as_bytes()).path;
            let mounts = service.mounts().map(|(to, from)| (path(to), path(from)));
            by_root.entry(root(name)).or_default().extend(mounts);
        }
        for mounts in by_root.values_mut() {
            mounts.sort_by_key(|(to, _)| std::cmp::Reverse(to.len()));
        }
        Self { by_root }
    }

    /// Gives the path on the machine of what a container sees at `path`, where
    /// that is shown from the machine; `path` is one in the container.
    pub(super) fn outside(&self, root: &str, path: &str) -> Option<String> {
        let mounts = self.by_root.get(root)?;
        let path = crate::format::node::normalise(path.as_bytes()).path;
        mounts.iter().find_map(|(to, from)| {
            let rest = path.strip_prefix(to.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/') || to.is_empty();
            whole.then(|| format!("{from}/{}", rest.trim_start_matches('/')))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_shows_the_machine_by_whole_components() {
        let text = b"name: zfs\nrestart: always\ncontainer:\n  entrypoint: /zfs\n  mounts:\n  - {source: /lib, destination: /lib, type: bind}\n  - {source: /usr/local/lib, destination: /lib/own}\n  - {source: tmpfs, destination: /tmp, type: tmpfs}\n";
        let file = ServiceFile {
            path: String::new(),
            layer: String::new(),
            service: Ok(Service::read(text, &Limits::default()).unwrap()),
        };
        let mounts = Mounts::of(&[file]);
        let seen = |path| mounts.outside("usr/local/lib/containers/zfs", path);
        assert_eq!(seen("/lib/ld.so").as_deref(), Some("lib/ld.so"));
        assert_eq!(seen("/lib/./own/a").as_deref(), Some("usr/local/lib/a"));
        assert_eq!(seen("/lib").as_deref(), Some("lib/"));
        assert_eq!(seen("/library/ld.so"), None);
        assert_eq!(seen("/tmp/x"), None);
        assert_eq!(mounts.outside("usr/local/lib/containers/x", "/lib/a"), None);
    }
}
