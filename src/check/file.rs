//! `file`: one file, on disk, in a folder or inside an image.

use super::entry::{EntryType, FileEntry, Tree, digest, disk_file};
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::{Reader, whole};
use crate::image::{ImageError, Pattern};
use crate::model::Address;
use crate::model::path::normalise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The kind.
pub struct TheKind;

/// Which file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Its path, or a glob: inside the subject, or on disk where there is no subject. Left out,
    /// the subject itself.
    pub path: Option<String>,
}

/// What is there. Where a glob covers several files, the single fields speak of the first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether it is there.
    pub present: bool,
    /// How many files the path covers.
    pub count: u64,
    /// Its path.
    #[schemars(extend("format" = "image-path"))]
    pub path: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<EntryType>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
    /// Its permissions, as four octal digits: `0755`.
    pub mode: Option<String>,
    /// The number of its owner.
    pub uid: Option<u32>,
    /// The number of its group.
    pub gid: Option<u32>,
    /// Where it points, of a symbolic link.
    pub target: Option<String>,
    /// The layer it comes from, inside an image.
    pub layer: Option<String>,
    /// Its SELinux label, the attribute `security.selinux`.
    pub label: Option<String>,
    /// Its file capabilities, each as `getcap` writes one: `cap_net_admin+ep`.
    pub capabilities: Vec<String>,
    /// All its extended attributes: names and values, as text.
    pub xattrs: BTreeMap<String, String>,
    /// Its SHA-256 digest, of a regular file.
    pub sha256: Option<String>,
    /// Its text, of a regular file of at most 1 MiB in UTF-8.
    pub text: Option<String>,
    /// All files the path covers.
    pub files: Vec<FileEntry>,
}

impl Kind for TheKind {
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "one file: type, size, mode, owner, digest, text";
    const MAIN: Option<&'static str> = Some("path");
    const SUBJECT: SubjectUse = SubjectUse::Optional;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the shim is there and can be run
  file: /usr/local/bin/containerd-shim-spin-v2
  in: _out/assets/initramfs-metal-arm64.xz
  expect: { present: true, mode: \"0755\", size: { ge: 100 KiB } }";
    const DESCRIBES: &'static [&'static str] =
        &["present", "type", "size", "mode", "target", "sha256"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        args.path
            .as_deref()
            .map_or(Ok(()), |path| super::entry::pattern(path).map(drop))
    }

    fn rests_on(args: &Args, subject: Option<&Address>) -> RestsOn {
        match (&args.path, subject) {
            (Some(path), None) => RestsOn::Only(vec![Address::of_path(Path::new(path))]),
            (Some(_) | None, subject) => RestsOn::subject(subject),
        }
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        match (args.path, subject) {
            (Some(path), Some(subject)) => {
                let tree = Tree::open(subject, context)?;
                let files = tree.list(&path)?;
                match files.first() {
                    Some(first) if first.kind == EntryType::File && files.len() == 1 => {
                        let name = first.path.clone();
                        evidence(files, context, || tree.read(&name))
                    }
                    _ => evidence(files, context, || Ok(Box::new(std::io::empty()))),
                }
            }
            (Some(path), None) if Pattern::is_pattern(&path) => {
                let (folder, glob) = split_glob(&path);
                let folder = context.resolve(folder);
                if !folder.exists() {
                    return evidence(Vec::new(), context, || Ok(Box::new(std::io::empty())));
                }
                let tree = Tree::open(&Address::of_path(&folder), context)?;
                let files = tree.list(glob)?;
                let name = files.first().map(|f| f.path.clone()).unwrap_or_default();
                evidence(files, context, || tree.read(&name))
            }
            (Some(path), None) => on_disk(&context.resolve(&path), context),
            (None, Some(subject)) => match subject.disk_path() {
                Some(path) if !Pattern::is_pattern(subject.source()) => on_disk(path, context),
                Some(_) | None => inside(subject, context),
            },
            (None, None) => Err(ProbeError::new("no file is named")
                .remedy("write `file: path/to/it`, or name a subject")),
        }
    }
}

/// Splits a glob at its first component that is a pattern: the folder it begins in, and the rest.
fn split_glob(path: &str) -> (&str, &str) {
    let mut at = 0;
    for part in path.split_inclusive('/') {
        if Pattern::is_pattern(part) {
            break;
        }
        at += part.len();
    }
    match path.split_at(at) {
        ("", rest) => (".", rest),
        (folder, rest) => (folder, rest),
    }
}

fn on_disk(path: &Path, context: &Context<'_>) -> Result<Evidence, ProbeError> {
    let files: Vec<FileEntry> = disk_file(path)?.into_iter().collect();
    evidence(files, context, || {
        let file = File::open(path).map_err(|e| super::local::unreadable(path, &e))?;
        Ok(Box::new(file))
    })
}

/// Looks at what an address leads to, itself.
fn inside(subject: &Address, context: &Context<'_>) -> Result<Evidence, ProbeError> {
    let nothing = || evidence(Vec::new(), context, || Ok(Box::new(std::io::empty())));
    if let Some((container, last)) = subject.parent().filter(|(_, last)| !last.is_empty()) {
        // What is not there is evidence; that its container is not there is none.
        let container = context.image(&container)?;
        let entry = match container.entry(last) {
            Err(ImageError::NotThere { .. }) => return nothing(),
            entry => entry?,
        };
        let shown = FileEntry::of_node(&subject.to_string(), &entry.meta, None);
        return evidence(vec![shown], context, || {
            Ok(Box::new(Reader::new(entry.open()?)))
        });
    }
    let image = context.image(subject)?;
    // `FILE!/` is what the file decompresses to, with the owner and mode of the file.
    let outer = match subject.parent() {
        Some((outer, _)) => context.image(&outer)?,
        None => image.clone(),
    };
    let mut entry = match outer.metadata() {
        Some(meta) => FileEntry::of_node(&subject.to_string(), meta, None),
        None => match disk_file(outer.path())? {
            Some(entry) => entry,
            None => return nothing(),
        },
    };
    if !std::sync::Arc::ptr_eq(&outer, &image) {
        entry.size = image.size()?;
    }
    evidence(vec![entry], context, || Ok(whole(image.source()?)))
}

/// The text of larger files is no evidence; a digest is.
const MAX_TEXT: u64 = 1 << 20;

fn evidence<'r>(
    files: Vec<FileEntry>,
    context: &Context<'_>,
    open: impl Fn() -> Result<Box<dyn Read + 'r>, ProbeError>,
) -> Result<Evidence, ProbeError> {
    let first = files.first();
    let regular = files.len() == 1 && first.is_some_and(|f| f.kind == EntryType::File);
    let name = first.map_or("", |f| f.path.as_str());
    // A digest of a 2 GB image costs seconds: it is made only where a matcher asks for it.
    let sha256 = match regular && context.wants("sha256") {
        true => Some(digest(open()?, name)?),
        false => None,
    };
    let small = first.is_some_and(|f| f.size <= MAX_TEXT);
    let mut text = None;
    if regular && small && context.wants("text") {
        let mut bytes = Vec::new();
        let read = open()?.take(MAX_TEXT + 1).read_to_end(&mut bytes);
        read.map_err(|e| ProbeError::new(format!("{name}: {e}")))?;
        text = String::from_utf8(bytes).ok();
    }
    Ok(Evidence {
        present: first.is_some(),
        count: files.len() as u64,
        path: first.map(|f| f.path.clone()),
        kind: first.map(|f| f.kind),
        size: first.map(|f| f.size),
        mode: first.map(|f| f.mode.clone()),
        uid: first.map(|f| f.uid),
        gid: first.map(|f| f.gid),
        target: first.and_then(|f| f.target.clone()),
        layer: first.and_then(|f| f.layer.clone()),
        label: first.and_then(|f| f.label.clone()),
        capabilities: first.map(|f| f.capabilities.clone()).unwrap_or_default(),
        xattrs: first.map(|f| f.xattrs.clone()).unwrap_or_default(),
        sha256,
        text,
        files,
    })
}

/// Reads a subject that is a text file itself, wherever it is.
///
/// # Errors
/// Where it is not there, larger than `limit` or not UTF-8.
pub(super) fn text_of(
    context: &Context<'_>,
    subject: &Address,
    limit: u64,
) -> Result<String, ProbeError> {
    if let Some(path) = subject
        .disk_path()
        .filter(|_| !Pattern::is_pattern(subject.source()))
    {
        return super::local::read_text(path, limit);
    }
    let image = context.image(subject)?;
    let mut bytes = Vec::new();
    let read = Reader::new(image.source()?.clone())
        .take(limit + 1)
        .read_to_end(&mut bytes);
    read.map_err(|e| ProbeError::new(format!("{subject}: {e}")))?;
    if bytes.len() as u64 > limit {
        let limit = crate::model::size::show_size(limit);
        return Err(ProbeError::new(format!("{subject} is larger than {limit}")));
    }
    String::from_utf8(bytes).map_err(|_| ProbeError::new(format!("{subject} is not text")))
}

/// Reads a text file inside a subject, for kinds that look into documents.
///
/// # Errors
/// Where it is not there, too large or not UTF-8.
pub(super) fn text_inside(
    context: &Context<'_>,
    subject: &Address,
    path: &str,
) -> Result<String, ProbeError> {
    const MAX: u64 = 32 << 20;
    let tree = Tree::open(subject, context)?;
    let mut bytes = Vec::new();
    let path = normalise(path);
    let shown = format!("{path} in {subject}");
    let read = tree.read(&path)?.take(MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| ProbeError::new(format!("{shown}: {e}")))?;
    if bytes.len() as u64 > MAX {
        return Err(ProbeError::new(format!("{shown} is larger than 32 MiB")));
    }
    String::from_utf8(bytes).map_err(|_| ProbeError::new(format!("{shown} is not text")))
}
