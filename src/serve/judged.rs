//! What was judged in a folder, and who says so while it is served.

use super::refusal::{Red, Refusal};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// When a file was changed last, seconds and nanoseconds, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the last change of content or status.
    pub changed: (i64, i64),
    /// Bytes.
    pub size: u64,
}

impl Stamp {
    /// Takes it from what the system says of a file.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.len(),
        }
    }
}

/// What was judged in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Files, by their path in the folder, as they were then.
    pub files: BTreeMap<String, Stamp>,
    /// Folders in it of which nothing else is served; an empty name is the folder itself.
    pub alone: Vec<String>,
}

impl Judged {
    /// Tells why a file, by its path and as it is now, is not served.
    pub fn refuses(&self, path: &str, now: Stamp) -> Option<Refusal> {
        let within = |folder: &String| {
            folder.is_empty()
                || path
                    .strip_prefix(folder)
                    .is_some_and(|r| r.starts_with('/'))
        };
        match self.files.get(path) {
            Some(then) => (*then != now).then_some(Refusal::Changed),
            None => self.alone.iter().any(within).then_some(Refusal::Unjudged),
        }
    }

    /// Tells whether nobody judged anything.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.alone.is_empty()
    }
}

/// Says at any time what was judged in a folder, or why nothing of it is to be given. It is asked for
/// each name that anybody asks for, so what has not changed is not to be looked at again.
pub trait Judge: Debug + Send + Sync {
    /// Says it.
    ///
    /// # Errors
    /// Where what was judged is not green: why.
    fn now(&self) -> Result<Arc<Judged>, Red>;
}

/// Always says the same.
#[derive(Debug)]
pub struct Always(Arc<Judged>);

impl Always {
    /// Makes one that says this.
    pub fn says(judged: Judged) -> Arc<dyn Judge> {
        Arc::new(Self(Arc::new(judged)))
    }

    /// Makes one that has judged nothing.
    pub fn nothing() -> Arc<dyn Judge> {
        Self::says(Judged::default())
    }
}

impl Judge for Always {
    fn now(&self) -> Result<Arc<Judged>, Red> {
        Ok(Arc::clone(&self.0))
    }
}
