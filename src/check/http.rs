//! `http`: what a web server answers.

mod evidence;
mod range;

use super::tls::Tls;
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::model::value::Value;
use crate::probe::http::client::Client;
use crate::probe::http::exchange::Ask;
use crate::probe::http::taken::{Taken, Wanted};
use crate::probe::http::{HttpError, parse, take_credentials};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct TheKind;

/// What to ask, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Where: an address that begins with `http://` or `https://`. A name and password in it are
    /// sent as such, and shown nowhere.
    pub url: String,
    /// How, such as `POST`; `GET` where left out.
    pub method: Option<String>,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text to send.
    pub text: Option<String>,
    /// A value to send as JSON.
    pub json: Option<Value>,
    /// A file to send, relative to the working directory.
    pub file: Option<String>,
    /// `false` takes a redirect as the answer.
    pub follow: Option<bool>,
    /// How many redirects are followed; 10 where left out.
    pub max_redirects: Option<u32>,
    /// Which bytes to ask for: `0-99`, `100-` or the last `-100`.
    pub range: Option<String>,
    /// A file of certificates (PEM) to trust beside those of the system.
    pub ca: Option<String>,
    /// `true` goes on where the certificate is not trusted.
    #[serde(default)]
    pub insecure: bool,
    /// The most the body may have; 4 GiB where left out.
    #[schemars(extend("x-unit" = "bytes"))]
    pub max_body: Option<u64>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The status code of the last answer; absent where nothing was asked because the certificate
    /// is not trusted.
    pub status: Option<u16>,
    /// The version of HTTP: `1.0` or `1.1`.
    pub version: Option<String>,
    /// Where the last answer came from, without a query, which may be secret.
    pub url: String,
    /// The redirects that were followed, in order.
    pub redirects: Vec<Redirect>,
    /// The headers by name, in any case; what is sent in several lines is joined by `, `.
    #[schemars(extend("x-keys" = "folded"))]
    pub headers: BTreeMap<String, Option<String>>,
    /// The lines of each header.
    #[schemars(extend("x-keys" = "folded"))]
    pub header_lines: BTreeMap<String, Option<Vec<String>>>,
    /// The type of the body without its parameters, in lowercase: `application/json`.
    pub content_type: Option<String>,
    /// The length the server declares (`Content-Length`); absent where it declares none.
    #[schemars(extend("x-unit" = "bytes"))]
    pub length_declared: Option<u64>,
    /// Whether the body comes in chunks (`Transfer-Encoding: chunked`).
    pub chunked: bool,
    /// How many bytes of body came.
    #[schemars(extend("x-unit" = "bytes"))]
    pub length: Option<u64>,
    /// What came of the range that was asked for; absent where none was.
    pub range: Option<Part>,
    /// The body, where it is text (UTF-8) of at most 16 MiB.
    pub body: Option<String>,
    /// The body read as JSON; absent where it is not JSON.
    pub json: Value,
    /// The digest of the body.
    pub sha256: Option<String>,
    /// What is wrong with the exchange: the certificate is not trusted, a redirect leads where it
    /// is not followed, the body was cut or garbled. Where a check does not ask for it (nor, of a
    /// certificate, for `tls`), it is an error.
    pub problem: Option<String>,
    /// What the server showed of itself; absent without TLS. A check that asks for it makes a new
    /// connection.
    pub tls: Option<Tls>,
    /// The address that answered, a proxy's where there is one.
    #[schemars(extend("x-volatile" = true))]
    pub peer: Option<String>,
    /// How long it took until the head of the last answer was there.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub first_byte: f64,
    /// How long all of it took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// A redirect.
#[derive(Serialize, JsonSchema)]
#[schemars(extend("x-key" = "location"))]
#[serde(rename_all = "kebab-case")]
pub struct Redirect {
    /// Which address sent on, without a query.
    pub url: String,
    /// With which status.
    pub status: u16,
    /// Where it leads, without a query.
    pub location: String,
}

/// What came of a range.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// Whether the server gave the bytes that were asked for and said so rightly: status 206, a
    /// `Content-Range` that fits, and as many bytes.
    pub right: bool,
    /// What is not right; absent where all is.
    pub problem: Option<String>,
    /// The first byte given, as the server says it.
    pub first: Option<u64>,
    /// The last byte given.
    pub last: Option<u64>,
    /// The size of the whole, as the server says it.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
}

/// Redirects that are followed where a spec says nothing.
const REDIRECTS: u32 = 10;
/// More are never followed.
const MAX_REDIRECTS: u32 = 50;
/// A body is kept as text up to this size.
const MAX_TEXT: usize = 16 << 20;
/// A body may have this size where a spec says nothing.
const MAX_BODY: u64 = 4 << 30;
/// A file is sent up to this size.
const MAX_SENT: u64 = 256 << 20;

impl Kind for TheKind {
    const NAME: &'static str = "http";
    const SUMMARY: &'static str =
        "a web server's answer: status, headers, redirects, ranges, body, TLS";
    const MAIN: Option<&'static str> = Some("url");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the kernel is served as firmware needs it
  http: { url: \"http://127.0.0.1:8080/assets/kernel-arm64\", range: 0-63 }
  eventually: 30s
  expect:
    status: 206
    headers: { Content-Type: application/octet-stream }
    range: { right: true, size: { ge: 100 KiB } }";
    const DESCRIBES: &'static [&'static str] = &["status", "content-type", "length-declared"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        request(args).map(drop)
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let mut asked = request(&args)?;
        if let Some(file) = &args.file {
            asked.body = Some(super::local::read(&context.resolve(file), MAX_SENT)?);
        }
        asked.deadline = context.deadline;
        let records = context.wants("tls") || context.wants("problem");
        let secure = asked.url.scheme() == "https";
        if args.insecure || args.ca.is_some() || records && (secure || asked.hops > 0) {
            asked.tls = Some(super::tls::recorder(
                context,
                args.ca.as_deref(),
                args.insecure,
            )?);
        }
        let keeps = context.wants("body") || context.wants("json");
        let wanted = Wanted {
            all: keeps
                || ["length", "sha256", "problem"]
                    .iter()
                    .any(|f| context.wants(f))
                || args.range.is_some() && context.wants("range"),
            digest: context.wants("sha256"),
            keep: if keeps { MAX_TEXT } else { 0 },
            max: args.max_body.unwrap_or(MAX_BODY),
        };
        let recorder = asked.tls.clone();
        let client = Client::shared().map_err(unseen)?;
        let (answer, taken) = client.exchange(asked, Taken::new(wanted), context.cancel);
        let answer = answer.map_err(unseen)?;
        let taken = taken.ok_or_else(|| ProbeError::new("the body is lost"))?;
        let asked_for = match answer.head {
            None => records,
            Some(_) => context.wants("problem"),
        };
        if let (Some(problem), false) = (&answer.problem, asked_for) {
            return Err(ProbeError::new(problem.clone())
                .remedy("a check that names `problem` judges it as evidence"));
        }
        let shown = recorder.and_then(|recorder| recorder.shown());
        let tls = shown.as_ref().map(Tls::of);
        evidence::evidence(&args, answer, taken, tls, context)
    }
}

fn unseen(error: HttpError) -> ProbeError {
    let made = ProbeError::new(error.to_string());
    match error.is_transient() {
        true => made.transient(),
        false => made,
    }
}

/// Makes the request, all but what is in files.
fn request(args: &Args) -> Result<Ask, ProbeError> {
    let mut url = parse(&args.url).map_err(|error| ProbeError::new(error.to_string()))?;
    let authorization = take_credentials(&mut url);
    let method = match &args.method {
        None => Method::GET,
        Some(name) => Method::from_bytes(name.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| ProbeError::new(format!("`{name}` is no method to ask with")))?,
    };
    let bodies = [
        args.text.is_some(),
        args.json.is_some(),
        args.file.is_some(),
    ];
    if bodies.iter().filter(|given| **given).count() > 1 {
        return Err(ProbeError::new(
            "`text`, `json` and `file` exclude each other",
        ));
    }
    let mut headers = Vec::new();
    for (name, value) in &args.headers {
        headers.push(header(name, value)?);
    }
    if authorization.is_some() && headers.iter().any(|(name, _)| name == "authorization") {
        return Err(ProbeError::new(
            "the address and `headers` both say who asks; leave one out",
        ));
    }
    if let Some(range) = &args.range {
        range::Range::parse(range)?;
        headers.push(header("range", &format!("bytes={range}"))?);
    }
    let body = match (&args.text, &args.json) {
        (Some(text), _) => Some(text.clone().into_bytes()),
        (None, Some(value)) => {
            if !headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
                headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
            }
            Some(value.to_string().into_bytes())
        }
        (None, None) => None,
    };
    let hops = args.max_redirects.unwrap_or(REDIRECTS);
    if hops > MAX_REDIRECTS {
        return Err(ProbeError::new(format!(
            "no more than {MAX_REDIRECTS} redirects are followed"
        )));
    }
    Ok(Ask {
        method,
        url,
        authorization,
        headers,
        body,
        hops: match args.follow {
            Some(false) => 0,
            Some(true) | None => hops as usize,
        },
        deadline: std::time::Instant::now(),
        tls: None,
    })
}

/// Reads a header. Its value may be secret and is not shown.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ProbeError> {
    let wrong = |what: String| Err(ProbeError::new(what));
    let Ok(read) = HeaderName::from_bytes(name.as_bytes()) else {
        return wrong(format!("`{name}` is no name of a header"));
    };
    if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&read) {
        return wrong(format!("`{name}` follows from what is sent; leave it out"));
    }
    match HeaderValue::from_str(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok((read, value))
        }
        Err(_) => wrong(format!("the value of `{name}` cannot stand in a header")),
    }
}
