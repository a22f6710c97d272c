//! What a command wrote: bounded, cut into lines, kept in a log.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// One output of a command: its head and its tail, whatever its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes; empty where the head holds everything.
    pub tail: Vec<u8>,
    /// How many bytes between head and tail were not kept.
    pub dropped: u64,
}

impl Captured {
    /// Tells whether something was not kept.
    pub fn truncated(&self) -> bool {
        self.dropped > 0
    }

    /// Gives what was kept, head and tail joined.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if self.tail.is_empty() {
            Cow::Borrowed(&self.head)
        } else {
            Cow::Owned([self.head.as_slice(), &self.tail].concat())
        }
    }

    /// Gives what was kept as text: invalid UTF-8 replaced, a line where something is missing.
    pub fn text(&self) -> String {
        if !self.truncated() {
            return String::from_utf8_lossy(&self.bytes()).into_owned();
        }
        let head = String::from_utf8_lossy(&self.head);
        let tail = String::from_utf8_lossy(&self.tail);
        format!("{head}\n[… {} bytes left out …]\n{tail}", self.dropped)
    }
}

/// Fills a [`Captured`].
#[derive(Debug)]
pub(super) struct Keeper {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Keeper {
    /// Keeps at most `limit` bytes at the head and as many at the tail.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            head: Vec::new(),
            tail: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.limit);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    pub(super) fn finish(self, redact: &[String]) -> Captured {
        let clean = |bytes: Vec<u8>| match redacted_bytes(&bytes, redact) {
            Some(clean) => clean,
            None => bytes,
        };
        Captured {
            head: clean(self.head),
            tail: clean(self.tail.into()),
            dropped: self.dropped,
        }
    }
}

/// Shorter values than this are words of the language, not secrets.
const SHORTEST_SECRET: usize = 6;

/// Replaces each secret by `***`.
pub(super) fn redacted(line: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|s| s.len() >= SHORTEST_SECRET)
        .fold(line.to_owned(), |line, s| line.replace(s.as_str(), "***"))
}

/// Replaces each secret in bytes; `None` where there is none in them.
fn redacted_bytes(bytes: &[u8], secrets: &[String]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    for secret in secrets.iter().filter(|s| s.len() >= SHORTEST_SECRET) {
        let here = out.as_deref().unwrap_or(bytes);
        let needle = secret.as_bytes();
        if !here.windows(needle.len()).any(|w| w == needle) {
            continue;
        }
        let mut clean = Vec::with_capacity(here.len());
        let mut i = 0;
        while i < here.len() {
            if here[i..].starts_with(needle) {
                clean.extend_from_slice(b"***");
                i += needle.len();
            } else {
                clean.push(here[i]);
                i += 1;
            }
        }
        out = Some(clean);
    }
    out
}

/// A longer line than this is handed on in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Adds bytes and hands on each line that is complete, without its line break.
    pub(super) fn add(&mut self, bytes: &[u8], each: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' || self.open.len() >= LONGEST_LINE {
                self.finish_line(each);
            }
            if byte != b'\n' {
                self.open.push(byte);
            }
        }
    }

    /// Hands on what stands after the last line break.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(&str)) {
        if !self.open.is_empty() {
            self.finish_line(each);
        }
    }

    fn finish_line(&mut self, each: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.open);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        each(&String::from_utf8_lossy(line));
    }
}

/// A log file that stops growing at a limit and says so.
pub(super) struct Log {
    file: BufWriter<File>,
    /// How many bytes may still be written; `None` once something has been left out.
    left: Option<u64>,
}

impl Log {
    /// Opens a log for appending, so that an attempt's commands share one.
    pub(super) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let left = Some(limit.saturating_sub(file.metadata()?.len()));
        Ok(Self {
            file: BufWriter::new(file),
            left,
        })
    }

    /// Writes a line, unless the log is full.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        let Some(left) = self.left else {
            return Ok(());
        };
        self.left = left.checked_sub(line.len() as u64 + 1);
        match self.left {
            Some(_) => writeln!(self.file, "{line}")?,
            None => writeln!(self.file, "[… the log is full; the rest is left out …]")?,
        }
        // A log is read while the command runs, and after a crash.
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let mut keeper = Keeper::new(4);
        for part in [&b"ab"[..], b"cdef", b"ghij", b"k"] {
            keeper.add(part);
        }
        let kept = keeper.finish(&[]);
        assert_eq!(
            (kept.head.as_slice(), kept.tail.as_slice()),
            (&b"abcd"[..], &b"hijk"[..])
        );
        assert_eq!(kept.dropped, 3);
        assert_eq!(kept.text(), "abcd\n[… 3 bytes left out …]\nhijk");
        let mut small = Keeper::new(4);
        small.add(b"abcde");
        let small = small.finish(&[]);
        assert!(!small.truncated());
        assert_eq!(small.text(), "abcde");
    }

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for part in ["one\ntw", "o\r\n\nth", "ree"] {
            lines.add(part.as_bytes(), &mut |l| seen.push(l.to_owned()));
        }
        lines.finish(&mut |l| seen.push(l.to_owned()));
        assert_eq!(seen, ["one", "two", "", "three"]);
    }

    #[test]
    fn secrets_do_not_get_out() {
        let secrets = ["hunter22".to_owned(), "no".to_owned()];
        assert_eq!(redacted("a hunter22 no", &secrets), "a *** no");
        let mut keeper = Keeper::new(100);
        keeper.add(b"x hunter22 y \xff");
        assert_eq!(keeper.finish(&secrets).head, b"x *** y \xff");
    }

    #[test]
    fn a_log_ends_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.log");
        let mut log = Log::open(&path, 12).unwrap();
        for _ in 0..5 {
            log.line("12345").unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|l| *l == "12345").count(), 2);
        assert_eq!(text.lines().count(), 3);
    }
}
