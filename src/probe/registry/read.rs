//! What is read of a repository: manifests, and blobs once they are needed.

use super::RegistryError;
use super::session::{Session, lost};
use crate::format::oci::{Algorithm, Descriptor, Digest, MAX_DOCUMENT, verify};
use crate::format::{Bytes, FormatError, ReadAt, Source};
use crate::model::Sha256Digest;
use crate::probe::cache::{Cost, Identity, Kept, Place};
use crate::probe::http::download::Download;
use crate::probe::http::{BYTES, HttpError};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RANGE};
use std::sync::{Arc, OnceLock};

/// The manifests that are understood.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
                        application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";
/// How many times a blob is gone on with where its answer breaks off.
const TRIES: u32 = 4;

/// What a manifest's answer says about it.
pub struct Fetched {
    /// The document, which has its digest.
    pub bytes: Bytes,
    /// What it is.
    pub descriptor: Descriptor,
}

impl Session {
    /// Fetches a manifest by tag or digest, and holds it to its digest.
    ///
    /// # Errors
    /// Where it is not there, is longer than 4 MiB, or is another than it should be.
    pub fn manifest(&self, which: &str) -> Result<Fetched, RegistryError> {
        let url = self.name.url("manifests", which);
        let max = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
        let request = self.request(Method::GET, url).header(ACCEPT, ACCEPTED);
        let (head, bytes) = self.say(&request, max, "a manifest")?;
        if head.status != 200 {
            return Err(self.refused(head.refused(), &bytes));
        }
        let bytes = Bytes::new(bytes);
        let wrong = |source| RegistryError::Document {
            name: self.name.shown(),
            source,
        };
        let told = head.headers.get("docker-content-digest");
        let told = told.map(|digest| digest.to_str().unwrap_or_default());
        let asked = Digest::parse(which).ok();
        for digest in asked.iter().cloned().map(Ok).chain(told.map(Digest::parse)) {
            let held = digest.and_then(|digest| verify(&bytes, &digest, None, &self.limits));
            held.map_err(wrong)?;
        }
        let own = || Digest::of(&bytes, Algorithm::Sha256, None, &self.limits).map(|d| d.0);
        let digest = asked.map_or_else(own, Ok).map_err(wrong)?;
        let media_type = head.headers.get(CONTENT_TYPE);
        let media_type = media_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        Ok(Fetched {
            descriptor: Descriptor {
                media_type: media_type.to_owned(),
                digest,
                size: bytes.len() as u64,
                artifact_type: None,
                annotations: Default::default(),
                platform: None,
            },
            bytes,
        })
    }

    /// Gives a blob, which is fetched, and held to its size and digest, when it is first read. What
    /// a layer says of other places (`urls`) is not followed.
    pub fn blob(self: &Arc<Self>, descriptor: &Descriptor) -> Source {
        let (session, wanted) = (Arc::clone(self), descriptor.clone());
        let make = Box::new(move || session.fetch(&wanted).map_err(RegistryError::into_format));
        match &self.cache {
            Some(cache) => {
                let identity = Identity::Known(descriptor.digest.to_string());
                let place = Place::new(Arc::clone(cache), identity, self.limits.deadline);
                let kept = Kept::new(&place, BYTES, Cost::Download, make);
                Arc::new(kept.sized(descriptor.size))
            }
            None => Arc::new(Lazy {
                size: descriptor.size,
                make,
                made: OnceLock::new(),
            }),
        }
    }

    fn fetch(&self, wanted: &Descriptor) -> Result<Source, RegistryError> {
        let wrong = |source| RegistryError::Document {
            name: self.name.shown(),
            source,
        };
        let (digest, size) = (&wanted.digest, wanted.size);
        if size > self.limits.max_decoded {
            return Err(wrong(FormatError::Limit {
                format: "oci",
                offset: 0,
                limit: "max_decoded",
                value: self.limits.max_decoded,
                remedy: "allow more, or fetch the image with another program",
            }));
        }
        let url = self.name.url("blobs", &digest.to_string());
        let sink = || Download::new(&url, size, "the size in its descriptor");
        let mut download = sink()?;
        for tries in 1.. {
            let length = download.length();
            let mut request = self.request(Method::GET, url.clone());
            if length > 0 {
                request = request.header(RANGE, &format!("bytes={length}-"));
            }
            let again = |held: Option<Download>| match held {
                Some(held) => Ok(held),
                None => Ok(sink()?),
            };
            let (head, taken) = self.ask(&request, download, again)?;
            let taken = taken.ok_or_else(lost)?;
            match head {
                Ok(_) => {
                    download = taken;
                    break;
                }
                // What has come is good; the rest is asked for.
                Err(HttpError::Cut { .. }) if tries < TRIES && taken.length() > length => {
                    download = taken;
                }
                Err(error) => return Err(self.refused(error, &[])),
            }
        }
        let (fetched, seen) = download.finish()?;
        let told = Sha256Digest::parse(digest.to_string().trim_start_matches("sha256:"));
        let length = fetched.size().map_err(wrong)?;
        if length != size {
            let what = format!("the blob {digest} has {length} bytes; its descriptor says {size}");
            return Err(wrong(FormatError::corrupt("oci", 0, what)));
        }
        match told {
            Some(told) if told == seen => {}
            Some(_) => {
                let what = format!("the blob {digest} has the digest sha256:{seen}");
                return Err(wrong(FormatError::corrupt("oci", 0, what)));
            }
            None => verify(&fetched, digest, Some(size), &self.limits).map_err(wrong)?,
        }
        Ok(Arc::new(fetched))
    }
}

/// Bytes that are fetched when they are first read.
struct Lazy {
    size: u64,
    make: crate::probe::cache::Make,
    made: OnceLock<Result<Source, FormatError>>,
}

impl std::fmt::Debug for Lazy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lazy({} bytes)", self.size)
    }
}

impl ReadAt for Lazy {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let made = self.made.get_or_init(&self.make);
        made.as_ref().map_err(Clone::clone)?.read_at(offset, buffer)
    }
}
