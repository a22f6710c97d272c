//! What web servers have, read by parts: `http://…` and `https://…` as the beginning of an address.
//!
//! `remote` reads a file as far as it is asked for; `client` is one exchange, with redirects,
//! time-outs and another try, of what `request` asks; `exchange` is one as it is, into `taken`, for
//! those who want to know what a server does; `sending` gives a body out and `download` takes one
//! in; `pause` says when the same is asked again; `range` and `address` read what servers and people
//! write. Nothing secret of an address stands in an error: see [`crate::model::address::shown`].

mod address;
pub mod client;
pub mod download;
mod error;
pub mod exchange;
mod pause;
mod range;
mod remote;
pub mod request;
pub mod sending;
pub mod taken;

use crate::format::{FormatError, Keep, Limits, Source};
use crate::probe::cache::{Cache, Cost, Identity, Kept, Place};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use std::sync::Arc;
use url::Url;

pub use address::{follow, is_loopback, parse, same_origin, shown_url};
pub use error::HttpError;
pub use pause::{Patience, Pauses, after};
pub use range::ContentRange;
pub use remote::How;
pub use sending::Told;

/// Opens what is at an address, and tells where that is in the end; see `remote::open`.
///
/// # Errors
/// See [`HttpError`].
pub fn follow_to(address: &str, limits: &Limits) -> Result<(Source, Url), HttpError> {
    let mut url = parse(address)?;
    let authorization = take_credentials(&mut url);
    let opened = remote::open(&url, authorization, limits, |_| None)?;
    Ok((opened.source, opened.url))
}

/// Opens what is at an address; see `remote::open`. What was read of the same state of it
/// before is not asked for again, where the server tells states apart by a strong `ETag`.
///
/// Gives the bytes, and the place of what is made from them.
///
/// # Errors
/// See [`HttpError`].
pub fn open(
    address: &str,
    limits: &Limits,
    cache: Option<Arc<Cache>>,
) -> Result<(Source, Option<Arc<dyn Keep>>), HttpError> {
    let mut url = parse(address)?;
    let authorization = take_credentials(&mut url);
    let deadline = limits.deadline;
    let place = move |cache: &Arc<Cache>, state: &str| {
        Place::new(
            Arc::clone(cache),
            Identity::Known(state.to_owned()),
            deadline,
        )
    };
    let kept = {
        let (cache, url, limits) = (cache.clone(), url.clone(), limits.clone());
        let authorization = authorization.clone();
        move |state: &str| {
            let place = place(cache.as_ref()?, state);
            let (url, authorization, limits) = (url.clone(), authorization.clone(), limits.clone());
            // Only where what was kept turns out not to be what it was.
            let again = move || {
                let opened = remote::open(&url, authorization.clone(), &limits, |_| None);
                let failed = |error: HttpError| FormatError::io("http", 0, error.to_string());
                opened.map(|opened| opened.source).map_err(failed)
            };
            let kept = Kept::new(&place, BYTES, Cost::Download, Box::new(again));
            kept.is_whole().then(|| Arc::new(kept) as Source)
        }
    };
    let opened = remote::open(&url, authorization, limits, kept)?;
    let (Some(cache), Some(state)) = (cache, opened.state) else {
        return Ok((opened.source, None));
    };
    let place = place(&cache, &state);
    let source = opened.source;
    let cost = match opened.how {
        How::Kept => return Ok((source, Some(Arc::new(place)))),
        How::Whole => Cost::Download,
        How::Parts => Cost::Request,
    };
    let size = source.size();
    let make = Box::new(move || Ok(Arc::clone(&source)));
    let kept = Kept::new(&place, BYTES, cost, make);
    let kept = match size {
        Ok(size) => kept.sized(size),
        Err(_) => kept,
    };
    Ok((Arc::new(kept), Some(Arc::new(place))))
}

/// What is kept of a file that is fetched as it is.
pub const BYTES: &str = "the bytes";

/// Makes the header for a name and a password. Source: RFC 7617.
pub fn basic(name: &str, password: &str) -> Option<HeaderValue> {
    let text = STANDARD.encode(format!("{name}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes what is not sent as part of an address out of it: the name and password, which become a
/// header, and what follows a `#`.
pub fn take_credentials(url: &mut reqwest::Url) -> Option<HeaderValue> {
    let said = !url.username().is_empty() || url.password().is_some();
    let name = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    said.then(|| basic(&name, &password)).flatten()
}

/// Takes the `%XX` out of a part of an address.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}
