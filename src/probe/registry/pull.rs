//! From a registry into a layout.

use super::folder::{Folder, REF_NAME};
use super::landing::Landing;
use super::layout::{check_platform, choose, fetch, read};
use super::read::Fetched;
use super::session::{Session, lost};
use super::transfer::{Event, Failed, How, Meter, Options, Progress, each, retried, total};
use super::{Name, RegistryError, referrers};
use crate::format::oci::{Descriptor, Digest, Document};
use crate::format::{FormatError, Limits};
use crate::probe::http::HttpError;
use reqwest::Method;
use reqwest::header::RANGE;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a pull has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What the name leads to.
    pub root: Descriptor,
    /// What refers to it, as far as that was asked for.
    pub referrers: Vec<Descriptor>,
    /// The manifests and indexes.
    pub manifests: usize,
    /// All other blobs.
    pub blobs: usize,
    /// The bytes of all of them.
    pub bytes: u64,
    /// The bytes that went over.
    pub carried: u64,
}

/// Pulls an image, an index or an artifact into a layout in a folder, which is made where it is
/// not there. What the layout leads to already stays; what has the same name gives way.
///
/// Each blob comes into a file of its own and has been held to its digest and size before it
/// is at its place; `index.json` is written last. What came in part is gone on with the next time.
///
/// # Errors
/// See [`RegistryError`]. Then the layout leads to what it led to before.
pub fn pull(
    from: &Name,
    into: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<Pulled, RegistryError> {
    let session = Session::new(from.clone(), &options.limits, None, options.patience)?;
    session.tell(progress);
    let folder = Folder::make(into)?;
    let mut pull = Pull {
        session: &session,
        folder: &folder,
        options,
        progress,
        blobs: BTreeMap::new(),
        manifests: BTreeMap::new(),
        referrers: Vec::new(),
        read: 0,
        carried: AtomicU64::new(0),
    };
    let root = match pull.root() {
        Ok(root) => root,
        Err(error) => {
            folder.give_up();
            return Err(error);
        }
    };
    pull.blobs()?;
    let mut entries = vec![entry(&root, from.tag())];
    entries.extend(pull.referrers.iter().map(|referrer| entry(referrer, None)));
    folder.lead_to(entries)?;
    let all = pull.blobs.values().chain(pull.manifests.values());
    let pulled = Pulled {
        root,
        manifests: pull.manifests.len(),
        blobs: pull.blobs.len(),
        bytes: total(all.map(|descriptor| descriptor.size)),
        carried: pull.carried.load(Ordering::Relaxed) + pull.read,
        referrers: std::mem::take(&mut pull.referrers),
    };
    folder.tidy();
    Ok(pulled)
}

/// Writes a descriptor for an index.
pub(super) fn entry(descriptor: &Descriptor, tag: Option<&str>) -> Value {
    let mut entry = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.to_string(),
        "size": descriptor.size,
    });
    let Some(fields) = entry.as_object_mut() else {
        return entry;
    };
    if let Some(kind) = &descriptor.artifact_type {
        fields.insert("artifactType".into(), json!(kind));
    }
    let mut annotations = descriptor.annotations.clone();
    if let Some(tag) = tag {
        annotations.insert(REF_NAME.into(), tag.into());
    }
    if !annotations.is_empty() {
        fields.insert("annotations".into(), json!(annotations));
    }
    if let Some(platform) = &descriptor.platform {
        let mut written = json!({ "os": platform.os, "architecture": platform.architecture });
        if let (Some(parts), Some(variant)) = (written.as_object_mut(), &platform.variant) {
            parts.insert("variant".into(), json!(variant));
        }
        fields.insert("platform".into(), written);
    }
    entry
}

/// Tells whether the same may go well where it is asked again: what came broken may come whole.
pub(super) fn may_mend(error: &RegistryError) -> bool {
    error.is_transient()
        || error.is_wrong()
        || matches!(error, RegistryError::Http(HttpError::Answer { .. }))
}

struct Pull<'p> {
    session: &'p Arc<Session>,
    folder: &'p Folder,
    options: &'p Options,
    progress: &'p Progress,
    /// What is to come, by digest.
    blobs: BTreeMap<Digest, Descriptor>,
    /// What has come.
    manifests: BTreeMap<Digest, Descriptor>,
    referrers: Vec<Descriptor>,
    /// The bytes of all manifests.
    read: u64,
    /// The bytes of all blobs that went over.
    carried: AtomicU64,
}

impl Pull<'_> {
    /// Asks the same until it goes well.
    fn asked<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let what = || what.to_owned();
        retried(self.options, self.progress, what, may_mend, || {
            ask().map_err(Failed::from)
        })
    }

    /// Fetches what the name leads to, and all manifests below it and that refer to it.
    fn root(&mut self) -> Result<Descriptor, RegistryError> {
        let session = self.session;
        let name = &session.name;
        let which = name.digest().or(name.tag()).unwrap_or("latest");
        let (mut root, mut document) = self.asked(which, || {
            let root = session.manifest(which)?;
            let document = read(session, &root)?;
            Ok((root, document))
        })?;
        if let Some(asked) = &name.platform {
            if let Document::Index(index) = &document {
                let chosen = choose(session, &index.manifests, asked)?;
                (root, document) = self.document(&chosen)?;
            }
            self.asked("the configuration", || {
                check_platform(session, &document, asked)
            })?;
        }
        let descriptor = root.descriptor.clone();
        let mut queue = VecDeque::from([(root, document)]);
        while let Some((fetched, document)) = queue.pop_front() {
            for next in self.take(&fetched, document)? {
                if !self.manifests.contains_key(&next.digest) {
                    queue.push_back(self.document(&next)?);
                    // What is still to be looked into is known to be there.
                    self.bound()?;
                }
            }
        }
        Ok(descriptor)
    }

    fn document(&self, wanted: &Descriptor) -> Result<(Fetched, Document), RegistryError> {
        self.asked(&wanted.digest.to_string(), || {
            let fetched = fetch(self.session, wanted)?;
            let document = read(self.session, &fetched)?;
            Ok((fetched, document))
        })
    }

    /// Puts a manifest into the layout; gives the manifests that it leads to.
    fn take(
        &mut self,
        fetched: &Fetched,
        document: Document,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let descriptor = &fetched.descriptor;
        self.read += descriptor.size;
        self.folder.put(&descriptor.digest, &fetched.bytes)?;
        self.manifests
            .insert(descriptor.digest.clone(), descriptor.clone());
        (self.progress)(&Event::Manifest {
            digest: &descriptor.digest,
        });
        let (mut manifests, blobs) = match document {
            Document::Index(index) => {
                let is_one = |d: &Descriptor| Document::is_one(&d.media_type);
                index.manifests.into_iter().partition(is_one)
            }
            Document::Manifest(manifest) => (
                Vec::new(),
                [vec![manifest.config], manifest.layers].concat(),
            ),
        };
        let max = self.options.limits.max_decoded;
        for blob in blobs {
            if blob.size > max {
                return Err(self.session.wrong(FormatError::Limit {
                    format: "oci",
                    offset: 0,
                    limit: "max_decoded",
                    value: max,
                    remedy: "allow more with --max-decoded",
                }));
            }
            if let Some(known) = self.blobs.get(&blob.digest)
                && known.size != blob.size
            {
                let what = format!("the blob {} has two sizes in its manifests", blob.digest);
                return Err(self.session.wrong(FormatError::corrupt("oci", 0, what)));
            }
            self.blobs.insert(blob.digest.clone(), blob);
        }
        if self.options.referrers {
            let asked = self.asked("what refers to it", || {
                referrers::of(self.session, &descriptor.digest, None)
            })?;
            let known: BTreeSet<Digest> = self.referrers.iter().map(|r| r.digest.clone()).collect();
            for referrer in asked {
                if !known.contains(&referrer.digest) {
                    self.referrers.push(referrer.clone());
                    manifests.push(referrer);
                }
            }
        }
        self.bound()?;
        Ok(manifests)
    }

    fn bound(&self) -> Result<(), RegistryError> {
        let Limits {
            max_entries,
            max_listing,
            ..
        } = self.options.limits;
        let entries = (self.blobs.len() + self.manifests.len() + self.referrers.len()) as u64;
        let over = |limit, value| {
            self.session.wrong(FormatError::Limit {
                format: "oci",
                offset: 0,
                limit,
                value,
                remedy: "name one of its images by its digest, or a platform",
            })
        };
        match (entries > max_entries, self.read > max_listing) {
            (true, _) => Err(over("max_entries", max_entries)),
            (_, true) => Err(over("max_listing", max_listing)),
            (false, false) => Ok(()),
        }
    }

    /// Fetches the blobs, a few at a time, the largest first: so the last of them ends soon.
    fn blobs(&self) -> Result<(), RegistryError> {
        let mut blobs: Vec<&Descriptor> = self.blobs.values().collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        (self.progress)(&Event::Planned {
            blobs: blobs.len(),
            bytes: total(blobs.iter().map(|blob| blob.size)),
        });
        each(blobs, self.options.jobs, |blob| {
            let how = self.blob(blob)?;
            (self.progress)(&Event::Blob {
                digest: &blob.digest,
                size: blob.size,
                how,
            });
            Ok(())
        })
    }

    fn blob(&self, wanted: &Descriptor) -> Result<How, RegistryError> {
        if self.folder.verify(wanted, &self.options.limits).is_ok() {
            (self.progress)(&Event::Bytes(wanted.size));
            return Ok(How::There);
        }
        let path = self.folder.partial(&wanted.digest);
        let meter = Meter::new(self.progress);
        let begin = Landing::open(&path, wanted, meter.told())?.length();
        meter.settle(begin);
        let what = || format!("the blob {}", wanted.digest);
        retried(self.options, self.progress, what, may_mend, || {
            self.tried(wanted, &meter)
        })?;
        meter.settle(wanted.size);
        self.folder.place(&wanted.digest)?;
        self.carried
            .fetch_add(wanted.size - begin, Ordering::Relaxed);
        Ok(match begin {
            0 => How::Carried,
            from => How::Resumed { from },
        })
    }

    /// Asks for what is missing of a blob, once.
    fn tried(&self, wanted: &Descriptor, meter: &Meter) -> Result<(), Failed> {
        let (session, path) = (self.session, self.folder.partial(&wanted.digest));
        let landing = Landing::open(&path, wanted, meter.told())?;
        let before = landing.length();
        if before == wanted.size {
            return landing.finish(&session.name.shown()).map_err(Failed::from);
        }
        let url = session.name.url("blobs", &wanted.digest.to_string());
        let mut request = session.request(Method::GET, url);
        if before > 0 {
            request = request.header(RANGE, &format!("bytes={before}-"));
        }
        let again = |held: Option<Landing>| match held {
            Some(held) => Ok(held),
            None => Landing::open(&path, wanted, meter.told()),
        };
        let (head, landing) = session.ask(&request, landing, again)?;
        let mut landing = landing.ok_or_else(lost)?;
        let after = landing.length();
        meter.settle(after);
        let done = match (head, landing.fault()) {
            (_, Some(fault)) => Err(fault),
            (Ok(_), None) => landing.finish(&session.name.shown()),
            (Err(error), None) => Err(session.refused(error, &[])),
        };
        done.map_err(|error| Failed {
            moved: after > before,
            error,
            wanted: None,
        })
    }
}
