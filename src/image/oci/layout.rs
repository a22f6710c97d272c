//! The OCI image layout, in a folder or in a tar archive.
//!
//! Source: OCI image specification, `image-layout.md`.

use std::collections::HashMap;
use std::sync::Arc;

use super::graph::Graph;
use super::picture::compare;
use super::{Blobs, Form, NAME, Oci, Reference, archive};
use crate::format::oci::{Descriptor, Document, MAX_DOCUMENT, layout_version};
use crate::format::{Bytes, Entry, FileType, FormatError, Limits, Source, Tree};
use crate::image::follow;

/// The annotations that name what an index leads to: that of the specification,
/// and the whole name that containerd keeps.
const NAMES: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// The blobs of a layout.
#[derive(Debug)]
struct Folder {
    tree: Arc<dyn Tree>,
}

impl Blobs for Folder {
    fn find(&self, descriptor: &Descriptor) -> Result<Option<Source>, FormatError> {
        file(&*self.tree, &descriptor.digest.path())
    }
}

/// Opens the file at a path of a layout, links followed inside of it.
///
/// Errors where something else is there, such as a pipe, or a link that leads
/// out.
pub(super) fn file(tree: &dyn Tree, path: &str) -> Result<Option<Source>, FormatError> {
    let Some(entry) = entry(tree, path)? else {
        return Ok(None);
    };
    if entry.meta.size == 0 {
        return Ok(Some(Arc::new(Bytes::default())));
    }
    tree.open(&entry).map(Some)
}

/// Finds the file at a path of a layout.
pub(super) fn entry(tree: &dyn Tree, path: &str) -> Result<Option<Entry>, FormatError> {
    let corrupt = |what: String| Err(FormatError::corrupt(NAME, 0, what));
    match follow::find(tree, path)? {
        Some(entry) if entry.meta.kind == FileType::File => Ok(Some(entry)),
        Some(entry) => corrupt(format!(
            "`{path}` is a {}, not a file",
            entry.meta.kind.name()
        )),
        None => match tree.lookup(path)?.and_then(|entry| entry.meta.target) {
            Some(target) => corrupt(format!(
                "`{path}` is a link to `{target}`, which is not in the layout"
            )),
            None => Ok(None),
        },
    }
}

/// Reads a document of which no descriptor speaks.
pub(super) fn plain(tree: &dyn Tree, path: &str) -> Result<Option<Bytes>, FormatError> {
    let Some(source) = file(tree, path)? else {
        return Ok(None);
    };
    let bytes = source.up_to(0, usize::try_from(MAX_DOCUMENT + 1).unwrap_or(usize::MAX))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let limit = FormatError::Limit {
            format: NAME,
            offset: 0,
            limit: "bytes of a manifest or configuration",
            value: MAX_DOCUMENT,
            remedy: "no layout in use has one that is larger; look at how this one was made",
        };
        return Err(limit.inside(path));
    }
    Ok(Some(bytes))
}

/// Reads a layout; `None` where the tree is none.
pub(super) fn find(
    tree: &Arc<dyn Tree>,
    in_tar: bool,
    limits: &Limits,
) -> Result<Option<Oci>, FormatError> {
    let is_file = |path: &str| {
        let found = tree.lookup(path)?;
        Ok(found.is_some_and(|entry| entry.meta.kind == FileType::File))
    };
    if !is_file("oci-layout")? || !is_file("index.json")? {
        return Ok(None);
    }
    let read = |path: &str| plain(&**tree, path).map(Option::unwrap_or_default);
    let inside = |path: &'static str| move |error: FormatError| error.inside(path);
    layout_version(&read("oci-layout")?).map_err(inside("oci-layout"))?;
    let index = Document::read(&read("index.json")?, "").map_err(inside("index.json"))?;
    let Document::Index(index) = index else {
        let what = "a manifest where a layout has its index";
        return Err(FormatError::corrupt(NAME, 0, what).inside("index.json"));
    };
    let blobs: Arc<dyn Blobs> = Arc::new(Folder {
        tree: Arc::clone(tree),
    });
    let mut graph = Graph::new(&blobs, limits);
    let mut references: Vec<Reference> = Vec::new();
    let mut places = HashMap::new();
    for descriptor in &index.manifests {
        let names = NAMES
            .iter()
            .filter_map(|key| descriptor.annotations.get(*key));
        let names: Vec<String> = names.cloned().collect();
        // Several names of one thing are one reference.
        let place = *places.entry(&descriptor.digest).or_insert(references.len());
        match references.get_mut(place) {
            Some(held) => held.names.extend(names),
            None => references.push(Reference {
                names,
                node: graph.node(descriptor)?,
            }),
        }
    }
    let mut problems = Vec::new();
    let mut docker = false;
    if in_tar && let Some(list) = archive::list(&**tree)? {
        docker = true;
        compare(&mut references, &list, &mut problems);
    }
    for reference in &mut references {
        reference.names.sort();
        reference.names.dedup();
    }
    Ok(Some(Oci {
        form: if in_tar { Form::Archive } else { Form::Layout },
        docker,
        references,
        problems,
    }))
}
