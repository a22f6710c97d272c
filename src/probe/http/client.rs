//! One exchange with a server: redirects, time-outs, another try.

use super::HttpError;
use super::address::{follow, same_origin, shown_url};
use super::error::is_busy;
use super::pause::{Pauses, after};
use super::request::{Body, Request};
use crate::probe::exec::Cancel;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue,
    LOCATION,
};
use reqwest::{Method, Response, Url};
use std::future::Future;
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may come.
const IDLE: Duration = Duration::from_secs(30);
/// What has to come in each second on the average, beyond the first half minute: a server that
/// sends a byte now and then is not waited for all day.
const SLOWEST: u64 = 16 << 10;
/// How many redirects are followed.
const HOPS: usize = 5;
/// How long a server may think about what it has been sent whole: it digests it, and may have to
/// move it.
const THINK: Duration = Duration::from_secs(300);
/// How often it is looked whether something moves, and whether somebody still wants it.
const LOOK: Duration = Duration::from_millis(50);

/// What an answer begins with.
#[derive(Clone, Debug)]
pub struct Head {
    /// Where it came from in the end.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
}

impl Head {
    /// Shows where it came from.
    pub fn shown(&self) -> String {
        shown_url(&self.url)
    }

    /// Makes an error about the answer.
    pub fn wrong(&self, what: impl Into<String>) -> HttpError {
        HttpError::Answer {
            address: self.shown(),
            what: what.into(),
        }
    }

    /// Makes the error for a status that was not hoped for.
    pub fn refused(&self) -> HttpError {
        HttpError::Status {
            address: self.shown(),
            status: self.status,
        }
    }

    /// Refuses an answer whose bytes are not those of the file.
    ///
    /// # Errors
    /// Where they are compressed for the way, although that was declined.
    pub fn check_encoding(&self) -> Result<(), HttpError> {
        let mut encodings = self.headers.get_all(CONTENT_ENCODING).iter();
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        match encodings.find(|value| !plain(value)) {
            None => Ok(()),
            Some(value) => Err(self.wrong(format!(
                "the server sends it with Content-Encoding `{}`, although it was asked not to: \
                 these are not the bytes of the file; switch that off on the server",
                String::from_utf8_lossy(value.as_bytes()).escape_debug()
            ))),
        }
    }
}

/// Takes an answer in.
pub trait Sink: Send + 'static {
    /// Looks at the answer's head; `false` says that the body is not wanted.
    ///
    /// # Errors
    /// Where the answer is of no use.
    fn begin(&mut self, head: &Head) -> Result<bool, HttpError>;

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Where they are too many, or cannot be put away.
    fn take(&mut self, bytes: &[u8]) -> Result<(), HttpError>;

    /// Tells whether some of the body has been taken: then it is not asked for again.
    fn has_begun(&self) -> bool;
}

/// The client of this process.
pub struct Client {
    pub(super) inner: reqwest::Client,
    pub(super) runtime: tokio::runtime::Runtime,
}

impl Client {
    /// Gives the one client, which keeps connections for the next request.
    ///
    /// # Errors
    /// Where the system gives no threads, or no certificates to trust.
    pub fn shared() -> Result<&'static Self, HttpError> {
        static SHARED: OnceLock<Result<Client, HttpError>> = OnceLock::new();
        SHARED.get_or_init(Self::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, HttpError> {
        let failed = |what: String| HttpError::Client { what };
        // Another part of the process may have chosen one already; that one does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = builder().build().map_err(|error| failed(cause(&error)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tdg-net")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { inner, runtime })
    }

    /// Asks, and lets the sink take the answer. The sink comes back, whatever happened.
    ///
    /// It blocks the thread, and may be called from any, one that drives other futures included.
    pub fn ask<S: Sink>(&self, request: Request, sink: S) -> (Result<Head, HttpError>, Option<S>) {
        let (send, receive) = mpsc::sync_channel(1);
        let client = self.inner.clone();
        self.runtime.spawn(async move {
            let mut sink = sink;
            let answer = bounded(&client, &request, &mut sink).await;
            // Nobody waits only where the process ends.
            let _ = send.send((answer, sink));
        });
        match receive.recv() {
            Ok((answer, sink)) => (answer, Some(sink)),
            Err(_) => {
                let what = "the thread that asks has ended".to_owned();
                (Err(HttpError::Client { what }), None)
            }
        }
    }
}

/// Begins a client that follows no redirect by itself and waits for nothing too long.
pub(super) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("tdg/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
}

async fn bounded<S: Sink>(
    client: &reqwest::Client,
    request: &Request,
    sink: &mut S,
) -> Result<Head, HttpError> {
    let exchange = tried(client, request, sink);
    let end = async {
        match request.deadline {
            None => std::future::pending().await,
            Some(end) => tokio::time::sleep_until(end.into()).await,
        }
    };
    let interrupted = async {
        while !Cancel::global().is_set() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        answer = exchange => answer,
        () = end => Err(HttpError::Slow {
            address: shown_url(&request.url),
            what: "the answer did not end within the time given",
        }),
        () = interrupted => Err(HttpError::Interrupted),
    }
}

async fn tried<S: Sink>(
    client: &reqwest::Client,
    request: &Request,
    sink: &mut S,
) -> Result<Head, HttpError> {
    let mut pauses = Pauses::new(request.patience);
    loop {
        let (error, wanted) = match redirected(client, request).await {
            Ok((response, head)) if is_busy(head.status) && pauses.left() => {
                let wanted = after(&head.headers);
                drop(response);
                (head.refused(), wanted)
            }
            Ok((response, head)) => match body(response, &head, sink).await {
                Ok(()) => return Ok(head),
                Err(error) => (error, None),
            },
            Err(error) => (error, None),
        };
        let again = match &error {
            HttpError::Cut { .. } | HttpError::Status { .. } => error.is_transient(),
            _ => false,
        };
        if !again || sink.has_begun() {
            return Err(error);
        }
        match pauses.next(wanted) {
            Some(pause) => {
                if let Some(again) = &request.again {
                    (again.0)(&error, pause);
                }
                tokio::time::sleep(pause).await;
            }
            None => return Err(error),
        }
    }
}

async fn redirected(
    client: &reqwest::Client,
    request: &Request,
) -> Result<(Response, Head), HttpError> {
    let mut url = request.url.clone();
    for _ in 0..=HOPS {
        let mut asked = client
            .request(request.method.clone(), url.clone())
            .header(ACCEPT_ENCODING, "identity");
        for (name, value) in &request.headers {
            asked = asked.header(name, value);
        }
        if let Some(who) = &request.authorization
            && same_origin(&request.url, &url)
        {
            asked = asked.header(AUTHORIZATION, who);
        }
        let mut moves = None;
        asked = match &request.body {
            Body::None if matches!(request.method, Method::GET | Method::HEAD) => asked,
            // Without it some servers wait for a body, and others refuse.
            Body::None => asked.header(CONTENT_LENGTH, 0),
            Body::Bytes(bytes) => asked.body(bytes.clone()),
            Body::Made(make) => {
                let (body, moved) = make.open();
                moves = Some(moved);
                asked.header(CONTENT_LENGTH, make.length()).body(body)
            }
        };
        let answer = asked.send();
        let response = match moves {
            None => idle(&url, answer).await?,
            Some(moves) => tokio::select! {
                answer = answer => answer,
                stopped = moves.watch(IDLE, THINK) => return Err(HttpError::Slow {
                    address: shown_url(&url),
                    what: stopped,
                }),
            },
        };
        let response = response.map_err(|error| failed(&url, error))?;
        let head = Head {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: url.clone(),
        };
        match (head.status, &request.method) {
            (301 | 302 | 303 | 307 | 308, &Method::GET | &Method::HEAD) | (307 | 308, _) => {}
            (301..=303, _) => {
                return Err(head.wrong(format!(
                    "the server redirects what it is to be sent ({}), without saying that it is \
                     to be sent there again",
                    head.status
                )));
            }
            _ => return Ok((response, head)),
        }
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        url = follow(
            &url,
            location.ok_or_else(|| head.wrong("a redirect that leads nowhere"))?,
        )?;
    }
    Err(HttpError::Redirect {
        address: shown_url(&request.url),
        what: format!("more than {HOPS} redirects"),
    })
}

/// Waits for something that has to come soon.
async fn idle<T>(url: &Url, coming: impl Future<Output = T>) -> Result<T, HttpError> {
    let come = tokio::time::timeout(IDLE, coming).await;
    come.map_err(|_| HttpError::Slow {
        address: shown_url(url),
        what: "nothing came for 30 seconds",
    })
}

pub(super) async fn body<S: Sink>(
    mut response: Response,
    head: &Head,
    sink: &mut S,
) -> Result<(), HttpError> {
    if !sink.begin(head)? {
        return Ok(());
    }
    let begin = Instant::now();
    let mut taken: u64 = 0;
    loop {
        let piece = idle(&head.url, response.chunk())
            .await?
            .map_err(|error| failed(&head.url, error))?;
        let Some(piece) = piece else {
            return Ok(());
        };
        sink.take(&piece)?;
        taken += piece.len() as u64;
        if begin.elapsed() > IDLE + Duration::from_secs(taken / SLOWEST) {
            return Err(HttpError::Slow {
                address: head.shown(),
                what: "the answer comes too slowly",
            });
        }
    }
}

/// Says what an error of the transport means.
pub(super) fn failed(url: &Url, error: reqwest::Error) -> HttpError {
    let address = shown_url(url);
    let error = error.without_url();
    if error.is_timeout() {
        let what = match error.is_connect() {
            true => "no connection came about within 10 seconds",
            false => "nothing came for 30 seconds",
        };
        return HttpError::Slow { address, what };
    }
    let what = cause(&error);
    match error.is_connect() || error.is_builder() {
        true => HttpError::Connection { address, what },
        false => HttpError::Cut { address, what },
    }
}

/// Gives the first cause of an error: what was done when it came is said already.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut first = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    first.to_string()
}
