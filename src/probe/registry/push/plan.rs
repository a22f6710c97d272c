//! What there is to push, and in which order.

use crate::format::oci::{Descriptor, Digest, Document};
use crate::format::{FormatError, Limits};
use crate::probe::registry::RegistryError;
use crate::probe::registry::folder::{Folder, REF_NAME};
use std::collections::{BTreeMap, BTreeSet};

/// What of a layout is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one thing that it leads to, beside what refers to that.
    Only,
    /// What it leads to under this name, and what refers to it.
    Named(String),
    /// This one, and these beside it; the tags lead to the first. The index of the layout need not
    /// have them.
    These(Descriptor, Vec<Descriptor>),
}

/// A manifest or an index.
pub(super) struct Planned {
    pub descriptor: Descriptor,
    /// What it refers to.
    pub subject: Option<Descriptor>,
}

/// What is to be pushed.
pub(super) struct Plan {
    pub root: Descriptor,
    pub referrers: Vec<Descriptor>,
    /// The largest first: so the last of them ends soon.
    pub blobs: Vec<Descriptor>,
    /// Each after those it leads to.
    pub documents: Vec<Planned>,
}

impl Plan {
    pub fn make(folder: &Folder, which: &Which, limits: &Limits) -> Result<Self, RegistryError> {
        let mut walk = Walk {
            folder,
            limits,
            blobs: BTreeMap::new(),
            documents: Vec::new(),
            seen: BTreeSet::new(),
            read: 0,
        };
        let index = folder.index()?;
        let (root, beside) = match which {
            Which::These(root, beside) => (root.clone(), beside.clone()),
            Which::Named(name) => {
                let is = |d: &&Descriptor| d.annotations.get(REF_NAME) == Some(name);
                let found = index.iter().find(is).cloned();
                let found = found.ok_or_else(|| none(folder, &index, &format!("`{name}`")))?;
                (found, referring(folder, &index, limits)?)
            }
            Which::Only => {
                let beside = referring(folder, &index, limits)?;
                let is_root = |d: &&Descriptor| !beside.iter().any(|b| b.digest == d.digest);
                let roots: BTreeMap<&Digest, &Descriptor> = index
                    .iter()
                    .filter(is_root)
                    .map(|d| (&d.digest, d))
                    .collect();
                match roots.len() {
                    1 => (),
                    _ => return Err(none(folder, &index, "one thing alone")),
                }
                let root = roots.into_values().next().cloned();
                (
                    root.ok_or_else(|| none(folder, &index, "anything"))?,
                    beside,
                )
            }
        };
        walk.document(&root, 0)?;
        let mut referrers = Vec::new();
        // What refers to what is pushed, and what refers to that.
        loop {
            let before = referrers.len();
            for descriptor in &beside {
                let given = matches!(which, Which::These(..));
                if walk.seen.contains(&descriptor.digest) {
                    continue;
                }
                let subject = walk.subject(descriptor)?;
                if given || subject.is_some_and(|s| walk.seen.contains(&s.digest)) {
                    walk.document(descriptor, 0)?;
                    referrers.push(descriptor.clone());
                }
            }
            if referrers.len() == before {
                break;
            }
        }
        let mut blobs: Vec<Descriptor> = walk.blobs.into_values().collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        Ok(Self {
            root,
            referrers,
            blobs,
            documents: walk.documents,
        })
    }
}

/// Finds what of an index refers to something.
fn referring(
    folder: &Folder,
    index: &[Descriptor],
    limits: &Limits,
) -> Result<Vec<Descriptor>, RegistryError> {
    let mut referring = Vec::new();
    for descriptor in index {
        if read(folder, descriptor, limits)?.1.is_some() {
            referring.push(descriptor.clone());
        }
    }
    Ok(referring)
}

fn none(folder: &Folder, index: &[Descriptor], what: &str) -> RegistryError {
    let names: Vec<&str> = index
        .iter()
        .map(|d| {
            d.annotations
                .get(REF_NAME)
                .map_or("(no name)", String::as_str)
        })
        .take(20)
        .collect();
    let names = match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    };
    let what = format!("does not lead to {what}, but to {names}; name one with --ref");
    folder.wrong_root(what)
}

fn read(
    folder: &Folder,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<(Document, Option<Descriptor>), RegistryError> {
    let bytes = folder.document(descriptor, limits)?;
    let document = Document::read(&bytes, &descriptor.media_type)
        .map_err(|error| folder.corrupt(&descriptor.digest.path(), error))?;
    let subject = match &document {
        Document::Index(index) => index.subject.clone(),
        Document::Manifest(manifest) => manifest.subject.clone(),
    };
    Ok((document, subject))
}

struct Walk<'w> {
    folder: &'w Folder,
    limits: &'w Limits,
    blobs: BTreeMap<Digest, Descriptor>,
    documents: Vec<Planned>,
    seen: BTreeSet<Digest>,
    read: u64,
}

impl Walk<'_> {
    fn subject(&self, descriptor: &Descriptor) -> Result<Option<Descriptor>, RegistryError> {
        Ok(read(self.folder, descriptor, self.limits)?.1)
    }

    /// Takes a manifest in, after what it leads to.
    fn document(&mut self, descriptor: &Descriptor, depth: u32) -> Result<(), RegistryError> {
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        self.read += descriptor.size;
        self.bound(depth)?;
        let (document, subject) = read(self.folder, descriptor, self.limits)?;
        let mut descriptor = descriptor.clone();
        let (own, usual) = match &document {
            Document::Index(index) => {
                (&index.media_type, "application/vnd.oci.image.index.v1+json")
            }
            Document::Manifest(manifest) => (
                &manifest.media_type,
                "application/vnd.oci.image.manifest.v1+json",
            ),
        };
        if descriptor.media_type.is_empty() {
            descriptor.media_type = own.clone().unwrap_or_else(|| usual.to_owned());
        }
        match document {
            Document::Index(index) => {
                for inner in &index.manifests {
                    match Document::is_one(&inner.media_type) {
                        true => self.document(inner, depth + 1)?,
                        false => self.blob(inner)?,
                    }
                }
            }
            Document::Manifest(manifest) => {
                self.blob(&manifest.config)?;
                manifest
                    .layers
                    .iter()
                    .try_for_each(|layer| self.blob(layer))?;
            }
        }
        self.documents.push(Planned {
            descriptor,
            subject,
        });
        Ok(())
    }

    /// Takes a blob in; that it is there, and as long as is said, shows before anything is pushed.
    fn blob(&mut self, descriptor: &Descriptor) -> Result<(), RegistryError> {
        self.folder.blob(descriptor)?;
        self.blobs
            .insert(descriptor.digest.clone(), descriptor.clone());
        self.bound(0)
    }

    fn bound(&self, depth: u32) -> Result<(), RegistryError> {
        let limits = self.limits;
        let over = |limit, value: u64| {
            let remedy = "push its images one by one";
            let error = FormatError::Limit {
                format: "oci",
                offset: 0,
                limit,
                value,
                remedy,
            };
            self.folder.corrupt("index.json", error)
        };
        if (self.blobs.len() + self.seen.len()) as u64 > limits.max_entries {
            return Err(over("max_entries", limits.max_entries));
        }
        if self.read > limits.max_listing {
            return Err(over("max_listing", limits.max_listing));
        }
        match depth > limits.max_depth.min(64) {
            true => Err(over("max_depth", u64::from(limits.max_depth.min(64)))),
            false => Ok(()),
        }
    }
}
