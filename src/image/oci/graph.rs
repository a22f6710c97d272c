//! From descriptors to manifests, through indexes of indexes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Blobs, NAME, Picture};
use crate::format::oci::{Descriptor, Digest, Document, Index, MAX_DOCUMENT, verify};
use crate::format::{Bytes, FormatError, Limits};

/// Indexes below one another.
const MAX_DEPTH: usize = 8;
/// Manifests and indexes of one layout, and their bytes.
const MAX_DOCUMENTS: u64 = 4096;
const MAX_BYTES: u64 = 64 << 20;

/// What a descriptor leads to.
#[derive(Debug)]
pub struct Node {
    /// The descriptor; `None` in a docker-archive, which has none.
    pub descriptor: Option<Descriptor>,
    /// What is there.
    pub content: NodeContent,
}

/// What there is at the end of a descriptor.
#[derive(Debug)]
pub enum NodeContent {
    /// A list of others.
    Index(Box<Index>, Vec<Arc<Node>>),
    /// An image or an artifact.
    Picture(Arc<Picture>),
    /// Its blob is not there: `docker save` keeps the index and leaves other
    /// platforms out.
    Absent,
    /// A blob that is no manifest.
    Other,
}

impl Node {
    /// Gives the images and artifacts that it leads to, each once.
    #[must_use]
    pub fn pictures(&self) -> Vec<&Arc<Picture>> {
        let mut found = Vec::new();
        let mut met = Met::new();
        self.collect(&mut found, &mut met);
        found
    }

    fn collect<'n>(&'n self, found: &mut Vec<&'n Arc<Picture>>, met: &mut Met) {
        // Many lists may name one manifest; it is walked once.
        if !met.insert(std::ptr::from_ref(self)) {
            return;
        }
        match &self.content {
            NodeContent::Index(_, nodes) => {
                nodes.iter().for_each(|node| node.collect(found, met));
            }
            NodeContent::Picture(picture) => found.push(picture),
            NodeContent::Absent | NodeContent::Other => {}
        }
    }

    /// Lists the manifests that it leads to, and whether each is there.
    pub(super) fn listed<'n>(&'n self, found: &mut Vec<(&'n Descriptor, bool)>, met: &mut Met) {
        if !met.insert(std::ptr::from_ref(self)) {
            return;
        }
        match &self.content {
            NodeContent::Index(_, nodes) => nodes.iter().for_each(|node| node.listed(found, met)),
            NodeContent::Picture(_) | NodeContent::Absent | NodeContent::Other => {
                let present = matches!(self.content, NodeContent::Picture(_));
                found.extend(
                    self.descriptor
                        .as_ref()
                        .map(|descriptor| (descriptor, present)),
                );
            }
        }
    }
}

/// The nodes that a walk has come by.
type Met = HashSet<*const Node>;

/// Reads manifests, each once.
pub(super) struct Graph<'g> {
    blobs: &'g Arc<dyn Blobs>,
    limits: &'g Limits,
    known: HashMap<Digest, Arc<Node>>,
    /// The indexes that are being read, from the outermost on.
    open: Vec<Digest>,
    documents: u64,
    bytes: u64,
}

impl<'g> Graph<'g> {
    pub(super) fn new(blobs: &'g Arc<dyn Blobs>, limits: &'g Limits) -> Self {
        Self {
            blobs,
            limits,
            known: HashMap::new(),
            open: Vec::new(),
            documents: 0,
            bytes: 0,
        }
    }

    /// Reads what a descriptor leads to.
    pub(super) fn node(&mut self, descriptor: &Descriptor) -> Result<Arc<Node>, FormatError> {
        let digest = &descriptor.digest;
        if !Document::is_one(&descriptor.media_type) {
            return Ok(Arc::new(Node {
                descriptor: Some(descriptor.clone()),
                content: NodeContent::Other,
            }));
        }
        if self.open.contains(digest) {
            let what = format!("the index {digest} leads back to itself");
            return Err(FormatError::corrupt(NAME, 0, what));
        }
        if let Some(node) = self.known.get(digest)
            && node.descriptor.as_ref() == Some(descriptor)
        {
            return Ok(Arc::clone(node));
        }
        self.documents += 1;
        // One that is too large itself says so.
        self.bytes = self.bytes.saturating_add(descriptor.size.min(MAX_DOCUMENT));
        for (limit, is, value) in [
            (
                "indexes below one another",
                self.open.len() as u64,
                MAX_DEPTH as u64 - 1,
            ),
            ("manifests", self.documents, MAX_DOCUMENTS),
            ("bytes of all manifests", self.bytes, MAX_BYTES),
        ] {
            if is > value {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: 0,
                    limit,
                    value,
                    remedy: "no image in use has that many; look at how this one was made",
                });
            }
        }
        self.open.push(digest.clone());
        let content = self.content(descriptor);
        self.open.pop();
        let inside = |error: FormatError| match self.open.is_empty() {
            true => error.inside(digest.path()),
            // The outermost index says where it is.
            false => error,
        };
        let node = Arc::new(Node {
            descriptor: Some(descriptor.clone()),
            content: content.map_err(inside)?,
        });
        self.known.insert(digest.clone(), Arc::clone(&node));
        Ok(node)
    }

    fn content(&mut self, descriptor: &Descriptor) -> Result<NodeContent, FormatError> {
        let Some(bytes) = document(&**self.blobs, descriptor, self.limits)? else {
            return Ok(NodeContent::Absent);
        };
        match Document::read(&bytes, &descriptor.media_type)? {
            Document::Index(index) => {
                let nodes = index.manifests.iter().map(|child| self.node(child));
                let nodes = nodes.collect::<Result<_, _>>()?;
                Ok(NodeContent::Index(Box::new(index), nodes))
            }
            Document::Manifest(manifest) => {
                let picture = Picture::of_manifest(descriptor, manifest, self.blobs, self.limits)?;
                Ok(NodeContent::Picture(Arc::new(picture)))
            }
        }
    }
}

/// Reads a blob that is a document, and holds it against its descriptor; `None`
/// says that it is not there.
pub(super) fn document(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<Option<Bytes>, FormatError> {
    if descriptor.size > MAX_DOCUMENT {
        return Err(FormatError::Limit {
            format: NAME,
            offset: 0,
            limit: "bytes of a manifest or configuration",
            value: MAX_DOCUMENT,
            remedy: "registries take none that is larger; look at how this one was made",
        });
    }
    let Some(source) = blobs.find(descriptor)? else {
        return Ok(None);
    };
    // One byte more than it ought to have tells that it has more.
    let length = usize::try_from(descriptor.size + 1).unwrap_or(usize::MAX);
    let bytes = source.up_to(0, length)?;
    verify(&bytes, &descriptor.digest, Some(descriptor.size), limits)?;
    Ok(Some(bytes))
}
