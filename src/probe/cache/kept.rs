//! A source with what was kept of it in front.

use super::entry::{Entry, Held};
use super::lock::{Lock, Turn};
use super::pending::Pending;
use super::segment::{CHUNK, Row};
use super::{Key, Place};
use crate::format::{Bytes, FormatError, ReadAt, Source};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Decoding that took less is not worth a file on disk, nor a digest of what was decoded.
const WORTH: Duration = Duration::from_millis(50);
/// What lies this far in costs as much, whatever the clock says (16 MiB): others who want the same
/// are to wait from the first byte on.
const FAR: u64 = 64;
/// So much a digest may take before there is anything to be gained by it.
const CHEAP: Duration = Duration::from_millis(500);
/// A segment is given its name when it has this many bytes, so that little is lost when the
/// process is killed.
const SEGMENT: u64 = 64 << 20;
/// The chunks that are kept in mind while it is not known whether they are worth keeping.
const TOUCHED: usize = 256;

/// What it costs to get a chunk that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Decoding, perhaps of everything before the chunk. Kept once it has taken a while.
    Decoding,
    /// A request over a network. Always kept.
    Request,
    /// Fetching the whole source. Always kept, all of it.
    Download,
}

/// Makes the source when something of it is needed that is not kept.
pub type Make = Box<dyn Fn() -> Result<Source, FormatError> + Send + Sync>;

/// A source with what was kept of it in front. It gives what the source gives.
pub struct Kept {
    place: Place,
    what: String,
    cost: Cost,
    make: Make,
    made: OnceLock<Result<Source, FormatError>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    key: Option<Key>,
    entry: Entry,
    /// Whether what is read is kept.
    keeping: bool,
    /// Whether nothing is kept any more: the disk is full, or the file has changed.
    closed: bool,
    turn: Option<Turn>,
    pending: Option<Pending>,
    /// The bytes that this process has kept.
    stored: u64,
    spent: Duration,
    /// What finding the key takes.
    price: Duration,
    touched: BTreeSet<u64>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({}, {:?})", self.what, self.made.get())
    }
}

impl Kept {
    /// Puts what is kept in front of a source; see [`crate::format::Keep::keep`].
    pub fn new(place: &Place, what: &str, cost: Cost, make: Make) -> Self {
        let mut state = State::default();
        if let Some(key) = place.known(what) {
            state.entry.refresh(place.cache(), &key);
            state.key = Some(key);
        } else {
            state.price = place.price();
        }
        Self {
            place: place.clone(),
            what: what.to_owned(),
            cost,
            make,
            made: OnceLock::new(),
            state: Mutex::new(state),
        }
    }

    /// Says how long the source is, where that is known beforehand.
    #[must_use]
    pub fn sized(self, size: u64) -> Self {
        self.state().entry.size = Some(size);
        self
    }

    /// Tells whether the whole source is kept.
    pub fn is_whole(&self) -> bool {
        let state = self.state();
        let chunks = state.entry.size.map(|size| size.div_ceil(CHUNK));
        chunks.is_some_and(|chunks| state.entry.chunks.len() as u64 == chunks)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self) -> Result<&Source, FormatError> {
        let made = self.made.get_or_init(&self.make);
        made.as_ref().map_err(Clone::clone)
    }

    /// Gives what the source gives, and counts what that takes.
    fn ask<T>(
        &self,
        question: impl FnOnce(&Source) -> Result<T, FormatError>,
    ) -> Result<T, FormatError> {
        let begin = Instant::now();
        let lock = match &self.state().turn {
            Some(Turn::Ours(lock)) => Some(Arc::clone(lock)),
            Some(Turn::There | Turn::Alone) | None => None,
        };
        let _work = lock.as_deref().map(Lock::work);
        let answer = question(self.source()?);
        self.state().spent += begin.elapsed();
        answer
    }

    /// Reads from one chunk; gives 0 only at the end of the source.
    fn part(&self, chunk: u64, skip: u64, space: &mut [u8]) -> Result<usize, FormatError> {
        loop {
            let held = self.state().entry.chunks.get(&chunk).cloned();
            if let Some(held) = held {
                match self.serve(&held, skip, space) {
                    Some(read) => return Ok(read),
                    None => continue,
                }
            }
            if !self.is_kept(
                &mut self.state(),
                |entry| entry.chunks.contains_key(&chunk),
                chunk,
            ) {
                let at = (chunk * CHUNK).saturating_add(skip);
                return self.ask(|source| source.read_at(at, space));
            }
            if self.state().entry.chunks.contains_key(&chunk) {
                continue; // Another process has made it meanwhile.
            }
            let bytes = self.fetch(chunk)?;
            return bytes.read_at(skip, space);
        }
    }

    /// Reads from a chunk that is kept. `None` says that it was not what it was: it is forgotten,
    /// and with it all that lay in the same file.
    fn serve(&self, held: &Held, skip: u64, space: &mut [u8]) -> Option<usize> {
        let left = u64::from(held.row.length).saturating_sub(skip);
        let length = usize::try_from(left).unwrap_or(0).min(space.len());
        let space = space.get_mut(..length)?;
        let read = match held.verified {
            true => held.fill(skip, space),
            false => held.bytes().map(|bytes| {
                let _ = bytes.as_slice().read_at(skip, space);
                if let Some(held) = self.state().entry.chunks.get_mut(&held.row.chunk) {
                    held.verified = true;
                }
            }),
        };
        match (read, &held.segment) {
            (Ok(()), _) => Some(length),
            (Err(_), Some(segment)) => {
                self.state().entry.distrust(segment);
                None
            }
            (Err(_), None) => {
                // The disk fails under what was just written: do without.
                let mut state = self.state();
                state.entry.chunks.clear();
                state.closed = true;
                None
            }
        }
    }

    /// Tells whether what is read now is kept, and waits where another process is at it.
    fn is_kept(&self, state: &mut State, there: impl Fn(&Entry) -> bool, chunk: u64) -> bool {
        if state.closed {
            return false;
        }
        let due = match self.cost {
            // Whoever never comes back pays twice what it took, and no more.
            Cost::Decoding => {
                state.spent >= WORTH.max(state.price) || chunk >= FAR && state.price <= CHEAP
            }
            Cost::Request | Cost::Download => true,
        };
        if !state.keeping && !due {
            if state.touched.len() < TOUCHED {
                state.touched.insert(chunk);
            }
            return false;
        }
        let Some(key) = self.begin(state) else {
            return false;
        };
        if self.cost != Cost::Request && !matches!(state.turn, Some(Turn::Ours(_) | Turn::Alone)) {
            let (cache, entry) = (self.place.cache(), &mut state.entry);
            let turn = Lock::wait(cache, &key, self.place.deadline(), || {
                entry.refresh(cache, &key);
                there(entry)
            });
            state.turn = Some(turn);
        }
        true
    }

    /// Begins to keep; gives the key. `None` says that nothing can be kept.
    fn begin(&self, state: &mut State) -> Option<Key> {
        if !state.keeping {
            let known = state.key.or_else(|| self.place.found(&self.what));
            state.closed = known.is_none();
            state.key = known;
            state.entry.refresh(self.place.cache(), &known?);
            state.keeping = true;
        }
        state.key
    }

    /// Gets a chunk from the source and keeps it; of a download, all of them.
    fn fetch(&self, chunk: u64) -> Result<Bytes, FormatError> {
        let bytes = self.one(chunk)?;
        let size = self.state().entry.size;
        if let (Cost::Download, Some(size)) = (self.cost, size) {
            for other in 0..size.div_ceil(CHUNK) {
                let state = self.state();
                if state.closed {
                    break;
                }
                if !state.entry.chunks.contains_key(&other) {
                    drop(state);
                    self.one(other)?;
                }
            }
            self.commit(&mut self.state());
            // Nobody needs to wait any more.
            self.state().turn = Some(Turn::Alone);
        }
        Ok(bytes)
    }

    fn one(&self, chunk: u64) -> Result<Bytes, FormatError> {
        let begin = chunk * CHUNK;
        let (bytes, end) = self.ask(|source| {
            let bytes = source.up_to(begin, usize::try_from(CHUNK).unwrap_or(0))?;
            let end = match bytes.len() as u64 {
                CHUNK => None,
                0 => Some(source.size()?),
                length => Some(begin + length),
            };
            Ok((bytes, end))
        })?;
        let mut state = self.state();
        state.entry.size = state.entry.size.or(end);
        self.add(&mut state, chunk, &bytes);
        Ok(bytes)
    }

    fn add(&self, state: &mut State, chunk: u64, bytes: &Bytes) {
        if bytes.is_empty() || state.closed || state.entry.chunks.contains_key(&chunk) {
            return;
        }
        let row = Row::of(chunk, bytes);
        // No one source drives all others out.
        let bound = self.place.cache().bound() / 2;
        let added = (state.stored + row.stored() <= bound)
            .then(|| match state.pending.take() {
                Some(pending) => Ok(pending),
                None => Pending::new(self.place.cache()),
            })
            .and_then(Result::ok)
            .and_then(|mut pending| {
                let at = pending.add(&row, bytes).ok()?;
                Some((pending, at))
            });
        let Some((pending, at)) = added else {
            state.closed = true;
            return;
        };
        state.stored += row.stored();
        let held = Held {
            file: Arc::clone(&pending.file),
            segment: None,
            at,
            row,
            verified: true,
        };
        state.entry.chunks.insert(chunk, held);
        let full = pending.stored >= SEGMENT;
        state.pending = Some(pending);
        if full {
            self.commit(state);
        }
    }

    fn commit(&self, state: &mut State) {
        let (Some(pending), Some(key)) = (state.pending.take(), state.key) else {
            return;
        };
        let size = state.entry.size;
        let unchanged = self.place.is_unchanged();
        if !unchanged || pending.commit(self.place.cache(), &key, size).is_err() {
            state.closed = true;
        }
    }

    /// Keeps what was read, now that no more will be.
    fn finish(&self) {
        let mut state = self.state();
        let worth = state.keeping || state.spent >= WORTH.max(state.price);
        if state.closed || !worth || self.begin(&mut state).is_none() {
            return;
        }
        let touched = std::mem::take(&mut state.touched);
        let missing = touched
            .into_iter()
            .filter(|c| !state.entry.chunks.contains_key(c));
        let missing: Vec<u64> = missing.collect();
        let known = state.entry.size;
        if state.pending.is_none() && missing.is_empty() && known.is_none() {
            return;
        }
        drop(state);
        for chunk in missing {
            // They have been decoded already. What cannot be read again is not kept.
            if self.made.get().is_none_or(Result::is_err) || self.one(chunk).is_err() {
                break;
            }
        }
        let mut state = self.state();
        let key = state.key;
        if state.pending.is_some() {
            self.commit(&mut state);
            let (cache, entry) = (self.place.cache(), &mut state.entry);
            if let Some(key) = key {
                entry.merge(cache, &key);
            }
            cache.clean();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.finish();
    }
}

impl ReadAt for Kept {
    fn stream(&self) -> Option<Box<dyn std::io::Read + Send>> {
        // A decoder that is read front to back writes nothing down, and nothing is kept of it.
        let decoded = self.cost == Cost::Decoding && !self.is_whole();
        decoded.then(|| self.source().ok()?.stream()).flatten()
    }

    fn size(&self) -> Result<u64, FormatError> {
        if let Some(size) = self.state().entry.size {
            return Ok(size);
        }
        // It may be that all has to be decoded to know; or the source says it at once.
        let mut state = self.state();
        if state.keeping {
            self.is_kept(&mut state, |entry| entry.size.is_some(), FAR);
        }
        if let Some(size) = state.entry.size {
            return Ok(size);
        }
        drop(state);
        let size = self.ask(|source| source.size())?;
        let mut state = self.state();
        state.entry.size = Some(size);
        if state.keeping && !state.closed && state.pending.is_none() {
            state.pending = Pending::new(self.place.cache()).ok();
        }
        Ok(size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(space) = buffer.get_mut(done..).filter(|space| !space.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if self.state().entry.size.is_some_and(|size| at >= size) {
                break;
            }
            let (chunk, skip) = (at / CHUNK, at % CHUNK);
            let left = usize::try_from(CHUNK - skip).unwrap_or(0);
            let length = space.len().min(left);
            let space = space.get_mut(..length).unwrap_or_default();
            let read = self.part(chunk, skip, space)?;
            done += read;
            if read < length {
                break;
            }
        }
        Ok(done)
    }
}
