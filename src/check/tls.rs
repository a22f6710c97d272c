//! What a server's certificate says, as a spec names it.

use super::{Context, ProbeError};
use crate::probe::tls::{Facts, Recorder, Shown};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// A file of certificates is read up to this size.
const MAX_CERTIFICATES: u64 = 4 << 20;

/// What a TLS server showed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tls {
    /// The version of TLS: `1.2` or `1.3`; absent where the certificate was refused before that was settled.
    pub version: Option<String>,
    /// Whether the certificate is trusted: it leads to a root of the system (or of `ca`), is in its time, and is of this name.
    pub verified: bool,
    /// Why it is not trusted; absent where it is.
    pub problem: Option<String>,
    /// Whom the certificate is of, such as `CN=a.example`; absent where it cannot be read.
    pub subject: Option<String>,
    /// Who made it.
    pub issuer: Option<String>,
    /// The names and addresses it is good for (`subjectAltName`).
    pub names: Vec<String>,
    /// From when it is good, such as `2026-01-31T00:00:00Z`.
    pub not_before: Option<String>,
    /// Until when it is good.
    pub not_after: Option<String>,
    /// How long it is still good (`ge: 720h` for a month); below zero where its time is over.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub expires_in: Option<f64>,
    /// Whether it says that it was made by whom it is of.
    pub self_signed: bool,
    /// How many certificates the server sent.
    pub chain: u64,
    /// The digest of the certificate.
    pub sha256: String,
}

impl Tls {
    /// Says what was shown; the facts are left out of a certificate that cannot be read.
    pub(super) fn of(shown: &Shown) -> Self {
        let der = shown.chain.first().map(Vec::as_slice).unwrap_or_default();
        let facts = Facts::read(der);
        let unread = facts.as_ref().err().cloned();
        let facts = facts.ok();
        let facts = facts.as_ref();
        Self {
            version: shown.version.map(str::to_owned),
            verified: shown.problem.is_none(),
            problem: shown.problem.clone().or(unread),
            subject: facts.map(|f| f.subject.clone()),
            issuer: facts.map(|f| f.issuer.clone()),
            names: facts.map(|f| f.names.clone()).unwrap_or_default(),
            not_before: facts.map(|f| f.begins.to_string()),
            not_after: facts.map(|f| f.ends.to_string()),
            expires_in: facts.map(|f| f.ends.duration_since(Timestamp::now()).as_secs_f64()),
            self_signed: facts.is_some_and(|f| f.subject == f.issuer),
            chain: shown.chain.len() as u64,
            sha256: crate::model::Sha256Digest::of(der).to_string(),
        }
    }
}

/// Makes what writes certificates down. `ca` is a file of certificates that are trusted beside
/// those of the system.
///
/// # Errors
/// Where the file cannot be read, or there is nothing to trust.
pub(super) fn recorder(
    context: &Context<'_>,
    ca: Option<&str>,
    insecure: bool,
) -> Result<Arc<Recorder>, ProbeError> {
    let extra = ca
        .map(|ca| super::local::read(&context.resolve(ca), MAX_CERTIFICATES))
        .transpose()?;
    Recorder::new(extra.as_deref(), insecure).map_err(|what| match ca {
        Some(ca) => ProbeError::new(format!("{ca}: {what}")),
        None => ProbeError::new(what),
    })
}
