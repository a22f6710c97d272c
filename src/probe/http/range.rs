//! What an answer's headers say about the file behind it.

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};

/// The part of a file that an answer carries. Source: RFC 9110, section 14.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Its first byte.
    pub first: u64,
    /// Its last byte.
    pub last: u64,
    /// The bytes of the whole file.
    pub size: u64,
}

impl ContentRange {
    /// Reads the header; `None` where it is missing, is of another unit, contradicts itself, or
    /// does not tell the whole size.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_RANGE).iter();
        let (one, None) = (all.next()?, all.next()) else {
            return None;
        };
        Self::parse(one.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, size) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, size) = (number(first)?, number(last)?, number(size)?);
        (first <= last && last < size).then_some(Self { first, last, size })
    }

    /// Gives the number of bytes.
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Reads decimal digits and nothing else: no sign, no spaces.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// What tells one state of a file from another. Source: RFC 9110, section 8.8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validator {
    /// The entity tag as it is written, quotes and all.
    pub tag: Option<String>,
    /// The time of the last change as it is written.
    pub modified: Option<String>,
}

impl Validator {
    /// Reads the headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            tag: text(ETAG).map(str::to_owned),
            modified: text(LAST_MODIFIED).map(str::to_owned),
        }
    }

    /// Gives the tag where it is one that no two states have in common byte for byte.
    pub fn strong(&self) -> Option<&str> {
        let tag = self.tag.as_deref()?;
        let quoted = tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
        quoted.then_some(tag)
    }

    /// Names what differs in a later answer; `None` where it is the same state, as far as told.
    ///
    /// A part of a file that was asked for by its tag need not tell the time of its last change.
    pub fn differs(&self, later: &Self) -> Option<&'static str> {
        let other = |one: &Option<String>, later: &Option<String>| later.is_some() && one != later;
        if other(&self.tag, &later.tag) || self.strong().is_some() && later.tag.is_none() {
            Some("its ETag is another")
        } else if other(&self.modified, &later.modified) {
            Some("its Last-Modified is another")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_refused() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            ContentRange::of(&headers)
        };
        let range = read("bytes 0-9/100").unwrap();
        assert_eq!(
            (range.first, range.last, range.size, range.length()),
            (0, 9, 100, 10)
        );
        assert!(read("Bytes 99-99/100").is_some());
        for wrong in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/*",
            "bytes */100",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes -1-9/100",
            "bytes +0-9/100",
            "bytes 0-9/99999999999999999999",
            "bytes 0-9/100, bytes 10-19/100",
            "lines 0-9/100",
            "bytes 0 - 9/100",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let mut twice = HeaderMap::new();
        twice.append(CONTENT_RANGE, "bytes 0-9/100".parse().unwrap());
        twice.append(CONTENT_RANGE, "bytes 0-9/200".parse().unwrap());
        assert_eq!(ContentRange::of(&twice), None);
    }

    #[test]
    fn only_a_strong_tag_holds_a_state_fast() {
        let of = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ETAG, tag.parse().unwrap());
            Validator::of(&headers)
        };
        assert_eq!(of("\"x\"").strong(), Some("\"x\""));
        for weak in ["W/\"x\"", "x", "\"\"", "\""] {
            assert_eq!(of(weak).strong(), None, "{weak}");
        }
        assert!(of("W/\"x\"").differs(&of("W/\"y\"")).is_some());
        assert!(of("\"x\"").differs(&Validator::default()).is_some());
        assert_eq!(of("\"x\"").differs(&of("\"x\"")), None);
    }
}
