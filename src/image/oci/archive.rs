//! The docker-archive: what `docker save` wrote before it wrote a layout as well.
//!
//! Source: Docker image specification 1.2, "Combined Image JSON + Filesystem
//! Changeset Format". There are no descriptors in it: the name of the
//! configuration holds its digest, and the configuration those of the layers,
//! uncompressed.

use std::sync::Arc;

use super::graph::{Node, NodeContent};
use super::{Form, NAME, Oci, Picture, Reference, layout};
use crate::format::oci::{Config, Listed, listed, verify};
use crate::format::{FormatError, Limits, Tree};

/// The list of images.
const LIST: &str = "manifest.json";

/// Reads the list of images; `None` where there is none.
pub(super) fn list(tree: &dyn Tree) -> Result<Option<Vec<Listed>>, FormatError> {
    if tree.lookup(LIST)?.is_none() {
        return Ok(None);
    }
    let bytes = layout::plain(tree, LIST)?.unwrap_or_default();
    listed(&bytes).map_err(|error| error.inside(LIST))
}

/// Reads an archive; `None` where the tree is none.
pub(super) fn find(tree: &Arc<dyn Tree>, limits: &Limits) -> Result<Option<Oci>, FormatError> {
    let Some(list) = list(&**tree)? else {
        return Ok(None);
    };
    let mut references = Vec::new();
    for listed in &list {
        let path = crate::model::path::normalise(&listed.config);
        let bytes = layout::plain(&**tree, &path)?.ok_or_else(|| {
            let what = format!("the configuration `{path}` is not in the archive");
            FormatError::corrupt(NAME, 0, what)
        })?;
        let digest = listed.config_digest();
        if let Some(digest) = &digest {
            verify(&bytes, digest, None, limits).map_err(|error| error.inside(path.as_str()))?;
        }
        let config = Config::read(&bytes).map_err(|error| error.inside(path.as_str()))?;
        let size = bytes.len() as u64;
        let picture = Picture::of_archive(tree, listed, digest, size, config, limits)?;
        references.push(Reference {
            names: listed.repo_tags.clone(),
            node: Arc::new(Node {
                descriptor: None,
                content: NodeContent::Picture(Arc::new(picture)),
            }),
        });
    }
    Ok(Some(Oci {
        form: Form::DockerArchive,
        docker: true,
        references,
        problems: Vec::new(),
    }))
}
