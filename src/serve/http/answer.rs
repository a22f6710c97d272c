//! What is answered to a request: matchbox's routes. Source: matchbox v0.11.0, `http/server.go`.

use super::files::{self, Part};
use crate::serve::found::Found;
use crate::serve::refusal::Refusal;
use crate::serve::{Site, groups};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};
use std::collections::BTreeMap;

/// What iPXE is to ask next, with what it knows of its machine.
const BOOT: &str = "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}\
                    &hostname=${hostname}&serial=${serial}&arch=${buildarch:uristring}\n";
/// The type of texts.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer before it goes out.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers but the length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Payload,
    /// What there is to say of it.
    pub note: Option<String>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of a file.
    File(Part),
}

impl Answer {
    /// Makes one with a text.
    pub fn text(status: StatusCode, kind: &str, text: impl Into<Vec<u8>>) -> Self {
        let answer = Self {
            status,
            headers: Vec::new(),
            body: Payload::Bytes(text.into()),
            note: None,
        };
        answer.with(header::CONTENT_TYPE, kind)
    }

    /// Adds a header; a value that none can have is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Says that nothing is there; why is told to the one who serves alone.
    fn missing(why: impl Into<String>) -> Self {
        Self {
            note: Some(why.into()),
            ..Self::text(StatusCode::NOT_FOUND, TEXT, "404 page not found\n")
        }
    }
}

/// Says why something is not given: for now, or at all.
fn refused(why: &Refusal) -> Answer {
    match why.passes() {
        true => later(why),
        false => Answer::missing(why.shown()),
    }
}

/// Says that nothing is given until it has been judged again. That may be told to everybody: whoever
/// asks is to see that the server is not broken.
fn later(why: &Refusal) -> Answer {
    let text = format!("not served now: {}\n", why.told());
    Answer {
        note: Some(why.shown().to_owned()),
        ..Answer::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
    }
}

/// Answers a request. Reads files: it is not for a thread that others wait for.
pub fn answer(site: &Site, asked: &Parts) -> Answer {
    if asked.method != Method::GET && asked.method != Method::HEAD {
        let refused = Answer::text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        return refused.with(header::ALLOW, "GET, HEAD");
    }
    let path = asked.uri.path();
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let Ok(decoded) = decoded else {
        return Answer::missing("its name is no text");
    };
    match &*decoded {
        "/" => Answer::text(StatusCode::OK, TEXT, "matchbox\n"),
        "/boot.ipxe" | "/boot.ipxe.0" => Answer::text(StatusCode::OK, TEXT, BOOT),
        "/ipxe" => ipxe(site, asked.uri.query().unwrap_or_default()),
        "/metadata" => metadata(site, asked.uri.query().unwrap_or_default()),
        "/assets" => moved("/assets/"),
        other => match other.strip_prefix("/assets/") {
            Some(name) => asset(site, asked, path, name),
            // GRUB asks for it where it was told to when it was made.
            None => match site.menu(other) {
                Some(Ok(text)) => Answer::text(StatusCode::OK, TEXT, text),
                Some(Err(why)) => refused(&why),
                None => Answer::missing("no such route"),
            },
        },
    }
}

/// Gives what a machine says of itself; of a name that comes twice, the first.
fn labels(query: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        labels
            .entry(name.into_owned())
            .or_insert_with(|| value.into_owned());
    }
    labels
}

fn ipxe(site: &Site, query: &str) -> Answer {
    if let Err(why) = site.green() {
        return refused(&why);
    }
    let said = labels(query);
    let script = if site.grouped {
        let matched = match groups::group(&site.folder, &said) {
            Ok(Some(matched)) => matched,
            Ok(None) => return Answer::missing("no group matches"),
            Err(why) => return refused(&why),
        };
        let script = groups::script(&site.folder, &matched, |name| site.asset(name).map(drop));
        script.map(|script| (script, matched.ambiguous))
    } else {
        let arch = said.get("arch").filter(|arch| !arch.is_empty());
        let (kernels, arch) = (site.kernels(), arch.map(String::as_str));
        let script = kernels.script(arch, &site.cmdline);
        let script = script.map_err(|why| kernels.refusal(arch, why));
        script.map(|script| (script, None))
    };
    match script {
        Ok((script, note)) => Answer {
            note,
            ..Answer::text(StatusCode::OK, TEXT, script)
        },
        Err(why) => refused(&why),
    }
}

fn metadata(site: &Site, query: &str) -> Answer {
    if let Err(why) = site.green() {
        return refused(&why);
    }
    let said = labels(query);
    match groups::group(&site.folder, &said) {
        Ok(Some(matched)) => Answer {
            note: matched.ambiguous.clone(),
            // That is what matchbox calls it, and what its clients know.
            ..Answer::text(
                StatusCode::OK,
                "plain/text",
                groups::told(&matched, &said, query),
            )
        },
        Ok(None) => Answer::missing("no group matches"),
        Err(why) => refused(&why),
    }
}

fn moved(to: &str) -> Answer {
    Answer::text(StatusCode::MOVED_PERMANENTLY, TEXT, "").with(header::LOCATION, to)
}

fn asset(site: &Site, asked: &Parts, path: &str, name: &str) -> Answer {
    match site.asset(name) {
        // `file/` is no file.
        Ok(Found::File(_)) if name.ends_with('/') => refused(&Refusal::NotThere),
        Ok(Found::File(file)) => files::answer(&asked.headers, name, file),
        Ok(Found::Folder) if !path.ends_with('/') => moved(&format!("{path}/")),
        Ok(Found::Folder) => match site.asset(&format!("{name}/index.html")) {
            Ok(Found::File(file)) => files::answer(&asked.headers, "index.html", file),
            Ok(Found::Folder) | Err(_) => match site.listed(name) {
                Ok(found) => Answer::text(
                    StatusCode::OK,
                    "text/html; charset=utf-8",
                    files::listing(&found),
                ),
                Err(why) => refused(&why),
            },
        },
        Err(why) => refused(&why),
    }
}
