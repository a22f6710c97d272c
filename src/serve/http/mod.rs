//! HTTP: connections within bounds, and what is answered on them.

mod answer;
mod body;
mod files;
mod slots;
mod stream;

use super::Site;
use super::error::ServeError;
use super::event::{Event, OnEvent};
use crate::model::value::clip;
use answer::Answer;
use body::{Answered, Told};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use slots::{Bounds, Place, Slots};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stream::Counted;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The bounds of connections. With the buffers of each, all together take less than 100 MiB.
const BOUNDS: Bounds = Bounds {
    connections: 512,
    of_one: 256,
    quiet: Duration::from_secs(1),
};
/// How long a request's head may take, also the next one of a connection.
const HEAD: Duration = Duration::from_secs(15);
/// How long a client may take nothing of an answer. A boot loader stalls while it starts.
const STALL: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// Answers that are made at once: each may read files.
const AT_ONCE: usize = 16;

/// The HTTP server.
#[derive(Debug)]
pub struct Http {
    listener: TcpListener,
    site: Arc<Site>,
    slots: Arc<Slots>,
    at_once: Arc<Semaphore>,
}

impl Http {
    /// Takes the port. `files` is how many files may be open: each connection takes two.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn bind(at: SocketAddr, site: Arc<Site>, files: u64) -> Result<Self, ServeError> {
        let room = usize::try_from(files / 4).unwrap_or(usize::MAX).max(1);
        let bounds = Bounds {
            connections: BOUNDS.connections.min(room),
            of_one: BOUNDS.of_one.min(room),
            ..BOUNDS
        };
        let listener = TcpListener::bind(at).await;
        let listener = listener.map_err(ServeError::bind("http", at, "--http-port", 8088))?;
        Ok(Self {
            listener,
            site,
            slots: Slots::new(bounds),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Gives where it listens.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn at(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn run(self, on_event: OnEvent) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    // Without a place it is closed: whoever wants something comes again.
                    if let Some(place) = self.slots.take(from.ip()) {
                        let (site, at_once) = (Arc::clone(&self.site), Arc::clone(&self.at_once));
                        let on_event = Arc::clone(&on_event);
                        tokio::spawn(connection(stream, from, place, (site, at_once), on_event));
                    }
                }
                // Out of descriptors, or the client went before it was taken.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    (site, at_once): (Arc<Site>, Arc<Semaphore>),
    on_event: OnEvent,
) {
    // Answers are written in whole pieces: waiting for more only delays the last one.
    let _ = stream.set_nodelay(true);
    let slot = Arc::clone(&place.slot);
    let service = service_fn(|request: Request<Incoming>| {
        slot.asked();
        respond(
            Arc::clone(&site),
            Arc::clone(&at_once),
            from,
            request,
            Arc::clone(&on_event),
        )
    });
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&place.slot)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let stalled = async {
        while place.slot.quiet() < STALL {
            tokio::time::sleep(STALL.saturating_sub(place.slot.quiet()).max(HEAD / 30)).await;
        }
    };
    tokio::select! {
        // What a client does wrong on its connection ends the connection alone.
        _ = served => {}
        () = stalled => {}
        () = place.slot.leave.notified() => {}
    }
}

async fn respond(
    site: Arc<Site>,
    at_once: Arc<Semaphore>,
    from: SocketAddr,
    request: Request<Incoming>,
    on_event: OnEvent,
) -> Result<Response<Answered>, Infallible> {
    let (parts, _) = request.into_parts();
    let shown = |text: &str| clip(text, 2000);
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.map(|agent| shown(&String::from_utf8_lossy(agent.as_bytes())));
    let (method, target) = (parts.method.to_string(), shown(&parts.uri.to_string()));
    let permit = at_once.acquire_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        answer::answer(&site, &parts)
    });
    let answer = made.await.unwrap_or_else(|_| {
        Answer::text(hyper::StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "")
    });
    let size = answer.body.size();
    let told = Told {
        event: Event::Http {
            from,
            method,
            target,
            status: answer.status.as_u16(),
            sent: 0,
            size,
            agent,
            note: answer.note,
        },
        on_event,
    };
    let mut response = Response::new(Answered::new(answer.body, told));
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    if answer.status != hyper::StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    Ok(response)
}
