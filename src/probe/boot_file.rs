//! What boot loaders fetch, fetched as they do: by HTTP or TFTP.

use crate::format::ipxe::{Failed, Fetch, Loaded, is_script, script};
use crate::format::kernel::pe_machine;
use crate::format::{Content, FormatError, Limits, Source};
use crate::probe::http::{self, HttpError};
use url::Url;

/// Fetches the files of iPXE's scripts. Scripts come whole; of anything else the server is asked
/// for the beginning, where it gives parts.
pub struct BootFiles {
    limits: Limits,
}

impl BootFiles {
    /// Makes one that keeps to bounds, the deadline among them.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    fn http(&self, url: &Url) -> Result<Loaded, Failed> {
        let opened = http::open(url.as_str(), &self.limits, None);
        let (source, _) = opened.map_err(|error| match &error {
            HttpError::Connection { .. }
            | HttpError::Cut { .. }
            | HttpError::Slow { .. }
            | HttpError::Client { .. }
            | HttpError::Limit { .. }
            | HttpError::Interrupted
            | HttpError::Changed { .. } => Failed::Unreachable(error.to_string()),
            HttpError::Status { .. }
            | HttpError::Address { .. }
            | HttpError::Answer { .. }
            | HttpError::Redirect { .. }
            | HttpError::Empty { .. } => Failed::Refused(error.to_string()),
        })?;
        loaded(&source).map_err(|error| Failed::Unreachable(error.to_string()))
    }
}

impl Fetch for BootFiles {
    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        match url.scheme() {
            "http" | "https" => self.http(url),
            other => Err(Failed::Unreachable(format!(
                "`{other}:` is not fetched here"
            ))),
        }
    }
}

/// Tells what a file is, and gives a script whole.
///
/// # Errors
/// Where it cannot be read.
pub fn loaded(source: &Source) -> Result<Loaded, FormatError> {
    let head = source.up_to(0, Content::HEAD)?;
    if is_script(&head) {
        // One byte more than may be: the reader of scripts says that it is too much.
        return Ok(Loaded::Script(
            source.up_to(0, script::MAX_SCRIPT + 1)?.to_vec(),
        ));
    }
    Ok(Loaded::Other {
        content: Content::detect(&head).name().to_owned(),
        pe_machine: pe_machine(&head),
        size: source.size().ok(),
    })
}
