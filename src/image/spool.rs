//! A compressed stream as a source of the bytes that it decodes to.
//!
//! Small streams are decoded into memory. A large one, such as a disk image, is
//! decoded piece by piece into a temporary file without a name, only as far as
//! it is read. Blocks of zeros, of which disks are full, become holes there and
//! take no space.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::format::{Budget, Bytes, Compression, FormatError, Limits, ReadAt, Source, stream};

/// Streams of fewer compressed bytes are decoded into memory where what they
/// decode to is small as well.
const SMALL: u64 = 8 << 20;
/// What is decoded into memory at most; beyond it the stream starts over into a
/// file.
const IN_MEMORY: u64 = 64 << 20;
/// How much is decoded and written at a time.
const PIECE: usize = 1 << 20;
/// A block of zeros of this size becomes a hole.
const BLOCK: usize = 1 << 16;

/// Gives what a compressed source decodes to.
///
/// Errors where its compression cannot be read. What is wrong further in shows
/// when it is read: [`FormatError::Truncated`] and [`FormatError::Corrupt`]
/// where the stream is broken, [`FormatError::Limit`] where it decodes to more
/// than `max_decoded`, or to more bytes that are not zeros than
/// [`Limits::decoded_cap`] allows.
pub fn decoded(
    source: &Source,
    compression: Compression,
    limits: &Limits,
) -> Result<Source, FormatError> {
    let size = source.size()?;
    // Of lz4 there is no streaming decoder that tells a cut file.
    let whole = matches!(compression, Compression::Lz4 | Compression::Lz4Legacy);
    if size <= SMALL || whole {
        let input = source.up_to(0, usize::try_from(size).unwrap_or(usize::MAX))?;
        let cap = limits.decoded_cap(size);
        let mut budget = Budget::of(if whole { cap } else { cap.min(IN_MEMORY) });
        match stream::decode_all(compression, &input, &mut budget) {
            Ok(data) => return Ok(Arc::new(Bytes::new(data))),
            // Too much for memory: on disk there is more room.
            Err(FormatError::Limit { .. }) if !whole => {}
            Err(error) => return Err(error),
        }
    }
    let name = compression.name();
    let failed = |error: std::io::Error| FormatError::io(name, 0, error.to_string());
    let file = tempfile::tempfile().map_err(failed)?;
    let reader = stream::reader(compression, Arc::clone(source))?;
    Ok(Arc::new(Spool {
        name,
        file,
        limits: limits.clone(),
        cap: limits.decoded_cap(size),
        state: Mutex::new(State {
            reader: Some(reader),
            decoded: 0,
            stored: 0,
            failed: None,
        }),
    }))
}

/// A stream that is decoded as far as it has been read.
struct Spool {
    name: &'static str,
    file: File,
    limits: Limits,
    /// The most bytes that are not zeros.
    cap: u64,
    state: Mutex<State>,
}

struct State {
    /// `None` once the stream has ended.
    reader: Option<Box<dyn Read + Send>>,
    /// The bytes decoded so far, and those of them that are in the file.
    decoded: u64,
    stored: u64,
    /// What stopped it; it stops every later read in the same way.
    failed: Option<FormatError>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({})", self.name)
    }
}

impl Spool {
    /// Decodes until `end` or the end of the stream; gives how far that is.
    fn reach(&self, end: u64) -> Result<u64, FormatError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = Vec::new();
        while state.decoded < end && state.reader.is_some() {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            buffer.resize(PIECE, 0);
            if let Err(error) = self.piece(&mut state, &mut buffer) {
                state.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(state.decoded)
    }

    fn piece(&self, state: &mut State, buffer: &mut [u8]) -> Result<(), FormatError> {
        let at = state.decoded;
        self.limits.check_deadline(self.name, at)?;
        let Some(reader) = state.reader.as_mut() else {
            return Ok(());
        };
        let mut held = 0;
        while let Some(space) = buffer.get_mut(held..).filter(|space| !space.is_empty()) {
            match reader.read(space) {
                Ok(0) => {
                    state.reader = None;
                    break;
                }
                Ok(read) => held += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(stream::broken(self.name, at + held as u64, &error)),
            }
        }
        let data = buffer.get(..held).unwrap_or_default();
        for (index, block) in data.chunks(BLOCK).enumerate() {
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            state.stored += block.len() as u64;
            let place = at + (index * BLOCK) as u64;
            if state.stored > self.cap {
                return Err(Budget::of(self.cap).exceeded(self.name, place));
            }
            let written = self.file.write_all_at(block, place);
            written.map_err(|error| FormatError::io(self.name, place, error.to_string()))?;
        }
        state.decoded += held as u64;
        if state.decoded > self.limits.max_decoded {
            return Err(Budget::of(self.limits.max_decoded).exceeded(self.name, at));
        }
        if state.reader.is_none() {
            // A hole at the end belongs to the file as well.
            let sized = self.file.set_len(state.decoded);
            sized.map_err(|error| FormatError::io(self.name, at, error.to_string()))?;
        }
        Ok(())
    }
}

impl ReadAt for Spool {
    fn size(&self) -> Result<u64, FormatError> {
        self.reach(u64::MAX)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let wanted = offset.saturating_add(buffer.len() as u64);
        let reached = self.reach(wanted)?;
        let length = reached.saturating_sub(offset).min(buffer.len() as u64);
        let length = usize::try_from(length).unwrap_or(0);
        let part = buffer.get_mut(..length).unwrap_or_default();
        // What lies behind the last block that was written reads as nothing, and is zeros.
        part.fill(0);
        let mut done = 0;
        while let Some(rest) = part.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = self.file.read_at(rest, offset + done as u64);
            match read.map_err(|error| FormatError::io(self.name, offset, error.to_string()))? {
                0 => break,
                read => done += read,
            }
        }
        Ok(length)
    }
}
