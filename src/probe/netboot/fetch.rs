//! One file, fetched as firmware or iPXE does.

use super::Fault;
use crate::format::tftp::{Asked, Stopped};
use crate::format::{Limits, Source};
use crate::model::Sha256Digest;
use crate::probe::exec::Cancel;
use crate::probe::http::client::{Client, Head, Sink};
use crate::probe::http::download::Download;
use crate::probe::http::exchange::{Answer, Ask};
use crate::probe::http::{HttpError, take_credentials};
use crate::probe::temporary::Temporary;
use crate::probe::tftp::{self, TftpError};
use reqwest::Method;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use url::Url;

/// Redirects that iPXE follows here; UEFI follows none.
const HOPS: usize = 10;

/// Who fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// UEFI.
    Firmware,
    /// iPXE.
    Ipxe,
}

/// What came.
pub(super) struct Body {
    pub(super) source: Source,
    pub(super) size: u64,
    pub(super) sha256: Sha256Digest,
    /// The `Content-Type`, as the server writes it.
    pub(super) media: Option<String>,
    /// Where it is in the end, where redirects were followed.
    pub(super) url: Option<Url>,
}

/// Why nothing came.
#[derive(Clone, Debug)]
pub(super) enum Missed {
    /// What the server does would stop the machine.
    Fault(Fault, String),
    /// The server gives no answer.
    Unreachable(String),
    /// What came cannot be put away, or is too much.
    Local(String),
}

/// Fetches files.
#[derive(Clone, Copy)]
pub(super) struct Fetcher<'f> {
    pub(super) limits: &'f Limits,
    pub(super) deadline: Instant,
    pub(super) cancel: &'f Cancel,
}

impl Fetcher<'_> {
    /// Fetches what is at an address, whole.
    pub(super) fn get(&self, url: &Url, who: Who) -> Result<Body, Missed> {
        match url.scheme() {
            "http" | "https" => self.http(url, who),
            "tftp" => {
                let (server, file) = tftp::url::parse(url).map_err(missed)?;
                self.tftp(server, &file, who)
            }
            other => Err(Missed::Local(format!("`{other}:` is not fetched here"))),
        }
    }

    /// Fetches a file by TFTP, whole.
    pub(super) fn tftp(&self, server: SocketAddr, file: &str, who: Who) -> Result<Body, Missed> {
        let fetch = tftp::Fetch {
            server,
            file,
            asked: match who {
                Who::Firmware => Asked::edk2(),
                Who::Ipxe => Asked::ipxe(),
            },
            max: self.limits.max_decoded,
            deadline: self.deadline,
            cancel: self.cancel,
        };
        let local =
            |error: std::io::Error| Missed::Local(format!("it cannot be put away: {error}"));
        let mut held = Temporary::new().map_err(local)?;
        let got =
            tftp::get(&fetch, &mut |bytes| held.take(bytes).map(|()| true)).map_err(missed)?;
        match &got.stopped {
            Some(why @ Stopped::Refused { code: 1, .. }) => {
                return Err(Missed::Fault(Fault::NotFound, why.shown()));
            }
            Some(why) => return Err(Missed::Fault(Fault::Refused, why.shown())),
            None => {}
        }
        if let Some(announced) = got.agreed.tsize.filter(|size| *size != got.size) {
            let what = format!(
                "the server announced {announced} bytes, and sent {}",
                got.size
            );
            return Err(Missed::Fault(Fault::CutShort, what));
        }
        let (source, sha256) = held.finish().map_err(local)?;
        Ok(Body {
            source: Arc::new(source),
            size: got.size,
            sha256,
            media: None,
            url: None,
        })
    }

    /// UEFI asks by HEAD how long it is, and where that tells nothing begins to fetch it: what comes in
    /// chunks then has an end. Where HEAD says more than comes, that does not matter. Sources:
    /// `HttpBootLoadFile` and `HttpBootGetBootFile` of EDK2, and what a machine of QEMU's does;
    /// `http_tx_request` of iPXE.
    fn http(&self, url: &Url, who: Who) -> Result<Body, Missed> {
        // What HEAD is told: a length, or why not.
        let mut announced = None;
        if who == Who::Firmware {
            announced = Some(match self.asked(Method::HEAD, url, who, Nothing) {
                (Err(error), _) if error.is_transient() => return Err(self.failed(error)),
                (Ok(answer), _) => match answer.head.as_ref().and_then(length) {
                    Some(0) => Err("a length of 0".to_owned()),
                    Some(length) => Ok(length),
                    None => Err("no length".to_owned()),
                },
                (Err(error), _) => Err(error.to_string()),
            });
        }
        let download = Download::new(url, self.limits.max_decoded, "max_decoded");
        let arrival = Arrival {
            download: download.map_err(|error| Missed::Local(error.to_string()))?,
            endless: false,
        };
        let (answer, arrival) = self.asked(Method::GET, url, who, arrival);
        let endless = arrival.as_ref().is_some_and(|arrival| arrival.endless);
        let answer = answer.map_err(|error| self.failed(error))?;
        if endless {
            let what = "the server says neither Content-Length nor that it comes in chunks";
            return Err(Missed::Fault(Fault::NoLength, what.to_owned()));
        }
        if let Some(problem) = answer.problem {
            return Err(Missed::Fault(Fault::CutShort, problem));
        }
        let arrival = arrival.ok_or_else(|| Missed::Local("the answer is lost".to_owned()))?;
        let (source, sha256) = arrival
            .download
            .finish()
            .map_err(|error| self.failed(error))?;
        let source: Source = Arc::new(source);
        let size = source
            .size()
            .map_err(|error| Missed::Local(error.to_string()))?;
        let plain = answer.head.as_ref().is_some_and(|head| {
            let chunked = head.headers.contains_key(TRANSFER_ENCODING);
            head.headers.contains_key(CONTENT_LENGTH) && !chunked
        });
        match announced {
            // Firmware then begins with GET, and reads into no room at all, again and again.
            Some(Err(why)) if plain && size > 0 => {
                let what = format!(
                    "HEAD is told {why}, and GET how long it is: firmware waits without end; let the \
                     server answer HEAD as it answers GET"
                );
                return Err(Missed::Fault(Fault::NoHead, what));
            }
            Some(Ok(announced)) if announced < size => {
                let what = format!(
                    "the server says to HEAD that it is {announced} bytes, for which firmware makes \
                     room, and sends {size}"
                );
                return Err(Missed::Fault(Fault::WrongLength, what));
            }
            Some(Ok(_) | Err(_)) | None => {}
        }
        let media = answer
            .head
            .as_ref()
            .and_then(|head| head.headers.get(CONTENT_TYPE));
        Ok(Body {
            size,
            source,
            sha256,
            media: media.map(|media| String::from_utf8_lossy(media.as_bytes()).into_owned()),
            url: answer.head.as_ref().map(|head| head.url.clone()),
        })
    }

    fn asked<S: Sink>(
        &self,
        method: Method,
        url: &Url,
        who: Who,
        sink: S,
    ) -> (Result<Answer, HttpError>, Option<S>) {
        let mut url = url.clone();
        let authorization = take_credentials(&mut url);
        let (agent, hops) = match who {
            Who::Firmware => ("UefiHttpBoot/1.0", 0),
            Who::Ipxe => ("iPXE/1.21.1+", HOPS),
        };
        let ask = Ask {
            method,
            url,
            authorization,
            headers: vec![
                (ACCEPT, HeaderValue::from_static("*/*")),
                (USER_AGENT, HeaderValue::from_static(agent)),
            ],
            body: None,
            hops,
            deadline: self.deadline,
            tls: None,
        };
        match Client::shared() {
            Ok(client) => client.exchange(ask, sink, self.cancel),
            Err(error) => (Err(error), None),
        }
    }

    fn failed(&self, error: HttpError) -> Missed {
        let what = error.to_string();
        match error {
            HttpError::Status {
                status: 404 | 410, ..
            } => Missed::Fault(Fault::NotFound, what),
            HttpError::Status {
                status: 300..=399, ..
            } => Missed::Fault(
                Fault::Redirect,
                format!("{what}, which UEFI does not follow"),
            ),
            HttpError::Redirect { .. } => Missed::Fault(Fault::Redirect, what),
            HttpError::Status { .. } | HttpError::Answer { .. } | HttpError::Empty { .. } => {
                Missed::Fault(Fault::Refused, what)
            }
            HttpError::Cut { .. } => Missed::Fault(Fault::CutShort, what),
            HttpError::Connection { .. } | HttpError::Slow { .. } => Missed::Unreachable(what),
            HttpError::Address { .. }
            | HttpError::Changed { .. }
            | HttpError::Limit { .. }
            | HttpError::Interrupted
            | HttpError::Client { .. } => Missed::Local(what),
        }
    }
}

fn missed(error: TftpError) -> Missed {
    let what = error.to_string();
    match error {
        TftpError::NoAnswer { .. } | TftpError::Silent { .. } | TftpError::Late { .. } => {
            Missed::Unreachable(what)
        }
        TftpError::Address { .. }
        | TftpError::Interrupted
        | TftpError::Limit { .. }
        | TftpError::Local { .. } => Missed::Local(what),
    }
}

/// Gives the length that an answer announces.
fn length(head: &Head) -> Option<u64> {
    let value = head.headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    value.trim().parse().ok().filter(|_| head.status == 200)
}

/// Takes nothing of a body.
struct Nothing;

impl Sink for Nothing {
    fn begin(&mut self, _: &Head) -> Result<bool, HttpError> {
        Ok(false)
    }

    fn take(&mut self, _: &[u8]) -> Result<(), HttpError> {
        Ok(())
    }

    fn has_begun(&self) -> bool {
        false
    }
}

/// Takes a file whose end is known.
struct Arrival {
    download: Download,
    /// Whether only the end of the connection would tell where it ends.
    endless: bool,
}

impl Sink for Arrival {
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError> {
        let has = |name| head.headers.contains_key(name);
        self.endless = head.status == 200 && !has(CONTENT_LENGTH) && !has(TRANSFER_ENCODING);
        match self.endless {
            true => Ok(false),
            false => self.download.begin(head),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.download.take(bytes)
    }

    fn has_begun(&self) -> bool {
        self.download.has_begun()
    }
}
