//! Files over HTTP: parts, conditions, types. Sources: RFC 9110 §8.8, §13, §14; UEFI 2.10 §24.7.3 (the
//! types that firmware boots).

use super::answer::{Answer, Payload};
use crate::format::Content;
use crate::serve::found::{Listing, MAX_ENTRIES};
use crate::serve::opened::Opened;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use std::sync::Arc;

/// A part of a file.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file.
    pub file: Arc<Opened>,
    /// Where it begins.
    pub from: u64,
    /// Where it ends: the first byte that is none of it.
    pub to: u64,
}

/// What comes of a header `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All of it.
    Whole,
    /// From here to before there.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

/// Answers with a file, or a part of it.
pub fn answer(asked: &HeaderMap, name: &str, file: Opened) -> Answer {
    let size = file.size;
    let tag = format!("\"{}\"", file.tag);
    let modified = file.modified.and_then(date);
    let says = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let unchanged = match says(header::IF_NONE_MATCH) {
        Some(tags) => {
            tags == "*"
                || tags
                    .split(',')
                    .any(|t| t.trim().trim_start_matches("W/") == tag)
        }
        None => {
            says(header::IF_MODIFIED_SINCE).is_some_and(|time| Some(time) == modified.as_deref())
        }
    };
    // A part of another content than the one that is held is of no use.
    let same =
        says(header::IF_RANGE).is_none_or(|held| held == tag || Some(held) == modified.as_deref());
    let several = asked.get_all(header::RANGE).iter().count() > 1;
    let wanted = match says(header::RANGE).filter(|_| same && !several) {
        Some(range) => range_of(range, size),
        None => Wanted::Whole,
    };
    let kind = kind(name, &file);
    let finish = |mut answer: Answer| {
        if let Some(modified) = &modified {
            answer = answer.with(header::LAST_MODIFIED, modified);
        }
        answer
            .with(header::ETAG, &tag)
            .with(header::ACCEPT_RANGES, "bytes")
    };
    if unchanged {
        return finish(Answer {
            status: StatusCode::NOT_MODIFIED,
            headers: Vec::new(),
            body: Payload::Bytes(Vec::new()),
            note: None,
        });
    }
    let (status, from, to) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Nothing => {
            let refused = Answer::text(StatusCode::RANGE_NOT_SATISFIABLE, "text/plain", "");
            return finish(refused.with(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let file = Arc::new(file);
    let mut answer = Answer {
        status,
        headers: Vec::new(),
        body: Payload::File(Part { file, from, to }),
        note: None,
    };
    answer = answer.with(header::CONTENT_TYPE, kind);
    if let Wanted::Part(from, to) = wanted {
        let range = format!("bytes {from}-{}/{size}", to - 1);
        answer = answer.with(header::CONTENT_RANGE, &range);
    }
    finish(answer)
}

/// Reads a header `Range`. Of several parts none is given, but all of the file, as a server may.
/// Source: RFC 9110 §14.1.2, §14.2.
fn range_of(text: &str, size: u64) -> Wanted {
    let Some(spec) = text.strip_prefix("bytes=") else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Wanted::Nothing
        }
        (Some(first), Some(last)) => Wanted::Part(first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => Wanted::Part(first, size),
        (None, Some(length)) if first.is_empty() => match length.min(size) {
            0 => Wanted::Nothing,
            length => Wanted::Part(size - length, size),
        },
        _ => Wanted::Whole,
    }
}

/// Gives a time as HTTP writes it. Source: RFC 9110 §5.6.7.
fn date(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Gives the type of a file. Firmware boots a program by the type where the name does not say it.
fn kind(name: &str, file: &Opened) -> &'static str {
    let end = name
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'));
    match end.map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") => "application/vnd.efi-img",
        Some("ipxe" | "txt" | "cfg" | "conf" | "log" | "sha256" | "yaml" | "yml") => {
            "text/plain; charset=utf-8"
        }
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("xz") => "application/x-xz",
        Some("gz") => "application/gzip",
        Some("zst") => "application/zstd",
        _ => match Content::detect(&file.read_at(0, Content::HEAD).unwrap_or_default()) {
            Content::Pe | Content::Zboot => "application/efi",
            Content::Iso => "application/vnd.efi-iso",
            _ => "application/octet-stream",
        },
    }
}

/// Writes a folder as a page of links.
pub fn listing(found: &Listing) -> String {
    let mut page = "<!doctype html>\n<pre>\n".to_owned();
    // What cannot be had is not shown.
    for entry in found.entries.iter().filter(|entry| entry.refused.is_none()) {
        let slash = if entry.folder { "/" } else { "" };
        let link = utf8_percent_encode(&entry.name, NON_ALPHANUMERIC);
        let shown: String = crate::model::path::printable(&entry.name)
            .chars()
            .map(|c| match c {
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '&' => "&amp;".to_owned(),
                '"' => "&#34;".to_owned(),
                '\'' => "&#39;".to_owned(),
                other => other.to_string(),
            })
            .collect();
        // Writing to a text cannot fail.
        let _ = writeln!(page, "<a href=\"{link}{slash}\">{shown}{slash}</a>");
    }
    page.push_str("</pre>\n");
    if found.cut {
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "<p>There are more than {MAX_ENTRIES}; the others are not shown."
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_standard() {
        for (text, want) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=2-", Wanted::Part(2, 10)),
            ("bytes=2-99", Wanted::Part(2, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-99", Wanted::Part(0, 10)),
            ("bytes=9-99999999999999999999", Wanted::Part(9, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=x-1", Wanted::Whole),
            ("bytes=99-x", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(range_of(text, 10), want, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(range_of("bytes=-1", 0), Wanted::Nothing);
    }

    #[test]
    fn names_in_a_page_are_names_alone() {
        let entry = crate::serve::found::Entry {
            name: "<a&\"b\n'.x".to_owned(),
            folder: false,
            refused: None,
        };
        let mut other = entry.clone();
        other.refused = Some(crate::serve::refusal::Refusal::Changed);
        let mut found = Listing {
            entries: vec![entry, other],
            cut: false,
        };
        assert_eq!(
            listing(&found),
            "<!doctype html>\n<pre>\n<a href=\"%3Ca%26%22b%0A%27%2Ex\">&lt;a&amp;&#34;b\\n&#39;.x</a>\n</pre>\n"
        );
        found.cut = true;
        assert!(listing(&found).ends_with("more than 10000; the others are not shown.\n"));
        assert_eq!(date(784_111_777).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
