//! One repository of one registry, and who asks.

use super::RegistryError;
use super::auth::{Challenge, Token, token};
use super::credentials::{self, Credentials, Login};
use super::name::Name;
use super::transfer::{Event, Progress};
use crate::format::{FormatError, Limits};
use crate::probe::cache::Cache;
use crate::probe::http::client::{Client, Head, Sink};
use crate::probe::http::download::Memory;
use crate::probe::http::request::{Again, Request};
use crate::probe::http::{HttpError, Patience, same_origin};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// What of a refusal's text is shown.
const SAID: usize = 200;

/// A repository that is being read or written.
pub struct Session {
    /// The image.
    pub name: Name,
    /// The bounds.
    pub limits: Limits,
    /// How often the same is asked.
    pub patience: Patience,
    pub(super) cache: Option<Arc<Cache>>,
    credentials: Credentials,
    /// What a token is to allow.
    scopes: Vec<String>,
    /// What proves who asks, once the registry has asked for it.
    proof: Mutex<Option<Proof>>,
    /// Who is told of requests that are made again, once somebody wants to know.
    told: OnceLock<Progress>,
}

/// What proves who asks.
#[derive(Clone)]
struct Proof {
    token: Token,
    challenge: Challenge,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.name.shown())
    }
}

/// Says that an answer did not come back from the thread that asks.
pub(super) fn lost() -> HttpError {
    HttpError::Client {
        what: "an answer is lost".into(),
    }
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
        patience: Patience,
    ) -> Result<Arc<Self>, RegistryError> {
        let scope = format!("repository:{}:pull", name.repository());
        Self::with(name, limits, cache, patience, vec![scope])
    }

    /// Begins to write a repository, into which blobs of others may be mounted.
    ///
    /// # Errors
    /// Where the credentials cannot be read.
    pub fn writing(
        name: Name,
        limits: &Limits,
        patience: Patience,
        others: &[String],
    ) -> Result<Arc<Self>, RegistryError> {
        let mut scopes = vec![format!("repository:{}:pull,push", name.repository())];
        let others = others.iter().filter(|other| *other != name.repository());
        scopes.extend(others.map(|other| format!("repository:{other}:pull")));
        Self::with(name, limits, None, patience, scopes)
    }

    /// Begins to read a repository as somebody it does not know.
    pub fn nobody(name: Name, limits: &Limits, patience: Patience) -> Arc<Self> {
        let scopes = vec![format!("repository:{}:pull", name.repository())];
        Self::of(name, limits, None, patience, scopes, Credentials::default())
    }

    fn with(
        name: Name,
        limits: &Limits,
        cache: Option<Arc<Cache>>,
        patience: Patience,
        scopes: Vec<String>,
    ) -> Result<Arc<Self>, RegistryError> {
        let credentials = credentials::find(name.host(), name.repository())?;
        Ok(Self::of(name, limits, cache, patience, scopes, credentials))
    }

    fn of(
        name: Name,
        limits: &Limits,
        cache: Option<Arc<Cache>>,
        patience: Patience,
        scopes: Vec<String>,
        credentials: Credentials,
    ) -> Arc<Self> {
        Arc::new(Self {
            credentials,
            limits: limits.clone(),
            patience,
            cache,
            scopes,
            proof: Mutex::default(),
            told: OnceLock::new(),
            name,
        })
    }

    /// Says that a document, or a blob, is not what it should be.
    pub(super) fn wrong(&self, source: FormatError) -> RegistryError {
        RegistryError::Document {
            name: self.name.shown(),
            source,
        }
    }

    /// Tells of every request that is made again.
    pub(super) fn tell(&self, progress: &Progress) {
        // Whoever began it is told; a session has one beginner.
        let _ = self.told.set(Arc::clone(progress));
    }

    /// Makes a request with this session's patience and time.
    pub fn request(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url, self.limits.deadline).patience(self.patience);
        request.again = self.told.get().map(|progress| {
            let (progress, name) = (Arc::clone(progress), self.name.host().to_owned());
            Again(Arc::new(move |error, pause| {
                progress(&Event::Retry {
                    what: name.clone(),
                    why: error.to_string(),
                    pause,
                });
            }))
        });
        request
    }

    /// Asks, and proves who asks where that is asked for. `fresh` makes what takes the answer in.
    pub(super) fn ask<S: Sink>(
        &self,
        request: &Request,
        mut sink: S,
        mut fresh: impl FnMut(Option<S>) -> Result<S, RegistryError>,
    ) -> Result<(Result<Head, HttpError>, Option<S>), RegistryError> {
        let client = Client::shared()?;
        let mut request = request.clone();
        // Uploads may lead to other hosts; those are told nothing, whatever they ask.
        let own = same_origin(&request.url, self.name.base());
        if own {
            self.renew()?;
        }
        let mut proven = false;
        loop {
            let proof = self.proof().clone().filter(|_| own);
            request.authorization = proof.as_ref().map(|proof| proof.token.header.clone());
            let had = proof.is_some();
            let (head, taken) = client.ask(request.clone(), Proving::new(sink, self.name.base()));
            let refused = taken.as_ref().and_then(|taken| taken.challenge.clone());
            let taken = taken.map(|taken| taken.inner);
            // A token that was good may have run out: once, a new one is asked for.
            let Some(challenge) = refused.filter(|_| own && !proven) else {
                return Ok((head, taken));
            };
            proven = true;
            match self.prove(challenge, had)? {
                true => sink = fresh(taken)?,
                false => return Ok((head, taken)),
            }
        }
    }

    /// Asks, and takes a short answer in.
    pub(super) fn say(
        &self,
        request: &Request,
        max: usize,
        limit: &'static str,
    ) -> Result<(Head, Vec<u8>), RegistryError> {
        let sink = || Memory::new(&request.url, max, limit);
        let (head, taken) = self.ask(request, sink(), |_| Ok(sink()))?;
        let bytes = taken.map(|taken| taken.bytes).unwrap_or_default();
        Ok((head?, bytes))
    }

    fn proof(&self) -> std::sync::MutexGuard<'_, Option<Proof>> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets a new token where the one there is has run out by its own account: what is long to send
    /// is better not refused at its end.
    fn renew(&self) -> Result<(), RegistryError> {
        let proof = self.proof().clone();
        let over = |proof: &Proof| proof.token.until.is_some_and(|end| Instant::now() >= end);
        if let Some(proof) = proof.filter(over) {
            self.prove(proof.challenge, true)?;
        }
        Ok(())
    }

    /// Gets what proves who asks; `false` says that there is nothing (more) to prove it with.
    fn prove(&self, challenge: Challenge, had: bool) -> Result<bool, RegistryError> {
        let deadline = self.limits.deadline;
        let login = self.credentials.login(deadline);
        let token = match (&challenge, login) {
            (Challenge::Basic, _) if had => None,
            (Challenge::Basic, Ok(Some(Login::Basic(header)))) => Some(Token {
                header,
                until: None,
            }),
            (Challenge::Basic, Ok(Some(Login::Identity(_)) | None)) => None,
            (Challenge::Basic, Err(error)) => return Err(error),
            (Challenge::Bearer { realm, service, .. }, login) => {
                let challenge = (realm.as_str(), service.as_deref());
                let base = self.name.base();
                // What everybody may read needs no login: that none can be had is said once it does.
                let login = login.unwrap_or(None);
                Some(token(challenge, base, &self.scopes, login, deadline)?)
            }
        };
        let proven = token.is_some();
        if let Some(token) = token {
            *self.proof() = Some(Proof { token, challenge });
        }
        Ok(proven)
    }

    /// Says what a refusal means.
    pub(super) fn refused(&self, error: HttpError, body: &[u8]) -> RegistryError {
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
            let what = match self.credentials.login(self.limits.deadline) {
                Err(error) => return error,
                Ok(Some(_)) => "the registry does not take the credentials that are written down",
                Ok(None) if self.credentials.has_some() => {
                    "the registry wants credentials, and the helper program has none for it: log \
                     in to it"
                }
                Ok(None) => "the registry wants credentials (or has no such image): log in to it",
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
            status,
            transient: error.is_transient(),
            what: format!(
                "the registry answers {status}: {}{}",
                words.join(", "),
                remedy(status)
            ),
        }
    }
}

/// Says what can be done about a refusal.
fn remedy(status: u16) -> &'static str {
    match status {
        403 => "; log in as one who may do this",
        404 => "; correct the repository, the tag or the digest",
        429 => "; try later",
        _ => "",
    }
}

/// Looks at an answer's head before another does: the one that asks for proof is read here.
struct Proving<S> {
    inner: S,
    base: Url,
    challenge: Option<Challenge>,
}

impl<S> Proving<S> {
    fn new(inner: S, base: &Url) -> Self {
        Self {
            inner,
            base: base.clone(),
            challenge: None,
        }
    }
}

impl<S: Sink> Sink for Proving<S> {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        // Where a redirect has led, nobody is told who asks.
        if head.status == 401 && same_origin(&head.url, &self.base) {
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
