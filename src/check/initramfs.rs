//! `initramfs`: every segment of an initramfs, and what is in it.

use super::entry::{FileEntry, ImagePath};
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// It takes no arguments; the initramfs is the subject.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the kernel would unpack, and from where.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How many segments there are: archives, each raw or compressed, one after another.
    pub segments: u64,
    /// The segments in their order.
    pub layout: Vec<Segment>,
    /// How many entries all segments have.
    pub count: u64,
    /// The entries of all segments, in the order the kernel unpacks them. Content of squashfs
    /// images inside is seen by `file`, `tree`, `elf` and `extension`.
    pub entries: Vec<FileEntry>,
    /// Paths that are there more than once; the last one wins.
    pub duplicates: Vec<ImagePath>,
    /// Paths that are absolute in the archive or hold a `..`.
    pub escaping: Vec<ImagePath>,
    /// The size of everything once decoded.
    #[schemars(extend("x-unit" = "bytes"))]
    pub decoded_size: u64,
}

/// One segment.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Segment {
    /// Its place, counted from 0.
    pub index: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// How it is compressed, by its content: `none`, `gzip`, `zstd`, `xz`, `lz4`, …
    #[schemars(extend("enum" = ["none", "gzip", "zstd", "xz", "lz4", "bzip2", "lzma", "lzo"]))]
    pub compression: String,
    /// Its size in the file.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its size once decoded.
    #[schemars(extend("x-unit" = "bytes"))]
    pub decoded_size: u64,
    /// How many entries it has.
    pub entries: u64,
    /// Why a kernel may not take it although it can be read.
    pub caveat: Option<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "initramfs";
    const SUMMARY: &'static str = "an initramfs: every segment, every entry";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: every segment is read
  initramfs:
  in: _out/assets/initramfs-metal-arm64.xz
  expect:
    segments: { ge: 2 }
    entries: { contain: [init, rootfs.sqsh, extensions.yaml] }
    duplicates: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &[
        "segments",
        "layout",
        "entries",
        "duplicates",
        "escaping",
        "decoded-size",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        _: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no initramfs is named"))?;
        let image = context.image(subject)?;
        let initramfs = image.initramfs()?;
        let layout = initramfs.segments().iter().map(|s| Segment {
            index: s.index as u64,
            offset: s.offset,
            compression: s.compression.name().to_owned(),
            size: s.size,
            decoded_size: s.decoded_size,
            entries: s.entries as u64,
            caveat: s.caveat.map(str::to_owned),
        });
        let layout: Vec<Segment> = layout.collect();
        let mut seen = std::collections::HashSet::new();
        let mut duplicates = Vec::new();
        let mut escaping = Vec::new();
        let mut entries = Vec::new();
        for located in initramfs.entries() {
            let entry = &located.entry;
            let directory = entry.meta.kind == crate::format::FileType::Directory;
            // Each segment may make the same directory again; a file twice is another matter.
            if !seen.insert(entry.path.as_str()) && !directory {
                duplicates.push(ImagePath(entry.path.clone()));
            }
            let absolute = entry.raw_name.as_ref().is_some_and(|n| n.starts_with(b"/"));
            if entry.escapes || absolute {
                escaping.push(ImagePath(entry.path.clone()));
            }
            entries.push(FileEntry::of_node(&entry.path, &entry.meta, None));
        }
        Ok(Evidence {
            segments: layout.len() as u64,
            layout,
            count: entries.len() as u64,
            entries,
            duplicates,
            escaping,
            decoded_size: initramfs.decoded_size(),
        })
    }
}
