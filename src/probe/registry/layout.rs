//! An image in a registry in the form of an OCI layout.
//!
//! Source: OCI image specification 1.1, `image-layout.md`.

use super::read::Fetched;
use super::session::Session;
use super::{RegistryError, folder, pull};
use crate::format::oci::{Config, Descriptor, Digest, Document, Platform};
use crate::format::tree::Visit;
use crate::format::{Bytes, Entry, FileType, FormatError, Metadata, Source, Tree};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const NAME: &str = "oci-layout";
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const LAYOUT_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
const BLOBS: &str = "blobs";

/// The tree of a layout: two files, and a folder of blobs by digest.
#[derive(Debug)]
pub struct Layout {
    session: Arc<Session>,
    /// What the name leads to.
    root: Descriptor,
    index: Bytes,
    known: Mutex<Known>,
}

/// The blobs that are known to be there.
#[derive(Debug, Default)]
struct Known {
    /// By their path in the layout.
    blobs: BTreeMap<String, Blob>,
    /// Manifests that nobody has looked into yet.
    unread: VecDeque<Descriptor>,
    /// The bytes of all manifests that have been read.
    read: u64,
}

#[derive(Debug, Clone)]
struct Blob {
    descriptor: Descriptor,
    /// The bytes of a manifest; of anything else, they are fetched when they are asked for.
    bytes: Option<Bytes>,
}

impl Layout {
    /// Fetches what the name leads to and, where a platform is asked for, finds it there.
    pub fn open(session: Arc<Session>) -> Result<Self, RegistryError> {
        let name = &session.name;
        let which = name.digest().or(name.tag()).unwrap_or("latest").to_owned();
        let mut root = session.manifest(&which)?;
        let mut document = read(&session, &root)?;
        if let Some(asked) = name.platform.clone() {
            if let Document::Index(index) = &document {
                let chosen = choose(&session, &index.manifests, &asked)?;
                root = fetch(&session, &chosen)?;
                document = read(&session, &root)?;
            }
            check_platform(&session, &document, &asked)?;
        }
        let mut known = Known::default();
        let (descriptor, bytes) = (root.descriptor.clone(), root.bytes);
        known.take(&session, &descriptor, bytes, document)?;
        let layout = Self {
            index: Bytes::new(index_of(&descriptor, session.name.tag())),
            root: descriptor,
            session,
            known: Mutex::new(known),
        };
        Ok(layout)
    }

    /// Gives the digest of what the name leads to.
    pub fn digest(&self) -> &Digest {
        &self.root.digest
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into the manifests that nobody has looked into, until `enough`.
    fn look(&self, enough: impl Fn(&Known) -> bool) -> Result<MutexGuard<'_, Known>, FormatError> {
        let mut known = self.known();
        while !enough(&known) {
            let Some(next) = known.unread.pop_front() else {
                break;
            };
            self.session.limits.check_deadline(NAME, 0)?;
            let looked = fetch(&self.session, &next).and_then(|fetched| {
                let document = read(&self.session, &fetched)?;
                known.take(&self.session, &next, fetched.bytes, document)
            });
            if let Err(error) = looked {
                // Whoever asks again is told the same.
                known.unread.push_front(next);
                return Err(error.into_format());
            }
        }
        Ok(known)
    }

    fn blob(&self, path: &str) -> Result<Option<Blob>, FormatError> {
        let is_one = path.strip_prefix("blobs/").is_some_and(|rest| {
            let digest = rest.replacen('/', ":", 1);
            Digest::parse(&digest).is_ok_and(|digest| digest.path() == path)
        });
        if !is_one {
            return Ok(None);
        }
        let known = self.look(|known| known.blobs.contains_key(path))?;
        Ok(known.blobs.get(path).cloned())
    }

    fn file(&self, path: &str) -> Option<Bytes> {
        match path {
            LAYOUT_FILE => Some(Bytes::new(LAYOUT.to_vec())),
            INDEX_FILE => Some(self.index.clone()),
            _ => None,
        }
    }
}

impl Known {
    /// Takes a manifest in, and notes what it leads to.
    fn take(
        &mut self,
        session: &Session,
        descriptor: &Descriptor,
        bytes: Bytes,
        document: Document,
    ) -> Result<(), RegistryError> {
        self.read += bytes.len() as u64;
        let wrong = |limit, value| RegistryError::Document {
            name: session.name.shown(),
            source: FormatError::Limit {
                format: NAME,
                offset: 0,
                limit,
                value,
                remedy: "name one of its images by its digest",
            },
        };
        let limits = &session.limits;
        if self.read > limits.max_listing {
            return Err(wrong("max_listing", limits.max_listing));
        }
        self.note(descriptor, Some(bytes));
        let (manifests, others) = match document {
            Document::Index(index) => (index.manifests, Vec::new()),
            Document::Manifest(manifest) => (
                Vec::new(),
                [vec![manifest.config], manifest.layers].concat(),
            ),
        };
        for descriptor in manifests {
            let is_known = self.blobs.contains_key(&descriptor.digest.path());
            if !is_known && Document::is_one(&descriptor.media_type) {
                self.unread.push_back(descriptor.clone());
            }
            self.note(&descriptor, None);
        }
        for descriptor in others {
            self.note(&descriptor, None);
        }
        match self.blobs.len() as u64 > limits.max_entries {
            true => Err(wrong("max_entries", limits.max_entries)),
            false => Ok(()),
        }
    }

    fn note(&mut self, descriptor: &Descriptor, bytes: Option<Bytes>) {
        let blob = self
            .blobs
            .entry(descriptor.digest.path())
            .or_insert_with(|| Blob {
                descriptor: descriptor.clone(),
                bytes: None,
            });
        blob.bytes = bytes.or(blob.bytes.take());
    }
}

pub(super) fn read(session: &Session, fetched: &Fetched) -> Result<Document, RegistryError> {
    let read = Document::read(&fetched.bytes, &fetched.descriptor.media_type);
    read.map_err(|source| session.wrong(source))
}

/// Fetches a manifest that another one leads to, and holds it to what that one says of it.
pub(super) fn fetch(session: &Session, descriptor: &Descriptor) -> Result<Fetched, RegistryError> {
    let mut fetched = session.manifest(&descriptor.digest.to_string())?;
    let (size, said) = (fetched.descriptor.size, descriptor.size);
    if size != said {
        let digest = &descriptor.digest;
        let what = format!("the manifest {digest} has {size} bytes; its descriptor says {said}");
        return Err(session.wrong(FormatError::corrupt("oci", 0, what)));
    }
    fetched.descriptor = descriptor.clone();
    Ok(fetched)
}

/// Finds the one image of a platform in an index.
pub(super) fn choose(
    session: &Session,
    manifests: &[Descriptor],
    asked: &str,
) -> Result<Descriptor, RegistryError> {
    let is = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.is(asked));
    let found: Vec<&Descriptor> = manifests.iter().filter(is).collect();
    let names = |list: &mut dyn Iterator<Item = &Platform>| {
        let names: Vec<String> = list.map(ToString::to_string).collect();
        names.join(", ")
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(RegistryError::Platform {
            name: session.name.shown(),
            what: format!(
                "is not there for {asked}; it is for {}",
                names(&mut manifests.iter().filter_map(|d| d.platform.as_ref()))
            ),
        }),
        several => Err(RegistryError::Platform {
            name: session.name.shown(),
            what: format!(
                "is there more than once for {asked} ({}); ask for a variant, or name a digest",
                names(&mut several.iter().filter_map(|d| d.platform.as_ref()))
            ),
        }),
    }
}

/// Holds an image to the platform that was asked for: its own configuration has to say so.
pub(super) fn check_platform(
    session: &Arc<Session>,
    document: &Document,
    asked: &str,
) -> Result<(), RegistryError> {
    let not = |what: String| RegistryError::Platform {
        name: session.name.shown(),
        what,
    };
    let Document::Manifest(manifest) = document else {
        return Err(not(
            "is an index in an index; name one of its images by its digest".into(),
        ));
    };
    let failed = |source| session.wrong(source);
    let config = session.blob(&manifest.config);
    let length = manifest.config.size.min(crate::format::oci::MAX_DOCUMENT);
    let bytes = config
        .up_to(0, usize::try_from(length).unwrap_or(0))
        .map_err(failed)?;
    let platform = Config::read(&bytes).map_err(failed)?.platform;
    match platform {
        Some(platform) if platform.is(asked) => Ok(()),
        // What its index says of the variant, an image need not repeat.
        Some(platform) if asked.starts_with(&format!("{platform}/")) => Ok(()),
        Some(platform) => Err(not(format!("is for {platform}, not for {asked}"))),
        None => Err(not(format!(
            "does not say what it is for; {asked} was asked for"
        ))),
    }
}

/// Writes the index of a layout that holds one thing.
fn index_of(root: &Descriptor, tag: Option<&str>) -> Vec<u8> {
    folder::index_of(&[pull::entry(root, tag)]).into_bytes()
}

fn entry(path: &str, kind: FileType, size: u64) -> Entry {
    // A path has one place in the tree, and no two paths are links to one blob.
    let digest = crate::model::Sha256Digest::of(path.as_bytes()).bytes();
    let inode = digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    Entry {
        path: path.to_owned(),
        meta: Metadata::plain(kind, size),
        inode,
    }
}

impl Tree for Layout {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let blobs: Vec<(String, u64)> = {
            let known = self.look(|_| false)?;
            let blobs = known.blobs.iter();
            blobs
                .map(|(path, blob)| (path.clone(), blob.descriptor.size))
                .collect()
        };
        let directory = |path: &str| entry(path, FileType::Directory, 0);
        visit(directory(BLOBS))?;
        let mut folder = String::new();
        for (path, size) in blobs {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent != folder {
                folder = parent.to_owned();
                visit(directory(&folder))?;
            }
            visit(entry(&path, FileType::File, size))?;
        }
        visit(entry(INDEX_FILE, FileType::File, self.index.len() as u64))?;
        visit(entry(LAYOUT_FILE, FileType::File, LAYOUT.len() as u64))
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        if let Some(bytes) = self.file(path) {
            return Ok(Some(entry(path, FileType::File, bytes.len() as u64)));
        }
        let is_folder = match path {
            "" | BLOBS => true,
            _ => {
                let inside = format!("{path}/");
                let known = self.known();
                known.blobs.keys().any(|blob| blob.starts_with(&inside))
            }
        };
        if is_folder {
            return Ok(Some(entry(path, FileType::Directory, 0)));
        }
        let blob = self.blob(path)?;
        Ok(blob.map(|blob| entry(path, FileType::File, blob.descriptor.size)))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        if let Some(bytes) = self.file(&entry.path) {
            return Ok(Arc::new(bytes));
        }
        match self.blob(&entry.path)? {
            Some(Blob {
                bytes: Some(bytes), ..
            }) => Ok(Arc::new(bytes)),
            Some(blob) => Ok(self.session.blob(&blob.descriptor)),
            None => {
                let what = format!("`{}` is no file", entry.path);
                Err(FormatError::corrupt(NAME, 0, what))
            }
        }
    }
}
