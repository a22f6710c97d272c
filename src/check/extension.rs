//! `extension`: a Talos system extension inside an initramfs: listed, present, with content.

use super::entry::{FileEntry, ImagePath};
use crate::model::Address;
use super::{Context, Kind, ProbeError, SubjectUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// Which extension.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Its `metadata.name` in `extensions.yaml`; left out, the check is about all extensions.
    pub name: Option<String>,
}

/// What the initramfs says of it, and what is really there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether it is there as it has to be: listed, and its squashfs image present with content.
    pub present: bool,
    /// Whether `extensions.yaml` lists it.
    pub listed: bool,
    /// Whether the squashfs image that the list names is in the initramfs.
    pub image_present: bool,
    /// Whether that image holds nothing but directories and documents about itself.
    pub empty: bool,
    /// Its version as listed.
    pub version: Option<String>,
    /// The name of its squashfs image, as listed.
    pub image: Option<String>,
    /// Its author as listed.
    pub author: Option<String>,
    /// The range of Talos versions it says it is for.
    pub talos: Option<String>,
    /// Its place in the list, counted from 0; later ones lie over earlier ones.
    pub position: Option<u64>,
    /// How many entries its image has.
    pub count: u64,
    /// The entries of its image.
    pub files: Vec<FileEntry>,
    /// The names of all listed extensions, in order.
    pub all: Vec<String>,
    /// Names that are listed more than once.
    pub duplicates: Vec<String>,
    /// Squashfs images in the initramfs that the list does not name; Talos never mounts them.
    pub unlisted: Vec<ImagePath>,
    /// Listed names whose image is missing or has no content.
    pub hollow: Vec<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "extension";
    const SUMMARY: &'static str = "a Talos system extension: listed, present, non-empty, its files";
    const MAIN: Option<&'static str> = Some("name");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: spin is installed
  extension: spin
  in: _out/assets/initramfs-metal-arm64.xz
  expect:
    present: true
    version: { semver: \">=0.21\" }
    files: { contain: /usr/local/bin/containerd-shim-spin-v2 }";
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no initramfs is named"))?;
        let image = context.image(subject)?;
        let talos = image.talos()?.ok_or_else(|| {
            ProbeError::new(format!(
                "{subject} holds neither `rootfs.sqsh` nor `extensions.yaml`: no initramfs of Talos"
            ))
            .remedy("look at it with `initramfs` or `tree`; extensions are a part of Talos")
        })?;
        let mut hollow = Vec::new();
        for extension in &talos.extensions {
            if !extension.present() || extension.empty()? {
                hollow.push(extension.listed.name.clone());
            }
        }
        let found = args.name.as_deref().and_then(|name| talos.extension(name));
        let (image_present, empty, entries) = match found {
            Some(e) => (e.present(), e.empty()?, e.entries()?),
            None => (false, true, &[][..]),
        };
        let files: Vec<FileEntry> = entries
            .iter()
            .filter(|e| !e.path.is_empty())
            .map(|e| FileEntry::of_node(&e.path, &e.meta, None))
            .collect();
        let listed = found.map(|e| &e.listed);
        Ok(Evidence {
            present: match args.name {
                Some(_) => image_present && !empty,
                None => !talos.extensions.is_empty() && hollow.is_empty(),
            },
            listed: match args.name {
                Some(_) => found.is_some(),
                None => talos.has_list,
            },
            image_present,
            empty,
            version: listed.and_then(|l| l.version.clone()),
            image: listed.map(|l| l.image.clone()),
            author: listed.and_then(|l| l.author.clone()),
            talos: listed.and_then(|l| l.talos.clone()),
            position: found.map(|e| e.position as u64),
            count: files.len() as u64,
            files,
            all: talos.extensions.iter().map(|e| e.listed.name.clone()).collect(),
            duplicates: talos.duplicates.clone(),
            unlisted: talos.unlisted.iter().cloned().map(ImagePath).collect(),
            hollow,
        })
    }
}
