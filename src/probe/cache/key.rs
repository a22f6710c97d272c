//! Under what name something is kept, and whose it is.

use super::{Cache, Cost, FileIdentity, Kept};
use crate::format::{Keep, Source};
use crate::model::Sha256Digest;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Counts what decoders may give since the version of tdg: raise it when one of them gives other
/// bytes than before.
const DECODERS: &str = "1";
/// The bytes that are digested in a millisecond, at least.
const HASHED: u64 = 1_000_000;

/// The name of what is kept: a digest of everything that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(super) Sha256Digest);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What bytes are, so that the same bytes are known again.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A text that no other bytes have: a digest, or an address with a strong validator.
    Known(String),
    /// A file of this machine, whose digest may have to be computed.
    File(Arc<FileIdentity>),
}

impl Identity {
    /// Gives the text where it costs nothing.
    pub(super) fn known(&self) -> Option<String> {
        match self {
            Self::Known(text) => Some(text.clone()),
            Self::File(file) => file.known().map(|digest| format!("sha256:{digest}")),
        }
    }

    /// Gives the time that finding the text takes, as far as it can be told.
    pub(super) fn price(&self) -> Duration {
        match self {
            Self::File(file) if self.known().is_none() => {
                Duration::from_millis(file.size() / HASHED)
            }
            Self::Known(_) | Self::File(_) => Duration::ZERO,
        }
    }

    /// Gives the text, at the cost of reading the file; `None` where the file changed meanwhile.
    pub(super) fn found(&self) -> Option<String> {
        match self {
            Self::Known(text) => Some(text.clone()),
            Self::File(file) => file.found().map(|digest| format!("sha256:{digest}")),
        }
    }
}

/// The place of what is made from one file; see [`Keep`].
#[derive(Clone, Debug)]
pub struct Place {
    cache: Arc<Cache>,
    identity: Identity,
    /// The way from the file to what is inside of it.
    way: String,
    /// Nobody is waited for beyond it.
    deadline: Option<Instant>,
}

impl Place {
    /// Makes the place of a file as it is.
    pub fn new(cache: Arc<Cache>, identity: Identity, deadline: Option<Instant>) -> Self {
        Self {
            cache,
            identity,
            way: String::new(),
            deadline,
        }
    }

    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Makes the key out of the file's identity.
    fn key(&self, identity: &str, what: &str) -> Key {
        // Each part with its length: no two sets of parts make one text.
        let parts = [
            env!("CARGO_PKG_VERSION"),
            DECODERS,
            identity,
            &self.way,
            what,
        ];
        let text: String = parts
            .map(|part| format!("{}:{part}\n", part.len()))
            .concat();
        Key(Sha256Digest::of(text.as_bytes()))
    }

    /// Gives the time that finding the key takes, as far as it can be told.
    pub(super) fn price(&self) -> Duration {
        self.identity.price()
    }

    pub(super) fn known(&self, what: &str) -> Option<Key> {
        let identity = self.identity.known()?;
        Some(self.key(&identity, what))
    }

    pub(super) fn found(&self, what: &str) -> Option<Key> {
        let identity = self.identity.found()?;
        Some(self.key(&identity, what))
    }

    /// Tells whether the file is still the one that was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        match &self.identity {
            Identity::Known(_) => true,
            Identity::File(file) => file.is_unchanged(),
        }
    }
}

impl Keep for Place {
    fn keep(&self, what: &str, made: Source) -> Source {
        let make = Box::new(move || Ok(Arc::clone(&made)));
        Arc::new(Kept::new(self, what, Cost::Decoding, make))
    }

    fn inside(&self, path: &str) -> Arc<dyn Keep> {
        Arc::new(Self {
            way: format!("{}!/{path}", self.way),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_is_another_key() {
        let cache = Arc::new(Cache::at(std::path::Path::new("/no/such"), 1));
        let place = |text: &str| Place::new(Arc::clone(&cache), Identity::Known(text.into()), None);
        let keys = [
            place("a").known("xz").unwrap(),
            place("b").known("xz").unwrap(),
            place("a").known("xz 2").unwrap(),
            Place {
                way: "!/x".into(),
                ..place("a")
            }
            .known("xz")
            .unwrap(),
            place("a\n2:xz").known("").unwrap(),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        assert_eq!(place("a").known("xz"), place("a").found("xz"));
    }
}
