//! An OCI layout in a folder: read to be pushed, and written by a pull.
//!
//! Source: OCI image specification 1.1, `image-layout.md`.

use super::RegistryError;
use crate::format::oci::{
    Descriptor, Digest, Document, MAX_DOCUMENT, layout_version, read, verify,
};
use crate::format::{Bytes, FormatError, Limits, ReadAt};
use crate::probe::store;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Where blobs lie that have come in part.
const PARTIAL: &str = ".tdg-partial";
/// The annotation that names what an index leads to.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout in a folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Held by one who writes.
    lock: Option<File>,
    /// What of it there was before.
    before: Before,
}

/// What there was before a layout was opened to write into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Layout,
    EmptyFolder,
    Nothing,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing it would not do: a process that is just being started has all our files for a
        // moment, and with them the lock.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

impl Folder {
    /// Opens a layout that is there.
    pub fn open(root: &Path) -> Result<Self, RegistryError> {
        let folder = Self {
            root: root.to_owned(),
            lock: None,
            before: Before::Layout,
        };
        if !root.is_dir() {
            let what = "is no folder; name the folder of an OCI layout";
            return Err(folder.wrong(root, what));
        }
        let Some(bytes) = folder.small("oci-layout")? else {
            let what = "is no OCI layout: there is no file `oci-layout` in it; name a folder that \
                        has one";
            return Err(folder.wrong(root, what));
        };
        layout_version(&bytes).map_err(|error| folder.corrupt("oci-layout", error))?;
        Ok(folder)
    }

    /// Opens a layout to write into; it is made where nothing is there yet.
    pub fn make(root: &Path) -> Result<Self, RegistryError> {
        let mut folder = Self {
            root: root.to_owned(),
            lock: None,
            before: match root.exists() {
                true => Before::EmptyFolder,
                false => Before::Nothing,
            },
        };
        fs::create_dir_all(root).map_err(|e| folder.failed(root, &e))?;
        let partial = root.join(PARTIAL);
        folder.lock = Some(folder.lock(&partial)?);
        if folder.small("oci-layout")?.is_some() {
            let known = Self::open(root)?;
            known.index()?;
            folder.before = Before::Layout;
        } else {
            let mut others = fs::read_dir(root).map_err(|e| folder.failed(root, &e))?;
            if others.any(|other| other.is_ok_and(|other| other.file_name() != PARTIAL)) {
                let _ = fs::remove_file(partial.join("lock"));
                let _ = fs::remove_dir(&partial);
                let what = "holds something else than an OCI layout; name another folder";
                return Err(folder.wrong(root, what));
            }
            folder.write("index.json", index_of(&[]).as_bytes())?;
            folder.write("oci-layout", LAYOUT)?;
        }
        for inner in ["blobs", "blobs/sha256", "blobs/sha512"] {
            let path = root.join(inner);
            match path.symlink_metadata() {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(folder.wrong(&path, "is no folder; a layout has one there")),
                Err(_) if inner == "blobs/sha512" => {}
                Err(_) => fs::create_dir(&path).map_err(|e| folder.failed(&path, &e))?,
            }
        }
        Ok(folder)
    }

    /// Makes the folder of what has come in part, and takes its lock; no link is followed.
    fn lock(&self, partial: &Path) -> Result<File, RegistryError> {
        match fs::create_dir(partial) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.failed(partial, &error)),
        }
        let meta = partial.symlink_metadata();
        if !meta.map_err(|e| self.failed(partial, &e))?.is_dir() {
            return Err(self.wrong(partial, "is no folder; take it away"));
        }
        let path = partial.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = options.custom_flags(flags).open(&path);
        let file = file.map_err(|e| self.failed(&path, &e))?;
        // The one who had it may have taken the file away in between.
        let is = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let same = || match (path.symlink_metadata(), file.metadata()) {
            (Ok(there), Ok(own)) => is(there) == is(own),
            (Err(_), _) | (_, Err(_)) => false,
        };
        match file.try_lock().is_ok() && same() {
            true => Ok(file),
            false => {
                let what = "another one is pulling into it; wait until it has ended";
                Err(self.wrong(&self.root, what))
            }
        }
    }

    fn wrong(&self, path: &Path, what: impl Into<String>) -> RegistryError {
        RegistryError::Layout {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// Says what is wrong with the layout as a whole.
    pub fn wrong_root(&self, what: String) -> RegistryError {
        self.wrong(&self.root, what)
    }

    fn failed(&self, path: &Path, error: &io::Error) -> RegistryError {
        let hint = match error.kind() {
            ErrorKind::StorageFull => "; free space, and do the same again: it is gone on with",
            _ => "",
        };
        self.wrong(path, format!("{error}{hint}"))
    }

    /// Says that a document or a blob of the layout is not what it should be.
    pub fn corrupt(&self, path: &str, error: FormatError) -> RegistryError {
        let what = format!("{error}; build or pull the layout again");
        self.wrong(&self.root.join(path), what)
    }

    /// Says that a blob of the layout cannot be read.
    pub fn unreadable(&self, wanted: &Descriptor, why: &str) -> RegistryError {
        self.wrong(&self.root.join(wanted.digest.path()), why)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let path = self.root.join(name);
        store::write(&path, bytes).map_err(|error| self.failed(&path, &error))
    }

    /// Opens a regular file of the layout, no link followed; `None` where there is none.
    fn file(&self, name: &str) -> Result<Option<File>, RegistryError> {
        let path = self.root.join(name);
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
                return Err(self.wrong(&path, "is a link, which is not followed"));
            }
            Err(error) => return Err(self.failed(&path, &error)),
        };
        match file
            .metadata()
            .map_err(|error| self.failed(&path, &error))?
        {
            meta if meta.is_file() => Ok(Some(file)),
            _ => Err(self.wrong(&path, "is no regular file")),
        }
    }

    /// Reads a document of which no descriptor speaks.
    fn small(&self, name: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
        let path = self.root.join(name);
        read.map_err(|error| self.failed(&path, &error))?;
        match bytes.len() as u64 > MAX_DOCUMENT {
            true => Err(self.wrong(&path, "is longer than 4 MiB, as none in use is")),
            false => Ok(Some(bytes)),
        }
    }

    /// Reads `index.json`.
    pub fn index(&self) -> Result<Vec<Descriptor>, RegistryError> {
        let Some(bytes) = self.small("index.json")? else {
            let what = "is no OCI layout: there is no file `index.json` in it";
            return Err(self.wrong(&self.root, what));
        };
        match Document::read(&bytes, "") {
            Ok(Document::Index(index)) => Ok(index.manifests),
            Ok(Document::Manifest(_)) => {
                Err(self.wrong(&self.root.join("index.json"), "is no index, but a manifest"))
            }
            Err(error) => Err(self.corrupt("index.json", error)),
        }
    }

    /// Opens a blob of which a document speaks, and holds it to its size.
    pub fn blob(&self, wanted: &Descriptor) -> Result<Arc<File>, RegistryError> {
        let name = wanted.digest.path();
        let path = self.root.join(&name);
        let Some(file) = self.file(&name)? else {
            let what = "is missing; a document of the layout leads to it";
            return Err(self.wrong(&path, what));
        };
        let length = file
            .metadata()
            .map_err(|error| self.failed(&path, &error))?
            .len();
        match length == wanted.size {
            true => Ok(Arc::new(file)),
            false => {
                let said = wanted.size;
                let what = format!("has {length} bytes; its descriptor says {said}");
                Err(self.corrupt(&name, FormatError::corrupt("oci", 0, what)))
            }
        }
    }

    /// Reads a manifest, and holds it to its digest and size.
    pub fn document(&self, wanted: &Descriptor, limits: &Limits) -> Result<Bytes, RegistryError> {
        let name = wanted.digest.path();
        if wanted.size > MAX_DOCUMENT {
            let what = "a manifest longer than 4 MiB, which no registry takes";
            return Err(self.corrupt(&name, FormatError::corrupt("oci", 0, what)));
        }
        let file = self.blob(wanted)?;
        let source = OnDisk(file);
        let length = usize::try_from(wanted.size).unwrap_or(0);
        let bytes = source
            .up_to(0, length)
            .map_err(|error| self.corrupt(&name, error))?;
        let held = verify(&bytes, &wanted.digest, Some(wanted.size), limits);
        held.map_err(|error| self.corrupt(&name, error))?;
        Ok(bytes)
    }

    /// Holds a blob to its digest and size.
    pub fn verify(&self, wanted: &Descriptor, limits: &Limits) -> Result<(), RegistryError> {
        let source = OnDisk(self.blob(wanted)?);
        let held = verify(&source, &wanted.digest, Some(wanted.size), limits);
        held.map_err(|error| self.corrupt(&wanted.digest.path(), error))
    }

    /// Gives the place of a blob that has come in part.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string().replace(':', "-");
        self.root.join(PARTIAL).join(name)
    }

    /// Puts a blob that has come, and has been held to its digest, into its place.
    pub fn place(&self, digest: &Digest) -> Result<(), RegistryError> {
        let path = self.root.join(digest.path());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| self.failed(folder, &error))?;
        }
        let renamed = fs::rename(self.partial(digest), &path);
        renamed.map_err(|error| self.failed(&path, &error))
    }

    /// Puts a document into its place.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        let partial = self.partial(digest);
        // What lies there is nobody's, and may be a link.
        let _ = fs::remove_file(&partial);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| self.failed(&partial, &error))?;
        self.place(digest)
    }

    /// Writes what the layout leads to: `entries`, and what it led to before under other names.
    pub fn lead_to(&self, entries: Vec<Value>) -> Result<(), RegistryError> {
        let path = self.root.join("index.json");
        let bytes = self.small("index.json")?.unwrap_or_default();
        let index: Value = match bytes.is_empty() {
            true => json!({}),
            false => read(&bytes, "index.json").map_err(|e| self.corrupt("index.json", e))?,
        };
        let name = |entry: &Value| entry["annotations"][REF_NAME].as_str().map(str::to_owned);
        let same = |one: &Value, other: &Value| match (name(one), name(other)) {
            (Some(one), Some(other)) => one == other,
            (None, None) => one["digest"] == other["digest"],
            (Some(_), None) | (None, Some(_)) => false,
        };
        let before = index["manifests"].as_array().cloned().unwrap_or_default();
        let kept = before
            .into_iter()
            .filter(|e| !entries.iter().any(|new| same(e, new)));
        let all: Vec<Value> = kept.chain(entries.iter().cloned()).collect();
        let mut index = index;
        match index.as_object_mut() {
            Some(fields) if !fields.is_empty() => {
                fields.insert("manifests".into(), Value::Array(all));
                self.write("index.json", index.to_string().as_bytes())
            }
            Some(_) => self.write("index.json", index_of(&all).as_bytes()),
            None => Err(self.wrong(&path, "is no index")),
        }
    }

    /// Takes away what was made for nothing: a layout without anything in it. What has come stays.
    pub fn give_up(self) {
        let at = |name: &str| self.root.join(name);
        // A folder goes only where it is empty.
        if self.before == Before::Layout || fs::remove_dir(at("blobs/sha256")).is_err() {
            return self.tidy();
        }
        for file in ["index.json", "oci-layout"] {
            let _ = fs::remove_file(at(file));
        }
        let _ = fs::remove_dir(at("blobs"));
        let (root, before) = (self.root.clone(), self.before);
        self.tidy();
        if before == Before::Nothing {
            let _ = fs::remove_dir(root);
        }
    }

    /// Takes away what is only needed while something comes.
    pub fn tidy(self) {
        let partial = self.root.join(PARTIAL);
        let others = fs::read_dir(&partial).map_or(1, Iterator::count);
        if others <= 1 {
            let _ = fs::remove_file(partial.join("lock"));
            let _ = fs::remove_dir(&partial);
        }
    }
}

pub(super) fn index_of(manifests: &[Value]) -> String {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    index.to_string()
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct OnDisk(pub Arc<File>);

impl ReadAt for OnDisk {
    fn size(&self) -> Result<u64, FormatError> {
        let meta = self.0.metadata();
        let meta = meta.map_err(|error| FormatError::io("oci", 0, error.to_string()))?;
        Ok(meta.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(space) = buffer.get_mut(done..).filter(|space| !space.is_empty()) {
            let at = offset.saturating_add(done as u64);
            match self.0.read_at(space, at) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(FormatError::io("oci", at, error.to_string())),
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_free_once_its_writer_has_ended_whoever_still_has_its_files() {
        let world = tempfile::tempdir().unwrap();
        let root = world.path().join("layout");
        let folder = Folder::make(&root).unwrap();
        let busy = Folder::make(&root).unwrap_err();
        assert!(
            busy.to_string().contains("another one is pulling"),
            "{busy}"
        );
        // As a process has it that is being started at this moment.
        let child = folder.lock.as_ref().unwrap().try_clone().unwrap();
        drop(folder);
        Folder::make(&root).unwrap();
        drop(child);
    }
}
