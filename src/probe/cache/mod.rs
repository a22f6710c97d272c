//! What was costly to decode or to fetch, kept on disk for the next process.
//!
//! A *source* is cut into chunks. Those that were read are appended to *segments*: files that are
//! written beside their place, renamed and never changed, each with a table of its chunks and their
//! digests behind them. The segments of one key lie in one folder; what they hold together is what
//! is known of the source. So two processes never wait for one another to be right, only to save
//! work (`lock`), and a segment that is cut, foreign or changed is thrown away, not believed.
//!
//! A key is the digest of what the source was made from, of what was done to it, of the bounds, and
//! of the version of the decoders (`key`). Whatever fails here costs the cache, never the result.

mod clean;
mod entry;
mod kept;
mod key;
mod local;
mod lock;
mod pending;
mod segment;

use crate::model::size::parse_size;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use clean::Usage;
pub use kept::{Cost, Kept, Make};
pub use key::{Identity, Key, Place};
pub use local::FileIdentity;

/// How many bytes the cache takes where `TDG_CACHE_SIZE` says nothing: 4 GiB.
pub const DEFAULT_BOUND: u64 = 4 << 30;

/// The name of the folder inside of the cache's; another layout gets another one.
const LAYOUT: &str = "v1";

/// Tells programs that make backups what the folder is. Source: the Cache Directory Tagging
/// Specification.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # This is the cache of tdg. It may be removed at any time: `tdg cache clear`.\n";

/// A folder with what was made before.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    bound: u64,
}

impl Cache {
    /// Takes a folder as the cache; it is made when something is first written.
    pub fn at(root: &Path, bound: u64) -> Self {
        let root = root.to_owned();
        Self { root, bound }
    }

    /// Gives the cache that the environment names; `None` where it is off, or no home is known.
    ///
    /// `TDG_CACHE` is a folder, or `off`; without it, it is `$XDG_CACHE_HOME/tdg` or
    /// `~/.cache/tdg`. `TDG_CACHE_SIZE` is the bound, such as `2 GiB`.
    ///
    /// # Errors
    /// Where `TDG_CACHE_SIZE` is no size.
    pub fn of_environment() -> Result<Option<Self>, String> {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let bound = match set("TDG_CACHE_SIZE") {
            None => DEFAULT_BOUND,
            Some(text) => text.to_str().and_then(parse_size).ok_or_else(|| {
                let text = text.to_string_lossy();
                format!("TDG_CACHE_SIZE is `{text}`; write a size such as 2 GiB")
            })?,
        };
        let absolute = |name| set(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let root = match set("TDG_CACHE") {
            Some(value) if value == "off" => return Ok(None),
            Some(folder) => Some(PathBuf::from(folder)),
            // A relative path is to be ignored. Source: XDG Base Directory Specification.
            None => absolute("XDG_CACHE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
                .map(|folder| folder.join("tdg")),
        };
        Ok(root
            .filter(|_| bound > 0)
            .map(|root| Self::at(&root, bound)))
    }

    /// Gives the one cache of this process, as its environment names it.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: OnceLock<Option<Arc<Cache>>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::of_environment().ok().flatten().map(Arc::new));
        shared.clone()
    }

    /// Gives the cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Gives the bytes that it takes at most.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// Gives a folder of the cache, whether it is there or not.
    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(LAYOUT).join(name)
    }

    /// Gives the folder of a key's segments.
    fn segments(&self, key: &Key) -> PathBuf {
        self.folder("objects").join(key.to_string())
    }

    /// Makes a folder of the cache, for its owner alone.
    fn made(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let tag = self.root.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(tag, TAG)?;
        }
        Ok(())
    }

    /// Makes a file in the cache that is gone again unless it is given a name.
    fn scratch(&self) -> io::Result<tempfile::NamedTempFile> {
        let folder = self.folder("tmp");
        self.made(&folder)?;
        tempfile::Builder::new().prefix("new-").tempfile_in(folder)
    }

    /// Writes a small file, whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let mut file = self.scratch()?;
        file.write_all(bytes)?;
        self.name(file, path)
    }

    /// Gives a scratch file its name.
    fn name(&self, file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            self.made(folder)?;
        }
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
