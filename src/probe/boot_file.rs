//! What boot loaders fetch, fetched as they do: by HTTP or TFTP.

use crate::format::ipxe::{Failed, Fetch, Loaded, is_script, script};
use crate::format::kernel::pe_machine;
use crate::format::tftp::Asked;
use crate::format::{Content, FormatError, Limits, Source, pe};
use crate::probe::exec::Cancel;
use crate::probe::http::{self, HttpError};
use crate::probe::tftp::{self, TftpError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// How long a transfer may take where nothing else bounds it.
const LONG: Duration = Duration::from_secs(600);

/// Fetches the files of iPXE's scripts. Scripts come whole; of anything else the server is asked
/// for the beginning, where it gives parts.
pub struct BootFiles<'c> {
    limits: Limits,
    cancel: &'c Cancel,
    /// Where the last file was in the end.
    led_to: Option<Url>,
}

impl<'c> BootFiles<'c> {
    /// Makes one that keeps to bounds, the deadline among them.
    pub fn new(limits: Limits, cancel: &'c Cancel) -> Self {
        Self {
            limits,
            cancel,
            led_to: None,
        }
    }

    fn http(&mut self, url: &Url) -> Result<Loaded, Failed> {
        let opened = http::follow_to(url.as_str(), &self.limits);
        let (source, led_to) = opened.map_err(|error| match &error {
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
        self.led_to = Some(led_to);
        loaded(&source).map_err(|error| Failed::Unreachable(error.to_string()))
    }

    /// Fetches a script whole; of anything else only the beginning, and the size that the server says.
    fn tftp(&self, url: &Url) -> Result<Loaded, Failed> {
        let (server, file) = tftp::url::parse(url).map_err(|error| failed(&error))?;
        let fetch = tftp::Fetch {
            server,
            file: &file,
            asked: Asked::ipxe(),
            max: self.limits.max_decoded,
            deadline: self
                .limits
                .deadline
                .unwrap_or_else(|| Instant::now() + LONG),
            cancel: self.cancel,
        };
        let mut head = Vec::new();
        let got = tftp::get(&fetch, &mut |bytes| {
            head.extend_from_slice(bytes);
            let most = match is_script(&head) {
                true => script::MAX_SCRIPT,
                false => Content::HEAD,
            };
            Ok(head.len() <= most)
        });
        let got = got.map_err(|error| failed(&error))?;
        match &got.stopped {
            Some(why) => Err(Failed::Refused(why.shown())),
            None => {
                let size = if got.whole {
                    Some(got.size)
                } else {
                    got.agreed.tsize
                };
                let source: Source = Arc::new(crate::format::Bytes::new(head));
                match loaded(&source).map_err(|error| Failed::Unreachable(error.to_string()))? {
                    Loaded::Other {
                        content,
                        pe_machine,
                        ..
                    } => Ok(Loaded::Other {
                        content,
                        pe_machine,
                        size,
                    }),
                    script => Ok(script),
                }
            }
        }
    }
}

fn failed(error: &TftpError) -> Failed {
    match error {
        TftpError::Address { .. } => Failed::Refused(error.to_string()),
        TftpError::NoAnswer { .. }
        | TftpError::Silent { .. }
        | TftpError::Late { .. }
        | TftpError::Interrupted
        | TftpError::Limit { .. }
        | TftpError::Local { .. } => Failed::Unreachable(error.to_string()),
    }
}

impl Fetch for BootFiles<'_> {
    fn over(&self) -> bool {
        let late = |deadline| Instant::now() >= deadline;
        self.cancel.is_set() || self.limits.deadline.is_some_and(late)
    }

    fn led_to(&self) -> Option<Url> {
        self.led_to.clone()
    }

    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        self.led_to = None;
        match url.scheme() {
            "http" | "https" => self.http(url),
            "tftp" => self.tftp(url),
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

/// Tells the machine that a program is for, from its beginning; nothing of what says none there.
pub fn arch(head: &[u8]) -> Option<String> {
    if let Some(machine) = pe_machine(head) {
        return Some(pe::arch(machine).to_owned());
    }
    match Content::detect(head) {
        Content::Arm64Image => Some("arm64".to_owned()),
        Content::RiscvImage => Some("riscv64".to_owned()),
        Content::BzImage => Some("amd64".to_owned()),
        _ => None,
    }
}
