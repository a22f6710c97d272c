//! One entry of each side: what is said of it, and what is in it.

use std::sync::Arc;

use super::change::Trouble;
use super::contents::Contents;
use super::facts::{self, Failed, Sort};
use super::meta::{self, Says};
use super::role::is_kernel;
use super::{Difference, Options, Side, bytes, text};
use crate::format::{Compression, Content, Entry, FileType};
use crate::image::{Image, ImageError};
use crate::inspect::walk::name_of;
use crate::model::Sha256Digest;

/// Larger compressed files are looked at one at a time: what they decode to is
/// held in memory.
const MAX_AT_ONCE: u64 = 1 << 20;

/// What came of two entries.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) differences: Vec<Difference>,
    pub(super) text: Option<String>,
    /// What the second one is by its content.
    pub(super) content: &'static str,
    /// Which extension it is the image of.
    pub(super) role: Option<String>,
    pub(super) troubles: Vec<Trouble>,
    /// Whether the bytes differ while what they hold does not.
    pub(super) repacked: bool,
    pub(super) next: Next,
}

/// What is left to be done about two entries.
#[derive(Debug, Default)]
pub(super) enum Next {
    /// Nothing.
    #[default]
    Done,
    /// To be looked at alone, because it may take much memory.
    Alone,
    /// To be gone into.
    Inside(Arc<Image>, Arc<Image>),
}

pub(super) struct Compare<'c> {
    pub(super) pair: &'c [Contents; 2],
    pub(super) says: Says,
    pub(super) options: &'c Options,
    /// Whether containers may be entered.
    pub(super) deeper: bool,
}

type Sides = [Option<Arc<Image>>; 2];

impl Compare<'_> {
    /// Looks at two entries. `alone` says that nothing else is looked at
    /// meanwhile.
    pub(super) fn entries(&self, a: &Entry, b: &Entry, alone: bool) -> Outcome {
        let mut outcome = Outcome {
            differences: meta::differences(&a.meta, &b.meta, self.says, self.options),
            ..Outcome::default()
        };
        outcome.differences.extend(meta::layer(self.pair, [a, b]));
        if a.meta.kind != FileType::File || b.meta.kind != FileType::File {
            return outcome;
        }
        let result = self
            .opened(a, b)
            .and_then(|images| self.content(images, [&a.path, &b.path], alone, &mut outcome));
        if let Err((side, error)) = result {
            outcome.troubles.push(Trouble::new(side, &error));
        }
        outcome
    }

    fn opened(&self, a: &Entry, b: &Entry) -> Result<Sides, Failed> {
        // Of files that may be no containers their sizes say enough.
        if !self.options.content && a.meta.size == b.meta.size && a.meta.size < 512 {
            return Ok([None, None]);
        }
        let open = |side: Side, entry| {
            let contents = super::contents::of(self.pair, side);
            contents.open(entry).map_err(|error| (side, error))
        };
        Ok([open(Side::A, a)?, open(Side::B, b)?])
    }

    /// Looks at the content of two files; `None` is an empty one.
    pub(super) fn content(
        &self,
        images: Sides,
        paths: [&str; 2],
        alone: bool,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        let (a, b) = match &images {
            [Some(a), Some(b)] => (a, b),
            [None, None] => return Ok(()),
            [a, b] => return self.one_empty(a.as_ref(), b.as_ref(), outcome),
        };
        if self.options.content && same_bytes(a, b)? {
            return Ok(());
        }
        outcome.content = name_of(b);
        let light = is_light(a) && is_light(b);
        if !(alone || light) {
            outcome.next = Next::Alone;
            return Ok(());
        }
        if self.deeper && holds(Side::A, a)? && holds(Side::B, b)? {
            if alone {
                outcome.next = Next::Inside(Arc::clone(a), Arc::clone(b));
            } else {
                outcome.next = Next::Alone;
            }
            return Ok(());
        }
        self.leaf([a, b], paths, outcome)
    }

    fn one_empty(
        &self,
        a: Option<&Arc<Image>>,
        b: Option<&Arc<Image>>,
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        outcome.content = b.map_or("empty", name_of);
        let size = |side, image: Option<&Arc<Image>>| {
            image.map_or(Ok(0), |image| image.size().map_err(|error| (side, error)))
        };
        outcome.differences.extend(Difference::both(
            "size",
            size(Side::A, a)?,
            size(Side::B, b)?,
        ));
        if self.options.content {
            let digest = |side, image: Option<&Arc<Image>>| match image {
                Some(image) => image.digest().map_err(|error| (side, error)),
                None => Ok(Sha256Digest::of(b"")),
            };
            digests(outcome, digest(Side::A, a)?, digest(Side::B, b)?);
        }
        Ok(())
    }

    /// Compares two files that differ and are not gone into.
    fn leaf(
        &self,
        images: [&Arc<Image>; 2],
        paths: [&str; 2],
        outcome: &mut Outcome,
    ) -> Result<(), Failed> {
        let [a, b] = images;
        if !self.options.content {
            let size = |side, image: &Image| image.size().map_err(|error| (side, error));
            let size = Difference::both("size", size(Side::A, a)?, size(Side::B, b)?);
            outcome.differences.extend(size);
            return Ok(());
        }
        let [from_a, from_b] = [decoded(Side::A, a)?, decoded(Side::B, b)?];
        let compression = |image: &Image| match image.content() {
            Some(Content::Compressed(compression)) => compression,
            Some(_) | None => Compression::None,
        };
        if compression(a) != Compression::None
            && compression(b) != Compression::None
            && equal_bytes(&from_a, &from_b)?
        {
            let name = |image| compression(image).name();
            let packing = Difference::both("compression", name(a), name(b));
            outcome.repacked = packing.is_none();
            outcome.differences.extend(packing);
            return Ok(());
        }
        let (old, new) = (name_of(a), name_of(b));
        outcome
            .differences
            .extend(Difference::both("content is", old, new));
        let size = |side, image: &Image| image.size().map_err(|error| (side, error));
        let size = Difference::both("size", size(Side::A, a)?, size(Side::B, b)?);
        outcome.differences.extend(size);
        let facts = facts::of_binaries([&from_a, &from_b])?;
        let mut told = !facts.is_empty();
        outcome.differences.extend(facts);
        let texts = [small(Side::A, &from_a)?, small(Side::B, &from_b)?];
        if let [Some(a), Some(b)] = texts.each_ref().map(|bytes| text::read(bytes.as_ref()?)) {
            let sort = Sort::of(paths[1]).filter(|sort| Sort::of(paths[0]) == Some(*sort));
            if let Some(sort) = sort {
                let read = sort.differences(a, b, from_a.limits());
                outcome.content = sort.name();
                told |= !read.is_empty();
                outcome.differences.extend(read);
            }
            if !told {
                outcome.text = text::unified(a, b);
            }
        }
        let digest = |side, image: &Image| image.digest().map_err(|error| (side, error));
        digests(outcome, digest(Side::A, a)?, digest(Side::B, b)?);
        Ok(())
    }
}

fn digests(outcome: &mut Outcome, a: Sha256Digest, b: Sha256Digest) {
    outcome.differences.push(Difference {
        field: "content".to_owned(),
        a: Some(format!("sha256:{a}")),
        b: Some(format!("sha256:{b}")),
    });
}

/// Tells whether two files have the same bytes as they are stored.
fn same_bytes(a: &Arc<Image>, b: &Arc<Image>) -> Result<bool, Failed> {
    // A container tells the size of a file without reading it.
    let size = |image: &Arc<Image>| image.metadata().map(|meta| meta.size);
    match (size(a), size(b)) {
        (Some(a), Some(b)) if a != b => Ok(false),
        _ => equal_bytes(a, b),
    }
}

/// Tells whether two images have the same bytes, whatever is said of them.
pub(super) fn equal_bytes(a: &Arc<Image>, b: &Arc<Image>) -> Result<bool, Failed> {
    let source = |side, image: &Arc<Image>| image.source().cloned().map_err(|error| (side, error));
    let (from_a, from_b) = (source(Side::A, a)?, source(Side::B, b)?);
    bytes::equal(&from_a, &from_b, a.limits()).map_err(|(side, error)| match side {
        Side::A => (side, a.failed(error)),
        Side::B => (side, b.failed(error)),
    })
}

/// Tells whether looking at a file takes little memory: it is no container, and
/// decodes to little.
fn is_light(image: &Image) -> bool {
    let size = image.metadata().map_or(u64::MAX, |meta| meta.size);
    match image.content() {
        Some(Content::Elf | Content::Wasm | Content::Xfs | Content::Empty) => true,
        // Zeros may be the padding before a segment of an initramfs.
        Some(Content::Unknown) => !image.head().starts_with(&[0]),
        Some(Content::Compressed(_)) => size <= MAX_AT_ONCE,
        Some(_) | None => false,
    }
}

/// Tells whether a file is a container that is gone into.
pub(super) fn holds(side: Side, image: &Arc<Image>) -> Result<bool, Failed> {
    // The sections of programs and kernels are no files: they are compared by what they are for.
    let program = image.is_program().map_err(|error| (side, error))?;
    if program || is_kernel(&*decoded(side, image)?) {
        return Ok(false);
    }
    match image.tree() {
        Ok(_) => Ok(true),
        Err(ImageError::NoTree { .. }) => Ok(false),
        Err(error) => Err((side, error)),
    }
}

/// Gives what a compressed file decompresses to, anything else as it is.
pub(super) fn decoded(side: Side, image: &Arc<Image>) -> Result<Arc<Image>, Failed> {
    let decoded = image.decoded().map_err(|error| (side, error))?;
    Ok(Arc::clone(decoded.unwrap_or(image)))
}

/// Reads a file that may be a small text.
fn small(side: Side, image: &Arc<Image>) -> Result<Option<crate::format::Bytes>, Failed> {
    if image.content() != Some(Content::Unknown) {
        return Ok(None);
    }
    let most = text::MAX_BYTES;
    let read = image.source().and_then(|source| {
        source
            .up_to(0, most as usize + 1)
            .map_err(|error| image.failed(error))
    });
    let bytes = read.map_err(|error| (side, error))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}
