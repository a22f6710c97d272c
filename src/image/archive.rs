//! The entries of an initramfs as a tree: what the kernel leaves after it has
//! unpacked every segment.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::format::initramfs::{Initramfs, Located, Outline};
use crate::format::tree::Visit;
use crate::format::{Compression, Entry, FileType, FormatError, Limits, Pieces, Source, Tree};

/// An initramfs: listed without keeping anything, or decoded into memory where
/// what is in it is asked for; each once. One that is larger than
/// [`Limits::max_in_memory`] is decoded segment by segment into temporary files.
#[derive(Debug)]
pub(super) struct Segments {
    source: Source,
    limits: Limits,
    listed: OnceLock<Option<Outline>>,
    /// The segments of a large one, each decoded by itself.
    parts: OnceLock<Vec<Part>>,
    decoded: OnceLock<Result<Arc<Initramfs>, FormatError>>,
    /// Held while it is decoded: two decodings of one bomb at a time would take
    /// twice the memory that one may.
    decoding: Mutex<()>,
}

impl Segments {
    pub(super) fn new(source: &Source, limits: &Limits) -> Self {
        Self {
            source: Source::clone(source),
            limits: limits.clone(),
            listed: OnceLock::new(),
            parts: OnceLock::new(),
            decoded: OnceLock::new(),
            decoding: Mutex::new(()),
        }
    }

    /// Gives the segments, decoded.
    ///
    /// Errors as [`Initramfs::read`], and above `max_input`.
    pub(super) fn decoded(&self) -> Result<&Arc<Initramfs>, FormatError> {
        self.decoded
            .get_or_init(|| {
                let _alone = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
                let head = self.source.up_to(0, crate::format::Content::HEAD)?;
                Initramfs::check_start(&head)?;
                if self.source.size()? > self.limits.max_input {
                    return Err(FormatError::Limit {
                        format: "initramfs",
                        offset: 0,
                        limit: "max_input",
                        value: self.limits.max_input,
                        remedy: "no initramfs in use is that large",
                    });
                }
                Initramfs::read(&self.source, &self.limits).map(Arc::new)
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Lists what can be listed without keeping what is decoded for it.
    fn outline(&self) -> Option<&Outline> {
        let list = || Initramfs::outline(&self.source, &self.limits);
        self.listed.get_or_init(list).as_ref()
    }

    /// Gives the entries; decodes into memory only where they cannot be had
    /// otherwise.
    fn entries(&self) -> Result<&[Located], FormatError> {
        if self.decoded.get().is_none()
            && let Some(outline) = self.outline()
        {
            return Ok(&outline.entries);
        }
        Ok(self.decoded()?.entries())
    }

    /// Gives the outline of an initramfs that is too large for memory.
    fn large(&self) -> Result<Option<&Outline>, FormatError> {
        let small = self.decoded.get().is_some()
            || self.limits.max_in_memory == u64::MAX
            || self.source.size()? <= self.limits.max_in_memory;
        Ok(if small { None } else { self.outline() })
    }

    /// Opens the content of an entry of a large one.
    fn part(&self, outline: &Outline, located: &Located) -> Result<Source, FormatError> {
        let parts = || outline.extents.iter().map(|_| Part::new()).collect();
        let part = self.parts.get_or_init(parts).get(located.segment);
        let extent = outline.extents.get(located.segment);
        let (Some(part), Some(extent)) = (part, extent) else {
            return Err(FormatError::corrupt("initramfs", 0, "no such segment"));
        };
        let decode = || {
            let stored = Pieces::range(&self.source, extent.offset, extent.length);
            match extent.compression {
                Compression::None => Ok(stored),
                packed => super::spool::decoded(&stored, packed, &self.limits),
            }
        };
        let decoded = part.get_or_init(decode).as_ref().map_err(Clone::clone)?;
        let data = &located.entry.data;
        let (start, length) = (data.start as u64, data.len() as u64);
        Ok(Pieces::range(decoded, start, length))
    }

    /// Gives the entries for whoever is about to read what they hold.
    pub(super) fn held(&self) -> Result<&[Located], FormatError> {
        match self.large()? {
            Some(outline) => Ok(&outline.entries),
            None => Ok(self.decoded()?.entries()),
        }
    }

    /// Opens the content of an entry.
    pub(super) fn content(&self, located: &Located) -> Result<Source, FormatError> {
        match self.large()? {
            Some(outline) => self.part(outline, located),
            None => Ok(Arc::new(self.decoded()?.content(located))),
        }
    }

    /// Gives how each segment is compressed.
    pub(super) fn compressions(&self) -> Result<Vec<Compression>, FormatError> {
        if self.decoded.get().is_none()
            && let Some(outline) = self.outline()
        {
            return Ok(outline.extents.iter().map(|e| e.compression).collect());
        }
        let segments = self.decoded()?.segments().iter();
        Ok(segments.map(|segment| segment.compression).collect())
    }
}

type Part = OnceLock<Result<Source, FormatError>>;

/// The tree of an initramfs. An entry's `inode` is its place among all entries
/// of all segments.
#[derive(Debug)]
pub(super) struct Archive {
    segments: Arc<Segments>,
    /// The places of the entries that last, sorted by path. Of several at one
    /// path that is the last, which the kernel lets win.
    lasting: OnceLock<Vec<usize>>,
}

impl Archive {
    pub(super) fn new(segments: Arc<Segments>) -> Self {
        let lasting = OnceLock::new();
        Self { segments, lasting }
    }

    fn lasting(&self, entries: &[Located]) -> &[usize] {
        self.lasting.get_or_init(|| {
            let path = |place: &usize| entries.get(*place).map(|located| &located.entry.path);
            let mut lasting: Vec<usize> = (0..entries.len()).collect();
            lasting.sort_by(|a, b| path(a).cmp(&path(b)).then(b.cmp(a)));
            lasting.dedup_by(|later, kept| path(later) == path(kept));
            lasting
        })
    }
}

fn entry(entries: &[Located], place: usize) -> Option<Entry> {
    let entry = &entries.get(place)?.entry;
    Some(Entry {
        path: entry.path.clone(),
        meta: entry.meta.clone(),
        inode: place as u64,
    })
}

impl Tree for Archive {
    fn format(&self) -> &'static str {
        "initramfs"
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        let entries = self.segments.entries()?;
        let lasting = self.lasting(entries).iter();
        lasting
            .filter_map(|place| entry(entries, *place))
            .filter(|entry| !entry.path.is_empty())
            .try_for_each(visit)
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        // Who looks for one file is about to read it.
        let entries = self.segments.held()?;
        let held = |place: &usize| entries.get(*place).map_or("", |l| l.entry.path.as_str());
        let lasting = self.lasting(entries);
        let found = lasting.binary_search_by(|place| held(place).cmp(path));
        let place = found.ok().and_then(|at| lasting.get(at));
        Ok(place.and_then(|place| entry(entries, *place)))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let place = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        let located = self.segments.held()?.get(place);
        match located.filter(|located| located.entry.meta.kind == FileType::File) {
            Some(located) => self.segments.content(located),
            None => {
                let what = format!("`{}` is no file", entry.path);
                Err(FormatError::corrupt("initramfs", 0, what))
            }
        }
    }

    fn expect_reads(&self) {
        // What is wrong shows where it is listed.
        if matches!(self.segments.large(), Ok(None)) {
            let _ = self.segments.decoded();
        }
    }
}
