//! What variants that are worked on at once must not do at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks between the variants of one loop.
///
/// Whoever holds one and is interrupted lets go of it soon: its commands are ended.
/// A remedy may take the source while it holds the patches, never the other way round.
#[derive(Debug, Default)]
pub(super) struct Locks {
    source: Mutex<()>,
    patches: RwLock<()>,
    packages: Mutex<Packages>,
}

/// What each variant of this loop is packaged from, by its artifacts' digest; nothing where its
/// package was taken away.
pub(super) type Packages = BTreeMap<String, Option<String>>;

impl Locks {
    /// Takes the clone of the upstream: git's bookkeeping of work trees is not made for two.
    pub(super) fn source(&self) -> MutexGuard<'_, ()> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the patches and the specs as they are: no remedy is at work.
    pub(super) fn patches(&self) -> RwLockReadGuard<'_, ()> {
        self.patches.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the list of what is packaged.
    pub(super) fn packages(&self) -> MutexGuard<'_, Packages> {
        self.packages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the patches to change them: variants may share them.
    pub(super) fn remedy(&self) -> RwLockWriteGuard<'_, ()> {
        self.patches.write().unwrap_or_else(PoisonError::into_inner)
    }
}
