//! Bytes that are read from front to back and looked at before they are taken.
//!
//! A parser over [`Input`] reads an archive in the same way whether it lies in
//! memory or comes out of a decoder and is kept nowhere.

use std::io::{self, BufRead, Read};

use super::{Budget, FormatError, Reader, stream};

/// Bytes from front to back.
pub trait Input {
    /// Gives the place of the next byte, counted from the start.
    fn offset(&self) -> usize;

    /// Gives the next `length` bytes without taking them, fewer only at the
    /// end. No more than [`PEEK`] can be looked at.
    fn peek(&mut self, length: usize) -> Result<&[u8], FormatError>;

    /// Takes `length` bytes and gives how many there were, fewer only at the
    /// end.
    fn skip(&mut self, length: usize) -> Result<usize, FormatError>;

    /// Takes all zero bytes that come next and gives their number.
    fn skip_zeros(&mut self) -> Result<usize, FormatError> {
        let mut total = 0;
        loop {
            let held = self.peek(PEEK)?;
            let zeros = held.iter().take_while(|byte| **byte == 0).count();
            let more = zeros > 0 && zeros == held.len();
            total += self.skip(zeros)?;
            if !more {
                return Ok(total);
            }
        }
    }
}

/// The most that [`Input::peek`] gives.
pub const PEEK: usize = 8 << 10;
/// What a [`Window`] reads at a time: it stays in the processor's cache.
const BUFFER: usize = 256 << 10;

/// Bytes in memory as an input.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Slice<'b> {
    /// Begins `at` bytes into a buffer; offsets count from the buffer's start.
    #[must_use]
    pub fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl Input for Slice<'_> {
    fn offset(&self) -> usize {
        self.at
    }

    fn peek(&mut self, length: usize) -> Result<&[u8], FormatError> {
        let rest = self.rest();
        Ok(rest.get(..length.min(PEEK)).unwrap_or(rest))
    }

    fn skip(&mut self, length: usize) -> Result<usize, FormatError> {
        let taken = length.min(self.rest().len());
        self.at += taken;
        Ok(taken)
    }
}

/// A stream as an input. Nothing but its buffer is kept.
#[derive(Debug)]
pub struct Window<R> {
    name: &'static str,
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer is held and not taken.
    start: usize,
    end: usize,
    /// Bytes that were taken before `start`.
    taken: usize,
    budget: Budget,
}

impl<R: Read> Window<R> {
    /// Begins to read a stream of the format `name`, which errors name. What
    /// comes out of it is booked on `budget`.
    pub fn new(name: &'static str, reader: R, budget: Budget) -> Self {
        Self {
            name,
            reader,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            taken: 0,
            budget,
        }
    }

    /// Gives the stream back; bytes that were looked at and not taken are
    /// lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Gives what is left of the budget.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn take(&mut self, length: usize) {
        self.start += length;
        self.taken = self.taken.saturating_add(length);
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once behind what is held; gives 0 at the end.
    fn read_more(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.reader.read(space) {
                Ok(read) => {
                    self.end += read;
                    let place = self.taken as u64;
                    let booked = self.budget.take(self.name, place, read as u64);
                    return booked.map(|()| read).map_err(io::Error::other);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn failed(&self, error: &io::Error) -> FormatError {
        let place = self.taken + (self.end - self.start);
        stream::broken(self.name, place as u64, error)
    }
}

impl Window<Reader> {
    /// Goes on at another place of the file.
    pub fn seek(&mut self, offset: usize) {
        match offset.checked_sub(self.taken) {
            Some(ahead) if ahead <= self.end - self.start => self.take(ahead),
            Some(_) | None => {
                (self.start, self.end) = (0, 0);
                self.taken = offset;
                self.reader.seek(offset as u64);
            }
        }
    }
}

impl<R: Read> Input for Window<R> {
    fn offset(&self) -> usize {
        self.taken
    }

    fn peek(&mut self, length: usize) -> Result<&[u8], FormatError> {
        let length = length.min(PEEK);
        while self.end - self.start < length {
            match self.read_more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        let held = self.held();
        Ok(held.get(..length).unwrap_or(held))
    }

    fn skip(&mut self, length: usize) -> Result<usize, FormatError> {
        let mut left = length;
        loop {
            let part = left.min(self.end - self.start);
            self.take(part);
            left -= part;
            if left == 0 {
                return Ok(length);
            }
            match self.read_more() {
                Ok(0) => return Ok(length - left),
                Ok(_) => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let length = held.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), held.get(..length)) {
            to.copy_from_slice(from);
        }
        self.consume(length);
        Ok(length)
    }
}

/// A decoder takes from it what it needs and leaves what comes behind.
impl<R: Read> BufRead for Window<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.read_more()?;
        }
        Ok(self.held())
    }

    fn consume(&mut self, amount: usize) {
        self.take(amount.min(self.end - self.start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, as decoders do.
    struct Drip<'b>(&'b [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(3).min(self.0.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn window(bytes: &[u8]) -> Window<Drip<'_>> {
        Window::new("test", Drip(bytes), Budget::of(1 << 30))
    }

    #[test]
    fn both_inputs_read_the_same() {
        let mut bytes = vec![0u8; 20_000];
        bytes.extend((0..100_000u32).map(|n| n.to_le_bytes()[0] | 1));
        let (mut slice, mut window) = (Slice::new(&bytes, 0), window(&bytes));
        for input in [&mut slice as &mut dyn Input, &mut window] {
            assert_eq!(input.skip_zeros().unwrap(), 20_000);
            assert_eq!(input.peek(3).unwrap(), [1, 1, 3]);
            assert_eq!(input.skip(99_999).unwrap(), 99_999);
            assert_eq!(input.peek(9).unwrap().len(), 1);
            assert_eq!(input.offset(), 119_999);
            assert_eq!(input.skip(9).unwrap(), 1);
            assert_eq!(input.skip_zeros().unwrap(), 0);
        }
    }

    #[test]
    fn what_comes_out_is_booked() {
        let bytes = [7u8; 100];
        let mut window = Window::new("test", Drip(&bytes), Budget::of(50));
        let error = window.skip(100).unwrap_err();
        assert!(error.to_string().contains("max_decoded"), "{error}");
    }
}
