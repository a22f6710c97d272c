//! The files of a package: the artifacts, the report of the build, and `checksums.sha256`.

use super::facts::Facts;
use super::gzip::Stored;
use super::layout::Hashing;
use super::report;
use crate::generate::recipe::{CHECKSUMS, Package, REPORT};
use crate::model::Sha256Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
enum Origin {
    /// A collected artifact.
    Artifact(PathBuf),
    /// A text that is made for the package.
    Made(String),
}

/// A file of a package.
#[derive(Clone, Debug)]
pub(super) struct Item {
    origin: Origin,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its SHA-256, hexadecimal.
    pub(super) sha256: String,
}

/// A collected artifact, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    /// The file.
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub(super) sha256: String,
}

/// The files by their path in the package, in the order of the bytes of their paths.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) files: BTreeMap<String, Item>,
}

impl Contents {
    /// Lays the files out as the recipe has it; `artifacts` are by name.
    pub(super) fn new(
        package: &Package,
        artifacts: &BTreeMap<String, Artifact>,
        facts: &Facts,
    ) -> Self {
        let mut files = BTreeMap::new();
        for (name, to) in &package.files {
            // The recipe's reader has held the names against those of the artifacts.
            if let Some(artifact) = artifacts.get(name) {
                let item = Item {
                    origin: Origin::Artifact(artifact.path.clone()),
                    size: artifact.bytes,
                    sha256: artifact.sha256.clone(),
                };
                files.insert(package.place(to), item);
            }
        }
        let report = report::text(package, &files, facts);
        files.insert(package.place(REPORT), made(report));
        let below = |path: &String| path.strip_prefix(&package.place("")).map(str::to_owned);
        let lines = files.iter().filter_map(|(path, item)| {
            // As sha256sum writes it: two spaces, a path relative to the list.
            Some(format!("{}  {}\n", item.sha256, below(path)?))
        });
        let checksums = lines.collect::<String>();
        files.insert(package.place(CHECKSUMS), made(checksums));
        Self { files }
    }

    /// Opens one file; what is read is held to the digest it had when it was collected.
    pub(super) fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let Some(item) = self.files.get(path) else {
            return Err(io::Error::other(format!("{path} is no file of it")));
        };
        match &item.origin {
            Origin::Made(text) => Ok(Box::new(text.as_bytes())),
            Origin::Artifact(from) => Ok(Box::new(Checked {
                file: File::open(from)?.take(item.size),
                hasher: Hashing::new(io::sink()),
                item,
            })),
        }
    }

    /// Writes all of them as a tar archive in gzip; gives the digest of the archive itself.
    ///
    /// Names sorted, folders before what is in them, no owner, no time, and of the modes only
    /// whether a file is a program: what differs from machine to machine is left out.
    pub(super) fn archive(&self, to: &mut dyn Write) -> io::Result<Sha256Digest> {
        let mut builder = tar::Builder::new(Hashing::new(Stored::new(to)?));
        let mut last = "";
        for (path, item) in &self.files {
            for folder in folders(path) {
                // Where the file before is in it, it has been written.
                if !last.starts_with(&format!("{folder}/")) {
                    let mut header = header(tar::EntryType::Directory, 0o755, 0);
                    builder.append_data(&mut header, format!("{folder}/"), io::empty())?;
                }
            }
            let mode = if item.is_program()? { 0o755 } else { 0o644 };
            let mut header = header(tar::EntryType::Regular, mode, item.size);
            builder.append_data(&mut header, path, self.open(path)?)?;
            last = path.as_str();
        }
        let (stored, digest, _) = builder.into_inner()?.finish();
        stored.finish()?;
        Ok(digest)
    }
}

impl Item {
    /// Tells whether its owner may run it.
    fn is_program(&self) -> io::Result<bool> {
        match &self.origin {
            Origin::Made(_) => Ok(false),
            Origin::Artifact(path) => Ok(path.metadata()?.permissions().mode() & 0o100 != 0),
        }
    }
}

/// Reads an artifact, and ends with an error where it is not what was collected.
struct Checked<'i> {
    file: io::Take<File>,
    hasher: Hashing<io::Sink>,
    item: &'i Item,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher
            .write_all(buffer.get(..read).unwrap_or_default())?;
        if read == 0 && !buffer.is_empty() && !self.hasher.saw(self.item.size, &self.item.sha256) {
            return Err(io::Error::other(
                "an artifact changed after it was collected: something still writes it",
            ));
        }
        Ok(read)
    }
}

fn made(text: String) -> Item {
    Item {
        size: text.len() as u64,
        sha256: Sha256Digest::of(text.as_bytes()).to_string(),
        origin: Origin::Made(text),
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Lists the folders of a path, the outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// Names what all files lie in, where that is one folder.
pub(super) fn top(files: &BTreeMap<String, Item>) -> Option<String> {
    let mut tops = files
        .keys()
        .map(|path| path.split_once('/').map(|(top, _)| top));
    let first = tops.next()??;
    tops.all(|top| top == Some(first)).then(|| first.to_owned())
}

/// Digests what the artifacts are, whatever is said about them.
pub(super) fn sameness(package: &Package, artifacts: &BTreeMap<String, Artifact>) -> String {
    let lines = package.files.iter().filter_map(|(name, to)| {
        let artifact = artifacts.get(name)?;
        Some(format!("{}  {to}\n", artifact.sha256))
    });
    Sha256Digest::of(lines.collect::<String>().as_bytes()).to_string()
}
