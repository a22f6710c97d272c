//! One repository of one registry, and who asks.

use super::RegistryError;
use super::auth::{Challenge, token};
use super::credentials::{self, Credentials};
use super::name::Name;
use crate::format::oci::{Algorithm, Descriptor, Digest, MAX_DOCUMENT, verify};
use crate::format::{Bytes, FormatError, Limits, ReadAt, Source};
use crate::model::Sha256Digest;
use crate::probe::cache::{Cache, Cost, Identity, Kept, Place};
use crate::probe::http::client::{Client, Head, Request, Sink};
use crate::probe::http::download::{Download, Memory};
use crate::probe::http::{BYTES, HttpError};
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RANGE};
use serde::Deserialize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The manifests that are understood.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
                        application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";
/// How many times a blob is gone on with where its answer breaks off.
const TRIES: u32 = 4;
/// What of a refusal's text is shown.
const SAID: usize = 200;

/// A repository that is being read.
pub struct Session {
    /// The image.
    pub name: Name,
    /// The bounds.
    pub limits: Limits,
    cache: Option<Arc<Cache>>,
    credentials: Credentials,
    /// What proves who asks, once the registry has asked for it.
    proof: Mutex<Option<HeaderValue>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.name.shown())
    }
}

/// What a manifest's answer says about it.
pub struct Fetched {
    /// The document, which has its digest.
    pub bytes: Bytes,
    /// What it is.
    pub descriptor: Descriptor,
}

impl Session {
    /// Begins to read a repository; nothing is asked yet.
    ///
    /// # Errors
    /// Where the credentials cannot be read.
    pub fn new(
        name: Name,
        limits: &Limits,
        cache: Option<Arc<Cache>>,
    ) -> Result<Arc<Self>, RegistryError> {
        Ok(Arc::new(Self {
            credentials: credentials::find(name.host(), name.repository())?,
            limits: limits.clone(),
            cache,
            proof: Mutex::default(),
            name,
        }))
    }

    /// Asks, and proves who asks where that is asked for. `fresh` makes what takes the answer in.
    fn ask<S: Sink>(
        &self,
        url: &Url,
        headers: &[(reqwest::header::HeaderName, String)],
        mut sink: S,
        mut fresh: impl FnMut(Option<S>) -> Result<S, RegistryError>,
    ) -> Result<(Result<Head, HttpError>, Option<S>), RegistryError> {
        let client = Client::shared()?;
        let mut proven = false;
        loop {
            let mut request = Request::get(url.clone(), self.limits.deadline);
            for (name, value) in headers {
                request = request.header(name.clone(), value);
            }
            request.authorization = self.proof().clone();
            let had = request.authorization.is_some();
            let (head, taken) = client.ask(request, Proving::new(sink));
            let refused = taken.as_ref().and_then(|taken| taken.challenge.clone());
            let taken = taken.map(|taken| taken.inner);
            // A token that was good may have run out: once, a new one is asked for.
            let Some(challenge) = refused.filter(|_| !proven) else {
                return Ok((head, taken));
            };
            proven = true;
            match self.prove(&challenge, had)? {
                true => sink = fresh(taken)?,
                false => return Ok((head, taken)),
            }
        }
    }

    fn proof(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets what proves who asks; `false` says that there is nothing (more) to prove it with.
    fn prove(&self, challenge: &Challenge, had: bool) -> Result<bool, RegistryError> {
        let basic = self.credentials.basic.clone();
        let proof = match challenge {
            Challenge::Basic if had => None,
            Challenge::Basic => basic,
            Challenge::Bearer { realm, service, .. } => {
                let challenge = (realm.as_str(), service.as_deref());
                let (base, repository) = (self.name.base(), self.name.repository());
                Some(token(
                    challenge,
                    base,
                    repository,
                    basic,
                    self.limits.deadline,
                )?)
            }
        };
        let proven = proof.is_some();
        if proven {
            *self.proof() = proof;
        }
        Ok(proven)
    }

    /// Fetches a manifest by tag or digest, and holds it to its digest.
    ///
    /// # Errors
    /// Where it is not there, is longer than 4 MiB, or is another than it should be.
    pub fn manifest(&self, which: &str) -> Result<Fetched, RegistryError> {
        let url = self.name.url("manifests", which);
        let max = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
        let sink = || Memory::new(&url, max, "a manifest");
        let accept = [(ACCEPT, ACCEPTED.to_owned())];
        let (head, taken) = self.ask(&url, &accept, sink(), |_| Ok(sink()))?;
        let head = head?;
        let bytes = Bytes::new(taken.map(|taken| taken.bytes).unwrap_or_default());
        if head.status != 200 {
            return Err(self.refused(head.refused(), &bytes));
        }
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

    /// Says what a refusal means.
    fn refused(&self, error: HttpError, body: &[u8]) -> RegistryError {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<Said>,
        }
        #[derive(Deserialize)]
        struct Said {
            code: Option<String>,
            message: Option<String>,
        }
        let HttpError::Status { status, .. } = error else {
            return error.into();
        };
        if status == 401 {
            let what = match (&self.credentials.basic, self.credentials.helper) {
                (Some(_), _) => "the registry does not take the credentials that are written down",
                (None, true) => {
                    "the registry wants credentials; a helper program has them, which is not asked: \
                     name a file with REGISTRY_AUTH_FILE"
                }
                (None, false) => {
                    "the registry wants credentials (or has no such image): log in to it"
                }
            };
            return RegistryError::Credentials {
                name: self.name.shown(),
                what: what.into(),
            };
        }
        let said = serde_json::from_slice::<Body>(body).ok();
        let said = said.and_then(|body| body.errors.into_iter().next());
        let Some(said) = said else {
            return error.into();
        };
        let words = [said.code, said.message].into_iter().flatten();
        let words: Vec<String> = words.map(|w| crate::model::value::clip(&w, SAID)).collect();
        RegistryError::Refused {
            name: self.name.shown(),
            transient: error.is_transient(),
            what: format!("the registry answers {status}: {}", words.join(", ")),
        }
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
            let range = (length > 0).then(|| (RANGE, format!("bytes={length}-")));
            let headers: Vec<_> = range.into_iter().collect();
            let again = |held: Option<Download>| match held {
                Some(held) => Ok(held),
                None => Ok(sink()?),
            };
            let (head, taken) = self.ask(&url, &headers, download, again)?;
            let taken = taken.ok_or_else(|| HttpError::Client {
                what: "an answer is lost".into(),
            })?;
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

/// Looks at an answer's head before another does: the one that asks for proof is read here.
struct Proving<S> {
    inner: S,
    challenge: Option<Challenge>,
}

impl<S> Proving<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            challenge: None,
        }
    }
}

impl<S: Sink> Sink for Proving<S> {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        if head.status == 401 {
            self.challenge = Challenge::of(&head.headers);
        }
        self.inner.begin(head)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.inner.take(bytes)
    }

    fn has_begun(&self) -> bool {
        self.inner.has_begun()
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
