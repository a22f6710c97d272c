//! What `file` and `tree` say of one entry, wherever the entry is: on disk or inside an image.

use super::attributes::Attributes;
use super::{Context, ProbeError};
use crate::format::node::Metadata;
use crate::format::{Entry, FileType, Reader};
use crate::image::{Image, MergedEntry, Pattern, xattrs};
use crate::model::path::normalise;
use crate::model::{Address, Sha256Digest};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One entry of a tree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct FileEntry {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its permissions, as four octal digits: `0755`.
    pub mode: String,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Where it points, of a symbolic link.
    pub target: Option<String>,
    /// The layer it comes from: `rootfs.sqsh` or an extension; absent on disk.
    pub layer: Option<String>,
    /// Its SELinux label, the attribute `security.selinux`.
    pub label: Option<String>,
    /// Its file capabilities, each as `getcap` writes one: `cap_net_admin+ep`. Some that are for one
    /// user namespace end with `rootid=N`; what the kernel would not take is `invalid`.
    pub capabilities: Vec<String>,
    /// All its extended attributes: names and values, as text.
    pub xattrs: BTreeMap<String, String>,
}

/// A path inside an image, without leading `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "image-path"))]
pub struct ImagePath(pub String);

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Something Linux has no name for.
    Unknown,
}

impl From<FileType> for EntryType {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::File => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl FileEntry {
    /// Makes the entry of a node in an archive or a file system.
    pub fn of_node(path: &str, meta: &Metadata, layer: Option<&str>) -> Self {
        let Attributes {
            label,
            capabilities,
            xattrs,
        } = Attributes::of(&meta.xattrs);
        Self {
            // The root of an archive is written as tools show it.
            path: if path.is_empty() { "." } else { path }.to_owned(),
            kind: meta.kind.into(),
            size: meta.size,
            mode: format!("{:04o}", meta.permissions()),
            uid: meta.uid,
            gid: meta.gid,
            target: meta.target.clone(),
            layer: layer.map(str::to_owned),
            label,
            capabilities,
            xattrs,
        }
    }

    fn on_disk(path: String, at: &Path, meta: &std::fs::Metadata) -> Result<Self, ProbeError> {
        let target = std::fs::read_link(at).ok();
        let said = |error: io::Error| super::local::unreadable(at, &error);
        // Where a link was followed, they are those of what it leads to.
        let found = match target.is_some() && !meta.is_symlink() {
            true => xattrs(&at.canonicalize().map_err(said)?),
            false => xattrs(at),
        };
        let found = found.map_err(said)?;
        let Attributes {
            label,
            capabilities,
            xattrs,
        } = Attributes::of(&found);
        Ok(Self {
            path,
            kind: FileType::of_mode(meta.mode()).into(),
            size: meta.len(),
            mode: format!("{:04o}", meta.mode() & 0o7777),
            uid: meta.uid(),
            gid: meta.gid(),
            target: target.map(|t| t.to_string_lossy().into_owned()),
            layer: None,
            label,
            capabilities,
            xattrs,
        })
    }
}

/// A tree of entries.
pub enum Tree {
    /// A folder on disk.
    Disk(PathBuf),
    /// The merged view of an image.
    Image(Arc<Image>),
}

impl Tree {
    /// Opens a subject as a tree: a folder as it is, any other file, and a folder that is an OCI
    /// image layout, as an image.
    ///
    /// # Errors
    /// Where it is missing, or is a file that is no image with a tree in it.
    pub fn open(subject: &Address, context: &Context<'_>) -> Result<Self, ProbeError> {
        let Some(path) = subject.disk_path() else {
            return Ok(Self::Image(context.image(subject)?));
        };
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() && !path.join("oci-layout").is_file() => {
                Ok(Self::Disk(path.to_owned()))
            }
            Ok(meta) if meta.is_dir() => {
                let image = context.image(subject)?;
                Ok(match image.oci()? {
                    Some(_) => Self::Image(image),
                    None => Self::Disk(path.to_owned()),
                })
            }
            Err(error) if !Pattern::is_pattern(subject.source()) => {
                Err(super::local::unreadable(path, &error))
            }
            Ok(_) | Err(_) => Ok(Self::Image(context.image(subject)?)),
        }
    }

    /// Lists the entries that a glob covers, sorted by path.
    ///
    /// # Errors
    /// Where a part cannot be read: an incomplete list proves nothing.
    pub fn list(&self, glob: &str) -> Result<Vec<FileEntry>, ProbeError> {
        let found = self.covered(glob)?;
        if found.is_empty() && !Pattern::is_pattern(glob) {
            return self.behind_links(&normalise(glob));
        }
        Ok(found)
    }

    /// Finds the one entry that a path leads to through links of folders, inside the tree.
    fn behind_links(&self, path: &str) -> Result<Vec<FileEntry>, ProbeError> {
        match self {
            Self::Image(image) if !image.is_layered()? => {
                let entry = image.find(path)?;
                let layer = Some(image.tree()?.format());
                let entry = entry.map(|e| FileEntry::of_node(&e.path, &e.meta, layer));
                Ok(entry.into_iter().collect())
            }
            Self::Image(image) => {
                let merged = image.merged()?;
                let entry = merged.resolve(path).ok();
                let entry =
                    entry.map(|e| FileEntry::of_node(&e.path, &e.meta, Some(merged.layer(e))));
                Ok(entry.into_iter().collect())
            }
            Self::Disk(root) => {
                let inside = root.canonicalize().unwrap_or_else(|_| root.clone());
                let Ok(real) = inside.join(path).canonicalize() else {
                    return Ok(Vec::new());
                };
                let Ok(relative) = real.strip_prefix(&inside) else {
                    let shown = crate::model::path::printable(path);
                    return Err(ProbeError::new(format!(
                        "{shown} leads out of {} through a link",
                        root.display()
                    )));
                };
                let meta =
                    std::fs::metadata(&real).map_err(|e| super::local::unreadable(&real, &e))?;
                let path = normalise(&relative.to_string_lossy());
                Ok(vec![FileEntry::on_disk(path, &real, &meta)?])
            }
        }
    }

    fn covered(&self, glob: &str) -> Result<Vec<FileEntry>, ProbeError> {
        let pattern = pattern(glob)?;
        match self {
            // Not the whole tree for one path, nor for one directory.
            Self::Image(image) if !image.is_layered()? => {
                let layer = Some(image.tree()?.format());
                let entry = |e: &Entry| FileEntry::of_node(&e.path, &e.meta, layer);
                if !Pattern::is_pattern(glob) {
                    return Ok(image.exactly(&normalise(glob))?.iter().map(entry).collect());
                }
                let found = image.covered(&normalise(glob))?;
                Ok(found.iter().map(|found| entry(found)).collect())
            }
            Self::Image(image) => {
                let merged = image.merged()?;
                let entry =
                    |e: &MergedEntry| FileEntry::of_node(&e.path, &e.meta, Some(merged.layer(e)));
                Ok(merged.glob(&pattern).map(entry).collect())
            }
            Self::Disk(root) => disk_list(root, &pattern),
        }
    }

    /// Opens the content of a regular file, following links inside the tree only.
    ///
    /// # Errors
    /// Where there is no such file, or it leads out of the tree.
    pub fn read(&self, path: &str) -> Result<Box<dyn Read + '_>, ProbeError> {
        match self {
            Self::Image(image) if !image.is_layered()? => {
                Ok(Box::new(Reader::new(image.entry(path)?.open()?)))
            }
            Self::Image(image) => {
                let merged = image.merged()?;
                let entry = merged
                    .resolve(path)
                    .map_err(|e| ProbeError::new(format!("{}: {e}", image.path().display())))?;
                Ok(Box::new(Reader::new(merged.open(entry)?)))
            }
            Self::Disk(root) => {
                let said = |e: &io::Error| super::local::unreadable(&root.join(path), e);
                let real = root.join(path).canonicalize().map_err(|e| said(&e))?;
                let inside = root.canonicalize().map_err(|e| said(&e))?;
                if !real.starts_with(&inside) {
                    let shown = crate::model::path::printable(path);
                    return Err(ProbeError::new(format!(
                        "{shown} is a link that leads out of {}",
                        root.display()
                    )));
                }
                if !real.is_file() {
                    return Err(ProbeError::new(format!("{} is not a file", real.display())));
                }
                Ok(Box::new(std::fs::File::open(&real).map_err(|e| said(&e))?))
            }
        }
    }
}

/// Reads a glob argument.
pub fn pattern(glob: &str) -> Result<Pattern, ProbeError> {
    Pattern::new(glob).map_err(|e| ProbeError::new(e.to_string()))
}

/// No folder is walked further than this.
const MAX_ENTRIES: usize = 2_000_000;

fn disk_list(root: &Path, pattern: &Pattern) -> Result<Vec<FileEntry>, ProbeError> {
    let reach = Reach::of(pattern.text());
    let mut entries = Vec::new();
    for (seen, entry) in walkdir::WalkDir::new(root)
        .min_depth(1)
        .max_depth(reach.depth)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| reach.leads_to(entry.depth(), entry.file_name()))
        .enumerate()
    {
        if seen >= MAX_ENTRIES {
            return Err(ProbeError::new(format!(
                "{} holds more than {MAX_ENTRIES} entries",
                root.display()
            )));
        }
        let entry = entry.map_err(|e| ProbeError::new(e.to_string()))?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let path = normalise(&relative.to_string_lossy());
        if pattern.matches(&path) {
            let meta = entry
                .metadata()
                .map_err(|e| ProbeError::new(e.to_string()))?;
            entries.push(FileEntry::on_disk(path, entry.path(), &meta)?);
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Which part of a folder a glob can cover: nothing else is walked.
struct Reach {
    /// The components before the first one that is a pattern.
    literal: Vec<String>,
    /// How deep a path can be.
    depth: usize,
}

impl Reach {
    fn of(glob: &str) -> Self {
        let glob = normalise(glob);
        let literal = glob
            .split('/')
            .take_while(|part| !Pattern::is_pattern(part));
        // A brace may hold a `/`, and `**` any number of them.
        let torn = |part: &str| part.matches('{').count() != part.matches('}').count();
        let open = glob.contains("**") || glob.split('/').any(torn);
        Self {
            literal: literal.map(str::to_owned).collect(),
            depth: if open {
                usize::MAX
            } else {
                glob.split('/').count()
            },
        }
    }

    fn leads_to(&self, depth: usize, name: &std::ffi::OsStr) -> bool {
        let wanted = depth.checked_sub(1).and_then(|i| self.literal.get(i));
        wanted.is_none_or(|wanted| name == wanted.as_str())
    }
}

/// Gives the entry of one path of this machine's disk, links followed; `None` where nothing is there.
pub fn disk_file(path: &Path) -> Result<Option<FileEntry>, ProbeError> {
    match std::fs::metadata(path) {
        Ok(meta) => {
            let shown = path.display().to_string();
            Ok(Some(FileEntry::on_disk(shown, path, &meta)?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(super::local::unreadable(path, &error)),
    }
}

/// Digests what a reader yields.
pub fn digest(reader: impl Read, what: &str) -> Result<String, ProbeError> {
    let digest = Sha256Digest::of_reader(reader);
    digest
        .map(|d| d.to_string())
        .map_err(|e| ProbeError::new(format!("{what}: {e}")))
}
