//! From an answer to evidence.

use super::range::Range;
use super::{Args, Evidence, Redirect};
use crate::check::tls::Tls;
use crate::check::{Context, ProbeError};
use crate::model::address::shown;
use crate::model::value::Value;
use crate::probe::http::client::Head;
use crate::probe::http::exchange::{Answer, Hop};
use crate::probe::http::taken::Taken;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, TRANSFER_ENCODING};
use std::collections::BTreeMap;

/// Says what was seen.
///
/// # Errors
/// Where the range of the arguments is none.
pub(super) fn evidence(
    args: &Args,
    answer: Answer,
    taken: Taken,
    tls: Option<Tls>,
    context: &Context<'_>,
) -> Result<Evidence, ProbeError> {
    let head = answer.head.as_ref();
    let headers = head.map(|head| &head.headers);
    let lines = headers.map(lines).unwrap_or_default();
    let one = |name: &HeaderName| lines.get(name.as_str()).map(|all| all.join(", "));
    let range = match (&args.range, head) {
        (Some(range), Some(head)) => Some(Range::parse(range)?.seen(head, taken.length)),
        (Some(_), None) | (None, _) => None,
    };
    let chunked = one(&TRANSFER_ENCODING)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let media = one(&CONTENT_TYPE);
    let media = media.as_deref().and_then(|text| text.split(';').next());
    let json = match context.wants("json") {
        true => serde_json::from_slice(&taken.bytes).unwrap_or(Value::Null),
        false => Value::Null,
    };
    let sha256 = taken.sha256().filter(|_| head.is_some());
    Ok(Evidence {
        status: head.map(|head| head.status),
        version: answer.version.map(str::to_owned),
        url: head.map_or_else(|| shown(&args.url), Head::shown),
        redirects: answer.hops.into_iter().map(redirect).collect(),
        headers: (lines.iter())
            .map(|(name, all)| (name.clone(), Some(all.join(", "))))
            .collect(),
        content_type: media.map(|media| media.trim().to_ascii_lowercase()),
        length_declared: one(&CONTENT_LENGTH).and_then(|n| n.parse().ok()),
        chunked: chunked.split(',').any(|word| word.trim() == "chunked"),
        length: taken.length,
        range,
        json,
        sha256: sha256.map(|digest| digest.to_string()),
        body: match (taken.length, context.wants("body")) {
            (Some(_), true) => String::from_utf8(taken.bytes).ok(),
            (Some(_) | None, _) => None,
        },
        header_lines: lines
            .into_iter()
            .map(|(name, all)| (name, Some(all)))
            .collect(),
        problem: answer.problem,
        tls,
        peer: answer.peer.map(|peer| peer.to_string()),
        first_byte: answer.first.as_secs_f64(),
        duration: answer.took.as_secs_f64(),
    })
}

fn redirect(hop: Hop) -> Redirect {
    Redirect {
        url: hop.url,
        status: hop.status,
        location: hop.location,
    }
}

fn lines(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        lines
            .entry(name.as_str().to_owned())
            .or_default()
            .push(value);
    }
    lines
}
