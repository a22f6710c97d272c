//! `tree`: which entries a folder or an image holds.

use super::entry::{EntryType, FileEntry, Tree};
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// Which part of the tree.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// A glob; everything where left out.
    pub glob: Option<String>,
}

/// What is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How many entries the glob covers.
    pub count: u64,
    /// How many of them are regular files.
    pub files: u64,
    /// The sizes of the regular files, added up.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// The entries, sorted by path.
    pub entries: Vec<FileEntry>,
}

impl Kind for TheKind {
    const NAME: &'static str = "tree";
    const SUMMARY: &'static str = "the entries of a folder or an image";
    const MAIN: Option<&'static str> = Some("glob");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: nothing is world-writable
  tree: usr/**
  in: _out/assets/initramfs-metal-arm64.xz
  expect: { entries: { none: { type: file, mode: { match: '[2367]$' } } } }";
    const DESCRIBES: &'static [&'static str] = &["count", "files", "size", "entries"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        super::entry::pattern(args.glob.as_deref().unwrap_or("**")).map(drop)
    }

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no tree is named"))?;
        let entries = Tree::open(subject, context)?.list(args.glob.as_deref().unwrap_or("**"))?;
        let regular = || entries.iter().filter(|e| e.kind == EntryType::File);
        Ok(Evidence {
            count: entries.len() as u64,
            files: regular().count() as u64,
            size: regular().map(|e| e.size).sum(),
            entries,
        })
    }
}
