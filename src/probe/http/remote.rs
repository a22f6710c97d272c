//! A file on a server, read by parts.

use super::HttpError;
use super::address::shown_url;
use super::client::{Client, Head, Sink};
use super::download::{Download, Memory};
use super::range::{ContentRange, Validator};
use super::request::Request;
use crate::format::{Bytes, FormatError, Limits, ReadAt, Source};
use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, HeaderValue, IF_RANGE, RANGE};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What is asked for at a time: one round trip costs as much as some hundred KiB.
const BLOCK: u64 = 256 << 10;
/// The most blocks of one request; a reader who goes forward gets twice as many each time.
const RUN: u64 = 16;
/// How many blocks are kept in memory (16 MiB).
const HELD: usize = 64;

/// What a server has at an address.
pub struct Opened {
    /// Its bytes.
    pub source: Source,
    /// What tells this state of it from others; `None` where nothing does for sure.
    pub state: Option<String>,
    /// How its bytes come.
    pub how: How,
    /// Where it is in the end, where redirects lead.
    pub url: Url,
}

/// How the bytes of a file on a server come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By parts, as they are needed.
    Parts,
    /// They have all been fetched, because the server does not give parts.
    Whole,
    /// They had all been kept.
    Kept,
}

/// Looks at what is at an address. A server that has ranges is asked for parts as they are
/// needed. From one that has none the file is fetched whole, into a temporary file without a name,
/// unless `kept` has all of it: it is given the [`Opened::state`].
///
/// # Errors
/// See [`HttpError`]; among them are an empty file, and one over `max_decoded` bytes without ranges.
pub fn open(
    url: &Url,
    authorization: Option<HeaderValue>,
    limits: &Limits,
    kept: impl Fn(&str) -> Option<Source> + Send + 'static,
) -> Result<Opened, HttpError> {
    let mut request =
        Request::get(url.clone(), limits.deadline).header(RANGE, &format!("bytes=0-{}", BLOCK - 1));
    request.authorization = authorization.clone();
    let first = First {
        url: url.clone(),
        part: Memory::new(
            url,
            usize::try_from(BLOCK).unwrap_or(0),
            "the part asked for",
        ),
        whole: Download::new(url, limits.max_decoded, "max_decoded")?,
        kept: Box::new(kept),
        found: None,
    };
    let client = Client::shared()?;
    let (head, first) = client.ask(request, first);
    let (head, first) = (head?, first.ok_or_else(|| lost(url))?);
    let validator = Validator::of(&head.headers);
    let state = |size: u64| first_state(url, &validator, size);
    match first.found {
        Some(Found::Kept(source)) => Ok(Opened {
            state: source.size().ok().and_then(state),
            source,
            how: How::Kept,
            url: head.url,
        }),
        Some(Found::Part(range)) => {
            let bytes = Bytes::new(first.part.bytes);
            check_length(&head, &range, bytes.len())?;
            let held = VecDeque::from([(0, bytes)]);
            let remote = Remote {
                client,
                url: url.clone(),
                authorization,
                size: range.size,
                validator: validator.clone(),
                deadline: limits.deadline,
                inner: Mutex::new(Inner {
                    at: head.url.clone(),
                    held,
                    next: 1,
                    run: 1,
                }),
            };
            Ok(Opened {
                source: Arc::new(remote),
                state: state(range.size),
                how: How::Parts,
                url: head.url,
            })
        }
        Some(Found::Whole) | None => {
            let (fetched, _) = first.whole.finish()?;
            let size = fetched.size().unwrap_or(0);
            if size == 0 {
                return Err(HttpError::Empty {
                    address: head.shown(),
                });
            }
            Ok(Opened {
                source: Arc::new(fetched),
                state: state(size),
                how: How::Whole,
                url: head.url,
            })
        }
    }
}

/// Writes down what tells this state of a file from all others.
fn first_state(url: &Url, validator: &Validator, size: u64) -> Option<String> {
    let tag = validator.strong()?;
    let modified = validator.modified.as_deref().unwrap_or_default();
    Some(format!("http {url}\n{tag}\n{modified}\n{size}"))
}

fn lost(url: &Url) -> HttpError {
    HttpError::Client {
        what: format!("the answer of {} is lost", shown_url(url)),
    }
}

fn check_length(head: &Head, range: &ContentRange, length: usize) -> Result<(), HttpError> {
    match range.length() == length as u64 {
        true => Ok(()),
        false => Err(head.wrong(format!(
            "the server announces {} bytes and sends {length}",
            range.length()
        ))),
    }
}

/// What the first answer turned out to be.
enum Found {
    Part(ContentRange),
    Whole,
    Kept(Source),
}

/// Gives all bytes of a state of a file that was fetched before.
type Recall = dyn Fn(&str) -> Option<Source> + Send;

/// Takes the first answer: a part, or the whole file.
struct First {
    url: Url,
    part: Memory,
    whole: Download,
    kept: Box<Recall>,
    found: Option<Found>,
}

impl Sink for First {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        match head.status {
            206 => {
                let range = part(head, 0, BLOCK)?;
                self.part.bytes.clear();
                self.found = Some(Found::Part(range));
                Ok(true)
            }
            200 => {
                let length = head.headers.get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|n| n.to_str().ok()?.parse().ok());
                let validator = Validator::of(&head.headers);
                let state = length.and_then(|n| first_state(&self.url, &validator, n));
                if let Some(source) = state.and_then(|state| (self.kept)(&state)) {
                    self.found = Some(Found::Kept(source));
                    return Ok(false);
                }
                self.found = Some(Found::Whole);
                self.whole.begin(head)
            }
            416 => match head.headers.get(CONTENT_RANGE) {
                Some(range) if range.as_bytes() == b"bytes */0" => Err(HttpError::Empty {
                    address: head.shown(),
                }),
                Some(_) | None => Err(head.refused()),
            },
            _ => Err(head.refused()),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        match self.found {
            Some(Found::Part(_)) => self.part.take(bytes),
            Some(Found::Whole | Found::Kept(_)) | None => self.whole.take(bytes),
        }
    }

    fn has_begun(&self) -> bool {
        // A part is small: one that was cut is asked for again.
        self.whole.has_begun()
    }
}

/// Reads which part an answer carries, and holds it to what was asked for: `length` bytes from
/// `first`, fewer only at the end.
fn part(head: &Head, first: u64, length: u64) -> Result<ContentRange, HttpError> {
    let Some(range) = ContentRange::of(&head.headers) else {
        return Err(head.wrong("the server sends a part and does not say which, and of how much"));
    };
    let last = first.saturating_add(length).min(range.size) - 1;
    match (range.first, range.last) == (first, last) {
        true => Ok(range),
        false => Err(head.wrong(format!(
            "asked for bytes {first}-{last}, the server sends {}-{} of {}",
            range.first, range.last, range.size
        ))),
    }
}

/// A file of a server that has ranges.
struct Remote {
    client: &'static Client,
    url: Url,
    authorization: Option<HeaderValue>,
    size: u64,
    validator: Validator,
    deadline: Option<Instant>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Where redirects led the last time.
    at: Url,
    /// Blocks by their number, the one used last at the end.
    held: VecDeque<(u64, Bytes)>,
    /// The block behind the last request, and how many that one asked for.
    next: u64,
    run: u64,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", shown_url(&self.url))
    }
}

impl Remote {
    /// Gives one block, and with it fetches what will be asked for next.
    fn block(&self, number: u64, wanted: u64) -> Result<Bytes, HttpError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = inner.held.iter().position(|(held, _)| *held == number)
            && let Some(block) = inner.held.remove(at)
        {
            let bytes = block.1.clone();
            inner.held.push_back(block);
            return Ok(bytes);
        }
        // One request at a time: a server is not to be flooded, and the next reader mostly wants
        // what this one fetches.
        inner.run = match number == inner.next {
            true => (inner.run * 2).min(RUN),
            false => 1,
        };
        let end = self.size.div_ceil(BLOCK);
        let stop = number
            .saturating_add(inner.run.max(wanted.min(RUN)))
            .min(end);
        let known = inner.held.iter().map(|(held, _)| *held);
        let stop = known.filter(|n| *n > number).fold(stop, u64::min);
        inner.next = stop;
        let bytes = self.parts(&mut inner.at, number * BLOCK, (stop - number) * BLOCK)?;
        let mut from = 0;
        for block in number..stop {
            let to = (from + usize::try_from(BLOCK).unwrap_or(0)).min(bytes.len());
            let part = bytes.get(from..to).unwrap_or_default().to_vec();
            inner.held.push_back((block, Bytes::new(part)));
            from = to;
        }
        while inner.held.len() > HELD {
            inner.held.pop_front();
        }
        let found = inner.held.iter().find(|(held, _)| *held == number);
        Ok(found.map(|(_, bytes)| bytes.clone()).unwrap_or_default())
    }

    fn parts(&self, at: &mut Url, first: u64, length: u64) -> Result<Bytes, HttpError> {
        match self.ask(at, first, length) {
            // Where a redirect led to may be good for a while only.
            Err(HttpError::Status { .. }) if *at != self.url => {
                *at = self.url.clone();
                self.ask(at, first, length)
            }
            answer => answer,
        }
    }

    fn ask(&self, at: &mut Url, first: u64, length: u64) -> Result<Bytes, HttpError> {
        let last = first.saturating_add(length).min(self.size) - 1;
        let mut request =
            Request::get(at.clone(), self.deadline).header(RANGE, &format!("bytes={first}-{last}"));
        if super::same_origin(at, &self.url) {
            request.authorization = self.authorization.clone();
        }
        if let Some(tag) = self.validator.strong() {
            request = request.header(IF_RANGE, tag);
        }
        let length = last + 1 - first;
        let sink = Part {
            body: Memory::new(
                at,
                usize::try_from(length).unwrap_or(0),
                "the part asked for",
            ),
            first,
            length,
            size: self.size,
            validator: self.validator.clone(),
        };
        let (head, sink) = self.client.ask(request, sink);
        let (head, sink) = (head?, sink.ok_or_else(|| lost(at))?);
        let range = part(&head, first, length)?;
        check_length(&head, &range, sink.body.bytes.len())?;
        *at = head.url;
        Ok(Bytes::new(sink.body.bytes))
    }
}

/// Takes a further part of a file, if it is still the same file.
struct Part {
    body: Memory,
    first: u64,
    length: u64,
    size: u64,
    validator: Validator,
}

impl Sink for Part {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        head.check_encoding()?;
        let changed = |what: &str| HttpError::Changed {
            address: head.shown(),
            what: what.into(),
        };
        match head.status {
            206 => {}
            200 if self.validator.strong().is_some() => {
                return Err(changed("its ETag is another"));
            }
            200 => return Err(head.wrong("the server sends all of it where it sent a part before")),
            416 => return Err(changed("it is shorter")),
            _ => return Err(head.refused()),
        }
        let later = Validator::of(&head.headers);
        if let Some(what) = self.validator.differs(&later) {
            return Err(changed(what));
        }
        if ContentRange::of(&head.headers).is_some_and(|range| range.size != self.size) {
            return Err(changed("its size is another"));
        }
        part(head, self.first, self.length)?;
        self.body.bytes.clear();
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.body.take(bytes)
    }

    fn has_begun(&self) -> bool {
        false
    }
}

impl ReadAt for Remote {
    fn size(&self) -> Result<u64, FormatError> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut done = 0;
        while let Some(space) = buffer.get_mut(done..).filter(|space| !space.is_empty()) {
            let at = offset.saturating_add(done as u64);
            if at >= self.size {
                break;
            }
            let wanted = (space.len() as u64).div_ceil(BLOCK);
            let bytes = self
                .block(at / BLOCK, wanted)
                .map_err(|error| FormatError::io("http", at, error.to_string()))?;
            let length = bytes.read_at(at % BLOCK, space)?;
            if length == 0 {
                break;
            }
            done += length;
        }
        Ok(done)
    }
}
