//! What is asked of a server.

use super::error::HttpError;
use super::pause::Patience;
use super::sending::Sending;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hears that the same will be asked again: why, and after how long.
type Hears = dyn Fn(&HttpError, Duration) + Send + Sync;

/// Who is told that the same will be asked again.
#[derive(Clone)]
pub struct Again(pub Arc<Hears>);

impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Again")
    }
}

/// What is asked of a server.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Who asks; told to this address's scheme, host and port, and to no other.
    pub authorization: Option<HeaderValue>,
    /// Everything else.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent along.
    pub body: Body,
    /// How often the same is asked where the server is busy or the connection breaks.
    pub patience: Patience,
    /// Who is told of each further try.
    pub again: Option<Again>,
    /// When it has to be over.
    pub deadline: Option<Instant>,
}

/// What is sent along with a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// A few bytes.
    Bytes(Vec<u8>),
    /// Bytes that are made while they are sent.
    Made(Arc<Sending>),
}

impl Request {
    /// Asks for what is at an address.
    pub fn get(url: Url, deadline: Option<Instant>) -> Self {
        Self::new(Method::GET, url, deadline)
    }

    /// Asks for something to be done at an address.
    pub fn new(method: Method, url: Url, deadline: Option<Instant>) -> Self {
        Self {
            method,
            url,
            authorization: None,
            headers: Vec::new(),
            body: Body::None,
            patience: Patience::SHORT,
            again: None,
            deadline,
        }
    }

    /// Adds a header; a value that cannot be one is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Sends something along.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Asks so often.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }
}
