//! A compressed stream as a source of the bytes that it decodes to.
//!
//! Small streams are decoded into memory. Of a file of blocks, those that are
//! read are decoded. Any other large one, such as a disk image, is decoded piece
//! by piece into a temporary file without a name, only as far as it is read.
//! Blocks of zeros, of which disks are full, become holes there and take no
//! space.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::blocks::{BlockSource, LARGEST};
use super::zeros::is_zeros;
use crate::format::stream::Blocks;
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

/// What several sources keep in memory together, such as the layers of an
/// image; what they decode to beyond it lies in files.
#[derive(Debug, Default)]
pub(super) struct Memory(AtomicU64);

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
    decoded_beside(source, compression, limits, &Memory::default())
}

/// Gives what a compressed source decodes to, beside others that share `memory`.
///
/// Errors as [`decoded`] does.
pub(super) fn decoded_beside(
    source: &Source,
    compression: Compression,
    limits: &Limits,
    memory: &Memory,
) -> Result<Source, FormatError> {
    let size = source.size()?;
    // Of lz4 there is no streaming decoder that tells a cut file.
    let whole = matches!(compression, Compression::Lz4 | Compression::Lz4Legacy);
    if size <= SMALL || whole {
        let input = source.up_to(0, usize::try_from(size).unwrap_or(usize::MAX))?;
        let cap = limits.decoded_cap(size);
        let left = IN_MEMORY.saturating_sub(memory.0.load(Ordering::Relaxed));
        let mut budget = Budget::of(if whole { cap } else { cap.min(left) });
        match stream::decode_all(compression, &input, &mut budget) {
            Ok(data) => {
                memory.0.fetch_add(data.len() as u64, Ordering::Relaxed);
                return Ok(Arc::new(Bytes::new(data)));
            }
            // Too much for memory: on disk there is more room.
            Err(FormatError::Limit { .. }) if !whole => {}
            Err(error) => return Err(error),
        }
    }
    if compression == Compression::Xz
        && let Some(blocks) = Blocks::find(source)?
        && blocks.largest() <= LARGEST
    {
        return Ok(Arc::new(BlockSource::new(blocks, size, limits)));
    }
    let name = compression.name();
    let failed = |error: std::io::Error| FormatError::io(name, 0, error.to_string());
    let file = tempfile::tempfile().map_err(failed)?;
    let reader = stream::reader(compression, Arc::clone(source))?;
    Ok(Arc::new(Spool {
        compression,
        source: Source::clone(source),
        file,
        limits: limits.clone(),
        cap: limits.decoded_cap(size),
        room: Room::of(size, limits),
        state: Mutex::new(State {
            reader: Some(reader),
            decoded: 0,
            failed: None,
        }),
    }))
}

/// A stream that is decoded as far as it has been read.
struct Spool {
    compression: Compression,
    source: Source,
    file: File,
    limits: Limits,
    /// The most bytes that are not zeros.
    cap: u64,
    room: Room,
    state: Mutex<State>,
}

struct State {
    /// `None` once the stream has ended.
    reader: Option<Box<dyn Read + Send>>,
    /// The bytes decoded so far.
    decoded: u64,
    /// What stopped it; it stops every later read in the same way.
    failed: Option<FormatError>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({})", self.name())
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

    fn name(&self) -> &'static str {
        self.compression.name()
    }

    fn piece(&self, state: &mut State, buffer: &mut [u8]) -> Result<(), FormatError> {
        let at = state.decoded;
        self.limits.check_deadline(self.name(), at)?;
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
                Err(error) => return Err(stream::broken(self.name(), at + held as u64, &error)),
            }
        }
        let data = buffer.get(..held).unwrap_or_default();
        for (index, block) in data.chunks(BLOCK).enumerate() {
            if is_zeros(block) {
                continue;
            }
            let place = at + (index * BLOCK) as u64;
            self.room.take(block.len() as u64, self.name(), place)?;
            let written = self.file.write_all_at(block, place);
            written.map_err(|error| FormatError::io(self.name(), place, error.to_string()))?;
        }
        state.decoded += held as u64;
        if state.decoded > self.limits.max_decoded {
            return Err(Budget::of(self.limits.max_decoded).exceeded(self.name(), at));
        }
        if state.reader.is_none() {
            // A hole at the end belongs to the file as well.
            let sized = self.file.set_len(state.decoded);
            sized.map_err(|error| FormatError::io(self.name(), at, error.to_string()))?;
        }
        Ok(())
    }
}

/// What temporary files hold that no file's size explains, all together.
static UNEXPLAINED: AtomicU64 = AtomicU64::new(0);

/// The room that a temporary file has.
///
/// A file of some size explains `max_ratio` times as many bytes. Where that is
/// little, all such files share `free_stored`: an image full of bombs fills the
/// disk no more than one of them.
struct Room {
    explained: u64,
    free: u64,
    taken: AtomicU64,
}

impl Room {
    fn of(size: u64, limits: &Limits) -> Self {
        Self {
            explained: size.saturating_mul(limits.max_ratio),
            free: limits.free_stored,
            taken: AtomicU64::new(0),
        }
    }

    fn shares(&self) -> bool {
        self.explained <= self.free
    }

    fn take(&self, bytes: u64, name: &'static str, place: u64) -> Result<(), FormatError> {
        let held = self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let (held, most) = match self.shares() {
            true => (
                UNEXPLAINED.fetch_add(bytes, Ordering::Relaxed) + bytes,
                self.free,
            ),
            false => (held, self.explained),
        };
        if held <= most {
            return Ok(());
        }
        Err(FormatError::Limit {
            format: name,
            offset: place,
            limit: "free_stored",
            value: most,
            remedy: "what it decodes to takes far more of the disk than a file of its size should (a decompression bomb?); allow more with --max-decoded",
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.shares() {
            UNEXPLAINED.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
        }
    }
}

/// The stream once more, from its beginning to its end, with nothing kept.
struct Through {
    name: &'static str,
    reader: Box<dyn Read + Send>,
    decoded: u64,
    /// The bytes of blocks that are not zeros, and the most of them.
    filled: u64,
    cap: u64,
    limits: Limits,
}

impl Through {
    fn book(&mut self, data: &[u8]) -> Result<(), FormatError> {
        let (name, at) = (self.name, self.decoded);
        self.decoded += data.len() as u64;
        self.filled += data
            .chunks(BLOCK)
            .filter(|block| !is_zeros(block))
            .map(|block| block.len() as u64)
            .sum::<u64>();
        if self.filled > self.cap {
            return Err(Budget::of(self.cap).exceeded(name, at));
        }
        if self.decoded > self.limits.max_decoded {
            return Err(Budget::of(self.limits.max_decoded).exceeded(name, at));
        }
        self.limits.check_deadline(name, at)
    }
}

impl Read for Through {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (name, at) = (self.name, self.decoded);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::Interrupted => error,
            _ => std::io::Error::other(stream::broken(name, at, &error)),
        };
        let read = self.reader.read(buffer).map_err(failed)?;
        let booked = self.book(buffer.get(..read).unwrap_or_default());
        booked.map(|()| read).map_err(std::io::Error::other)
    }
}

impl ReadAt for Spool {
    fn stream(&self) -> Option<Box<dyn Read + Send>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // What has been decoded to its end lies in the file.
        state.reader.as_ref()?;
        let reader = stream::reader(self.compression, Source::clone(&self.source)).ok()?;
        Some(Box::new(Through {
            name: self.name(),
            reader,
            decoded: 0,
            filled: 0,
            cap: self.cap,
            limits: self.limits.clone(),
        }))
    }

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
            match read.map_err(|error| FormatError::io(self.name(), offset, error.to_string()))? {
                0 => break,
                read => done += read,
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Reader;

    /// Gives what a bomb decodes to; it has to be too much for memory.
    fn bomb(limits: &Limits) -> Source {
        let packed = zstd::encode_all(&vec![b'a'; 70 << 20][..], 1).unwrap();
        let packed: Source = Arc::new(Bytes::new(packed));
        decoded(&packed, Compression::Zstd, limits).unwrap()
    }

    #[test]
    fn all_bombs_together_fill_the_disk_no_more_than_one() {
        let limits = Limits {
            free_stored: 80 << 20,
            ..Limits::default()
        };
        let (one, other) = (bomb(&limits), bomb(&limits));
        assert_eq!(one.size(), Ok(70 << 20));
        let error = other.size().unwrap_err();
        assert!(error.to_string().contains("free_stored"), "{error}");
        drop((one, other));
        assert_eq!(bomb(&limits).size(), Ok(70 << 20), "the room is given back");
    }

    #[test]
    fn a_whole_stream_is_read_without_a_file() {
        let limits = Limits {
            free_stored: 0,
            ..Limits::default()
        };
        let bomb = bomb(&limits);
        let mut data = Vec::new();
        let mut whole = bomb.stream().unwrap();
        assert_eq!(whole.read_to_end(&mut data).unwrap(), 70 << 20);
        assert!(data.iter().all(|byte| *byte == b'a'));
        // By its places it needs one.
        assert!(Reader::new(bomb).read_to_end(&mut data).is_err());
    }
}
