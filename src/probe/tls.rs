//! What a TLS server shows of itself: its certificate, and whether it is trusted.

use crate::model::Sha256Digest;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What a server showed in one handshake.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The certificates as they came, the server's own first. DER.
    pub chain: Vec<Vec<u8>>,
    /// Why the certificate is not trusted; `None` where it is.
    pub problem: Option<String>,
    /// `1.2` or `1.3`; `None` where the handshake ended before that was settled.
    pub version: Option<&'static str>,
}

/// Verifies servers' certificates as everything else here does, and keeps what they showed.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn ServerCertVerifier>,
    insecure: bool,
    shown: Mutex<Option<Shown>>,
}

impl Recorder {
    /// Begins with nothing seen. `extra` are certificates in PEM that are trusted beside those of
    /// the system; with `insecure`, the handshake goes on with one that is not trusted.
    ///
    /// # Errors
    /// Where there is nothing to trust, or `extra` holds no certificate.
    pub fn new(extra: Option<&[u8]>, insecure: bool) -> Result<Arc<Self>, String> {
        let inner = match extra {
            None => system()?,
            Some(pem) => {
                let roots = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
                let roots = roots.map_err(|error| format!("no certificate in PEM: {error}"))?;
                if roots.is_empty() {
                    return Err("no certificate in PEM is in it".into());
                }
                let made = Verifier::new_with_extra_roots(roots, provider());
                Arc::new(made.map_err(|error| error.to_string())?)
            }
        };
        Ok(Arc::new(Self {
            inner,
            insecure,
            shown: Mutex::default(),
        }))
    }

    /// Makes the settings of a client that records here. Nothing of an earlier handshake is used
    /// again: each shows its certificate.
    ///
    /// # Errors
    /// Where the cryptography at hand knows no version of TLS.
    pub fn client(self: &Arc<Self>) -> Result<ClientConfig, String> {
        let made = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(self) as _;
        let mut config = made
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// Gives what the last handshake showed.
    pub fn shown(&self) -> Option<Shown> {
        self.held().clone()
    }

    /// Forgets what was shown.
    pub fn clear(&self) {
        *self.held() = None;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speaks(&self, version: &'static str) {
        if let Some(shown) = self.held().as_mut() {
            shown.version = Some(version);
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Gives what trusts as the system does; its certificates are read once.
fn system() -> Result<Arc<dyn ServerCertVerifier>, String> {
    static SYSTEM: OnceLock<Result<Arc<Verifier>, String>> = OnceLock::new();
    let made = SYSTEM.get_or_init(|| {
        let made = Verifier::new(provider());
        made.map(Arc::new).map_err(|error| error.to_string())
    });
    made.clone().map(|verifier| verifier as _)
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.held() = Some(Shown {
            chain: chain.map(|one| one.as_ref().to_vec()).collect(),
            problem: verdict.as_ref().err().map(reason),
            version: None,
        });
        match (verdict, self.insecure) {
            (Err(_), true) => Ok(ServerCertVerified::assertion()),
            (verdict, _) => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.speaks("1.2");
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.speaks("1.3");
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => why.to_string(),
        other => other.to_string(),
    }
}

/// What a certificate says. Source: RFC 5280, section 4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom it is of, as RFC 4514 writes names.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// The names and addresses it is good for.
    pub names: Vec<String>,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when it is good.
    pub ends: Timestamp,
    /// The digest of its DER.
    pub sha256: Sha256Digest,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Where it is no X.509 certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let failed = |error: x509_cert::der::Error| format!("not an X.509 certificate: {error}");
        let read = Certificate::from_der(der).map_err(failed)?;
        let read = read.tbs_certificate();
        let names = match read.get_extension::<SubjectAltName>().map_err(failed)? {
            Some((_, SubjectAltName(names))) => names.iter().filter_map(name).collect(),
            None => Vec::new(),
        };
        let time = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs());
            let time = seconds.ok().and_then(|s| Timestamp::from_second(s).ok());
            time.ok_or_else(|| "a certificate of no time".to_owned())
        };
        Ok(Self {
            subject: read.subject().to_string(),
            issuer: read.issuer().to_string(),
            names,
            begins: time(read.validity().not_before)?,
            ends: time(read.validity().not_after)?,
            sha256: Sha256Digest::of(der),
        })
    }
}

/// Writes a name of the extension `subjectAltName` that says where a server may be.
fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(|b| IpAddr::from(Ipv4Addr::from(b)));
            let v6 = <[u8; 16]>::try_from(bytes).map(|b| IpAddr::from(Ipv6Addr::from(b)));
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::RegisteredId(_) => None,
    }
}
