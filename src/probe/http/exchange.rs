//! One exchange as it is: any method, each redirect written down, no second try.
//!
//! What reads files asks with [`super::client`], which does what it can to get them. This is for
//! those who want to know what a server does.

use super::HttpError;
use super::address::{follow, same_origin, shown_url};
use super::client::{Client, Head, Sink, body, builder, cause, failed};
use crate::probe::exec::Cancel;
use crate::probe::tls::Recorder;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue,
    LOCATION, RANGE, USER_AGENT,
};
use reqwest::{Method, Url, Version};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How often it is looked whether the run is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Headers that another server may be told: they say how to answer, and nothing of who asks.
const HARMLESS: &[HeaderName] = &[ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, RANGE, USER_AGENT];

/// What is asked of a server, and how.
#[derive(Clone, Debug)]
pub struct Ask {
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Who asks; told to this address's scheme, host and port, and to no other.
    pub authorization: Option<HeaderValue>,
    /// Everything else; another server is told only how it is to answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// How many redirects are followed.
    pub hops: usize,
    /// When it has to be over.
    pub deadline: Instant,
    /// Where certificates are written down; with one, each connection is a new one.
    pub tls: Option<Arc<Recorder>>,
}

/// A redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Which address sent on, without what may be secret in it.
    pub url: String,
    /// With which status.
    pub status: u16,
    /// Where it leads, without what may be secret in it.
    pub location: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The last answer's head; `None` where nothing was asked, because a certificate is not
    /// trusted.
    pub head: Option<Head>,
    /// The version of HTTP it was given in.
    pub version: Option<&'static str>,
    /// The redirects before it.
    pub hops: Vec<Hop>,
    /// What is wrong with it, beside what it says: see [`crate::check`].
    pub problem: Option<String>,
    /// Where the last answer came from; a proxy, where there is one.
    pub peer: Option<SocketAddr>,
    /// How long it took until the last head was there.
    pub first: Duration,
    /// How long it took until the end.
    pub took: Duration,
}

impl Client {
    /// Asks once. The sink comes back, whatever happened.
    pub fn exchange<S: Sink>(
        &self,
        ask: Ask,
        sink: S,
        cancel: &Cancel,
    ) -> (Result<Answer, HttpError>, Option<S>) {
        let lost = |what: &str| HttpError::Client { what: what.into() };
        let client = match &ask.tls {
            None => self.inner.clone(),
            Some(recorder) => match recording(recorder) {
                Ok(client) => client,
                Err(what) => return (Err(HttpError::Client { what }), None),
            },
        };
        let (send, receive) = mpsc::sync_channel(1);
        let task = self.runtime.spawn(async move {
            let mut sink = sink;
            let address = shown_url(&ask.url);
            let end = tokio::time::Instant::from_std(ask.deadline);
            let answer = tokio::time::timeout_at(end, asked(&client, ask, &mut sink)).await;
            let answer = answer.unwrap_or(Err(HttpError::Slow {
                address,
                what: "the answer did not end within the time given",
            }));
            // Nobody waits only where the run is over.
            let _ = send.send((answer, sink));
        });
        loop {
            match receive.recv_timeout(LOOK) {
                Ok((answer, sink)) => return (answer, Some(sink)),
                Err(mpsc::RecvTimeoutError::Timeout) if cancel.is_set() => {
                    task.abort();
                    return (Err(lost("the run was interrupted")), None);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return (Err(lost("the thread that asks has ended")), None);
                }
            }
        }
    }
}

/// Makes a client that writes certificates down.
fn recording(recorder: &Arc<Recorder>) -> Result<reqwest::Client, String> {
    let made = builder().tls_backend_preconfigured(recorder.client()?);
    made.pool_max_idle_per_host(0)
        .build()
        .map_err(|error| cause(&error))
}

async fn asked<S: Sink>(
    client: &reqwest::Client,
    mut ask: Ask,
    sink: &mut S,
) -> Result<Answer, HttpError> {
    let begin = Instant::now();
    let mut hops = Vec::new();
    loop {
        if let Some(recorder) = &ask.tls {
            recorder.clear();
        }
        let response = match send(client, &ask).await {
            Ok(response) => response,
            Err(error) => {
                let refused = ask.tls.as_ref().and_then(|tls| tls.shown()?.problem);
                let Some(problem) = refused else {
                    return Err(failed(&ask.url, error));
                };
                return Ok(Answer {
                    head: None,
                    version: None,
                    hops,
                    problem: Some(format!(
                        "the certificate of {} is not trusted, so nothing was asked: {problem}",
                        shown_url(&ask.url)
                    )),
                    peer: None,
                    first: begin.elapsed(),
                    took: begin.elapsed(),
                });
            }
        };
        let first = begin.elapsed();
        let head = Head {
            url: ask.url.clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
        };
        let mut problem = None;
        if ask.hops > 0 && matches!(head.status, 301 | 302 | 303 | 307 | 308) {
            match next(&mut ask, &head, hops.len()) {
                Ok(hop) => {
                    hops.push(hop);
                    continue;
                }
                Err(why) => problem = Some(why),
            }
        }
        let version = version(response.version());
        let peer = response.remote_addr();
        match body(response, &head, sink).await {
            Ok(()) => {}
            Err(HttpError::Cut { what, .. }) => {
                problem.get_or_insert(format!("the body does not come whole: {what}"));
            }
            Err(error) => return Err(error),
        }
        return Ok(Answer {
            head: Some(head),
            version,
            hops,
            problem,
            peer,
            first,
            took: begin.elapsed(),
        });
    }
}

async fn send(client: &reqwest::Client, ask: &Ask) -> Result<reqwest::Response, reqwest::Error> {
    let mut asked = client.request(ask.method.clone(), ask.url.clone());
    if !ask.headers.iter().any(|(name, _)| name == ACCEPT_ENCODING) {
        asked = asked.header(ACCEPT_ENCODING, "identity");
    }
    for (name, value) in &ask.headers {
        asked = asked.header(name, value);
    }
    if let Some(who) = &ask.authorization {
        asked = asked.header(AUTHORIZATION, who);
    }
    if let Some(body) = &ask.body {
        asked = asked.body(body.clone());
    }
    asked.send().await
}

/// Turns to where a redirect leads. Source: RFC 9110, section 15.4.
///
/// # Errors
/// Says why it is not followed.
fn next(ask: &mut Ask, head: &Head, done: usize) -> Result<Hop, String> {
    if done >= ask.hops {
        return Err(format!("more than {} redirects", ask.hops));
    }
    let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let location = location.ok_or("a redirect that leads nowhere")?;
    let to = follow(&head.url, location).map_err(|error| match error {
        HttpError::Redirect { what, .. } => what,
        other => other.to_string(),
    })?;
    let keeps =
        matches!(head.status, 307 | 308) || matches!(ask.method, Method::GET | Method::HEAD);
    if !keeps {
        ask.method = Method::GET;
        ask.body = None;
        ask.headers.retain(|(name, _)| name != CONTENT_TYPE);
    }
    if !same_origin(&head.url, &to) {
        if ask.body.is_some() {
            let to = shown_url(&to);
            return Err(format!(
                "a redirect that would send the body to another server ({to}) is not followed"
            ));
        }
        ask.authorization = None;
        ask.headers.retain(|(name, _)| HARMLESS.contains(name));
    }
    ask.url = to;
    Ok(Hop {
        url: head.shown(),
        status: head.status,
        location: shown_url(&ask.url),
    })
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
