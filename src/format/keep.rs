//! The way by which what was costly to make is kept for the next process.

use std::fmt::Debug;
use std::sync::Arc;

use super::Source;

/// The place in a cache of what is made from one particular file.
///
/// Readers are handed one, or none, and know nothing of files and keys. What is kept never
/// changes a result: it is what `made` gave before, for the same bytes and the same bounds.
pub trait Keep: Send + Sync + Debug {
    /// Gives `made` with what was read of it before put in front of it.
    ///
    /// `what` says what was done to the bytes, with all that the result depends on (the bounds
    /// among them): another text is another place.
    fn keep(&self, what: &str, made: Source) -> Source;

    /// Gives the place of the file at `path` inside of this one.
    fn inside(&self, path: &str) -> Arc<dyn Keep>;
}
