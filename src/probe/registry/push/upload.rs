//! One blob, from the layout into the registry.
//!
//! Source: OCI distribution specification 1.1, "Pushing blobs".

use super::{Push, says};
use crate::format::FormatError;
use crate::format::oci::{Algorithm, Descriptor};
use crate::probe::http::client::Head;
use crate::probe::http::request::{Body, Request};
use crate::probe::http::sending::Sending;
use crate::probe::http::{Patience, after, follow};
use crate::probe::registry::RegistryError;
use crate::probe::registry::pull::may_mend;
use crate::probe::registry::transfer::{Failed, How, Meter, retried};
use crate::probe::registry::wire::uploaded;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Url};
use std::fs::File;
use std::sync::Arc;

/// No answer to an upload says more.
const SAID: usize = 64 << 10;
const BINARY: &str = "application/octet-stream";
/// The annotation in which container engines note where a blob is from, followed by a host:
/// repositories, with commas between.
const FROM: &str = "containerd.io/distribution.source.";
/// In what parts a blob goes that the registry says is too large.
const PART: u64 = 16 << 20;

/// An upload that the registry keeps open.
struct Open {
    /// Where what is next is to be sent.
    at: Url,
    /// How much it has.
    has: u64,
    /// What it takes at least at a time, but for the last part.
    least: u64,
}

/// What a blob's tries have in common.
struct State {
    open: Option<Open>,
    /// How much was there when it was gone on with.
    resumed: Option<u64>,
    /// In what parts it goes.
    part: Option<u64>,
    meter: Meter,
}

impl Push<'_> {
    /// Brings a blob there, however often it takes.
    pub(super) fn blob(&self, blob: &Descriptor) -> Result<How, RegistryError> {
        let file = self.folder.blob(blob)?;
        let mut state = State {
            open: None,
            resumed: None,
            part: self.options.chunk,
            meter: Meter::new(self.progress),
        };
        let what = || format!("the blob {}", blob.digest);
        let how = retried(self.options, self.progress, what, may_mend, || {
            let before = state.open.as_ref().map_or(0, |open| open.has);
            self.tried(blob, &file, &mut state).map_err(|mut failed| {
                let has = state.open.as_ref().map_or(0, |open| open.has);
                failed.moved = has > before;
                state.meter.settle(has);
                failed
            })
        })?;
        state.meter.settle(blob.size);
        Ok(how)
    }

    /// Asks, and takes a short answer in.
    fn say(&self, request: &Request) -> Result<(Head, Vec<u8>), RegistryError> {
        self.session.say(request, SAID, "an answer to an upload")
    }

    /// Makes the error of a refusal, with how long the registry wants to be left alone.
    fn no(&self, head: &Head, body: &[u8]) -> Failed {
        let error = self.session.refused(head.refused(), body);
        Failed {
            wanted: after(&head.headers),
            ..Failed::from(error)
        }
    }

    /// Tells whether the registry has a blob, by its own account.
    pub(super) fn has(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let url = self.session.name.url("blobs", &blob.digest.to_string());
        let (head, _) = self.say(&self.session.request(Method::HEAD, url))?;
        match head.status {
            200 => {
                let length = head.headers.get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
                Ok(length == Some(blob.size) && says(&head.headers, &blob.digest))
            }
            404 => Ok(false),
            _ => Err(self.session.refused(head.refused(), &[])),
        }
    }

    fn tried(&self, blob: &Descriptor, file: &Arc<File>, state: &mut State) -> Result<How, Failed> {
        if let Some(open) = state.open.take() {
            state.open = self.status(open, blob.size)?;
            state.resumed = state.open.as_ref().map(|open| open.has);
        }
        if state.open.is_none() {
            if self.has(blob)? {
                return Ok(How::There);
            }
            match self.begin(blob)? {
                Begun::Mounted => return Ok(How::Mounted),
                Begun::Open(open) => state.open = Some(open),
            }
        }
        self.rest(blob, file, state)?;
        state.open = None;
        Ok(match state.resumed {
            Some(from) if from > 0 => How::Resumed { from },
            Some(_) | None => How::Carried,
        })
    }

    /// Begins an upload, or has the blob mounted from another repository.
    fn begin(&self, blob: &Descriptor) -> Result<Begun, Failed> {
        let mut url = self.session.name.url("blobs", "uploads/");
        let key = format!("{FROM}{}", self.session.name.host());
        let noted = blob
            .annotations
            .get(&key)
            .map(String::as_str)
            .unwrap_or_default();
        let noted = noted.split(',').map(str::trim);
        let own = self.session.name.repository();
        let given = self.options.mount_from.iter().map(String::as_str);
        let mut others = given
            .chain(noted)
            .filter(|from| !from.is_empty() && *from != own);
        let mut refused = None;
        if let Some(from) = others.next() {
            let mut url = url.clone();
            let digest = blob.digest.to_string();
            url.query_pairs_mut()
                .append_pair("mount", &digest)
                .append_pair("from", from);
            let (head, body) = self.say(&self.session.request(Method::POST, url))?;
            match head.status {
                // It is believed once it is there.
                201 if self.has(blob)? => return Ok(Begun::Mounted),
                201 => {}
                202 => return Ok(Begun::Open(self.opened(&head, 0)?)),
                // That the other one may not be read is no reason not to write this one.
                _ => refused = Some((head, body)),
            }
        }
        url.set_query(None);
        let (head, body) = self.say(&self.session.request(Method::POST, url))?;
        match (head.status, refused) {
            (202, _) => Ok(Begun::Open(self.opened(&head, 0)?)),
            (_, Some((head, body))) if head.status == 401 => Err(self.no(&head, &body)),
            _ => Err(self.no(&head, &body)),
        }
    }

    /// Reads where an upload goes on.
    fn opened(&self, head: &Head, has: u64) -> Result<Open, RegistryError> {
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let location = location
            .ok_or_else(|| head.wrong("the registry does not say where the upload goes on"))?;
        let least = head.headers.get("oci-chunk-min-length");
        let least = least.and_then(|n| n.to_str().ok()?.parse().ok());
        Ok(Open {
            at: follow(&head.url, location)?,
            has,
            least: least.unwrap_or(0),
        })
    }

    /// Asks how much of an upload has come; `None` where the registry has forgotten it, or cannot
    /// say.
    fn status(&self, open: Open, size: u64) -> Result<Option<Open>, RegistryError> {
        let (head, _) = self.say(&self.session.request(Method::GET, open.at.clone()))?;
        let range = head
            .headers
            .get(RANGE)
            .and_then(|range| range.to_str().ok());
        let has = range
            .and_then(uploaded)
            .filter(|has| *has > 0 && *has <= size);
        let (204 | 202 | 200, Some(has)) = (head.status, has) else {
            return Ok(None);
        };
        Ok(Some(match head.headers.contains_key(LOCATION) {
            true => self.opened(&head, has)?,
            false => Open { has, ..open },
        }))
    }

    /// Sends what is missing, and closes the upload.
    fn rest(&self, blob: &Descriptor, file: &Arc<File>, state: &mut State) -> Result<(), Failed> {
        let size = blob.size;
        let whole = state.part.is_none() && state.open.as_ref().is_some_and(|o| o.has == 0);
        if whole {
            let Some(open) = &state.open else {
                return Ok(());
            };
            let sending = self.sending(file, 0, size, state);
            let request = self
                .closing(&open.at, blob)
                .body(Body::Made(Arc::clone(&sending)));
            let (head, body) = self.send(blob, &request, &sending)?;
            if head.status == 413 {
                // What is too large for one may do in parts.
                state.part = Some(PART);
                state.open = None;
                return Err(self.again("the registry takes no blob of this size at once"));
            }
            self.check_sent(blob, &sending)?;
            return self.closed(blob, &head, &body, state);
        }
        loop {
            let Some(open) = &state.open else {
                return Ok(());
            };
            if open.has >= size {
                break;
            }
            let part = state.part.unwrap_or(u64::MAX).max(open.least).max(1);
            let length = part.min(size - open.has);
            let (from, last) = (open.has, open.has + length - 1);
            let sending = self.sending(file, from, length, state);
            let request = self
                .once(Method::PATCH, open.at.clone())
                .header(CONTENT_TYPE, BINARY)
                .header(CONTENT_RANGE, &format!("{from}-{last}"))
                .body(Body::Made(Arc::clone(&sending)));
            let (head, body) = self.send(blob, &request, &sending)?;
            if head.status != 202 {
                if !matches!(head.status, 429 | 500..) {
                    state.open = None;
                }
                return Err(self.no(&head, &body));
            }
            let range = head
                .headers
                .get(RANGE)
                .and_then(|range| range.to_str().ok());
            let has = match range.and_then(uploaded) {
                // Of one byte nothing is said either.
                None | Some(0) if last == 0 => 1,
                has => has.unwrap_or(last + 1),
            };
            let opened = self.opened(&head, has)?;
            if has <= from || has > last + 1 {
                state.open = None;
                return Err(self.again("the registry has another part than it was sent"));
            }
            state.open = Some(opened);
        }
        let Some(open) = &state.open else {
            return Ok(());
        };
        let (head, body) = self.say(&self.closing(&open.at, blob))?;
        self.closed(blob, &head, &body, state)?;
        // What went in parts was not digested in one go.
        self.folder
            .verify(blob, &self.options.limits)
            .map_err(Failed::from)
    }

    fn again(&self, what: &str) -> Failed {
        Failed::from(RegistryError::Refused {
            name: self.session.name.shown(),
            what: what.to_owned(),
            status: 0,
            transient: true,
        })
    }

    fn once(&self, method: Method, url: Url) -> Request {
        self.session.request(method, url).patience(Patience::ONCE)
    }

    /// Makes the request that closes an upload.
    fn closing(&self, at: &Url, blob: &Descriptor) -> Request {
        let mut url = at.clone();
        // What stands there already is the registry's, and is given back as it is.
        let own = url
            .query()
            .filter(|own| !own.is_empty())
            .map(|own| format!("{own}&"));
        let query = format!("{}digest={}", own.unwrap_or_default(), blob.digest);
        url.set_query(Some(&query));
        self.once(Method::PUT, url).header(CONTENT_TYPE, BINARY)
    }

    fn sending(&self, file: &Arc<File>, from: u64, length: u64, state: &State) -> Arc<Sending> {
        Arc::new(Sending::new(
            Arc::clone(file),
            from,
            length,
            state.meter.told(),
        ))
    }

    /// Sends a part; that the file cannot be read is told as what it is.
    fn send(
        &self,
        blob: &Descriptor,
        request: &Request,
        sending: &Sending,
    ) -> Result<(Head, Vec<u8>), RegistryError> {
        self.say(request).map_err(|error| match sending.fault() {
            Some(fault) => self.folder.unreadable(blob, &fault),
            None => error,
        })
    }

    /// Holds what was sent to its digest.
    fn check_sent(&self, blob: &Descriptor, sending: &Sending) -> Result<(), RegistryError> {
        let sent = match (blob.digest.algorithm(), sending.digest()) {
            // An answer may come before everything is sent.
            (_, None) | (Algorithm::Sha512, _) => {
                return self.folder.verify(blob, &self.options.limits);
            }
            (Algorithm::Sha256, Some(sent)) => format!("sha256:{sent}"),
        };
        if sent == blob.digest.to_string() {
            return Ok(());
        }
        let what = format!("the blob {} has the digest {sent}", blob.digest);
        let error = FormatError::corrupt("oci", 0, what);
        Err(self.folder.corrupt(&blob.digest.path(), error))
    }

    /// Looks at the answer that closes an upload.
    fn closed(
        &self,
        blob: &Descriptor,
        head: &Head,
        body: &[u8],
        state: &mut State,
    ) -> Result<(), Failed> {
        match head.status {
            200 | 201 | 204 if says(&head.headers, &blob.digest) => Ok(()),
            200 | 201 | 204 => {
                state.open = None;
                let what = "the registry has stored it under another digest";
                Err(self.again(what))
            }
            429 | 500.. => Err(self.no(head, body)),
            // Among them is that the bytes came broken.
            400 | 404 | 416 => {
                state.open = None;
                let failed = self.no(head, body);
                Err(self.again(&failed.error.to_string()))
            }
            _ => Err(self.no(head, body)),
        }
    }
}

/// What came of the beginning of an upload.
enum Begun {
    Open(Open),
    Mounted,
}
