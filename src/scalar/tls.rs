//! TLS to a cluster's members, and to webhooks: the PEM files, read once, and errors that say what to do.

use crate::config;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, crypto};

/// Why a cluster's TLS settings cannot be used. The sentence names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The file holds something else.
    #[error("{path} holds no {what} in PEM form{problem}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// More, after a colon, or nothing.
        problem: String,
    },
    /// A certificate in it cannot be a trust anchor.
    #[error("{path} holds a certificate that cannot be trusted as a CA: {problem}")]
    BadCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key don't go together.
    #[error("{cert} and {key} cannot be used as a client certificate: {problem}")]
    BadIdentity {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// One of the two is missing.
    #[error("a client certificate needs both cert_file and key_file; only {0} is set")]
    HalfIdentity(PathBuf),
    /// No CA file is set and the system has no roots.
    #[error("no ca_file is set and the system has no root certificates")]
    NoRoots,
    /// The crypto library refuses the protocol versions; cannot happen with the one compiled in.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

/// What a cluster's connections share.
#[derive(Clone)]
pub(super) struct ClientTls {
    pub(super) connector: TlsConnector,
    /// The name that the certificate must carry, in place of the member's own.
    pub(super) server_name: Option<String>,
}

impl ClientTls {
    /// Reads the files.
    pub(super) fn load(tls: &config::Tls) -> Result<Self, TlsError> {
        let mut config = client_config(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name: tls.server_name.clone() })
    }
}

/// Reads the files, which may block; without a protocol to speak yet.
pub(crate) fn client_config(tls: &config::Tls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library(error.to_string()))?
        .with_root_certificates(roots(tls.ca_file.as_deref())?);
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let bad = |problem: Error| TlsError::BadIdentity {
                cert: cert.clone(),
                key: key.clone(),
                problem: problem.to_string(),
            };
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(bad)
        }
        (Some(only), None) | (None, Some(only)) => Err(TlsError::HalfIdentity(only.clone())),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            let bad = |problem: Error| TlsError::BadCa { path: path.to_owned(), problem: problem.to_string() };
            roots.add(certificate).map_err(bad)?;
        }
    } else {
        // Systems carry roots that rustls cannot parse; they are left out, as every TLS client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(not_pem(path, "certificate", None)),
        Err(error) => Err(not_pem(path, "certificate", Some(&error))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => not_pem(path, "private key", None),
        // The bytes of a key must not end up in a log: only that it is broken is told.
        _ => TlsError::NotPem { path: path.to_owned(), what: "private key", problem: ": it is broken".to_owned() },
    })
}

fn not_pem(path: &Path, what: &'static str, error: Option<&pem::Error>) -> TlsError {
    let problem = error.map(|error| format!(": {error:?}")).unwrap_or_default();
    TlsError::NotPem { path: path.to_owned(), what, problem }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError::Unreadable { path: path.to_owned(), problem: error.kind().to_string() })
}

/// What went wrong in the handshake with `address`, as a sentence for the person who has to mend it.
pub(crate) fn handshake_problem(error: &std::io::Error, address: &str, name: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(problem)) => {
            format!("{address}: {}", certificate_problem(problem, name))
        }
        Some(Error::AlertReceived(alert)) => format!("{address} refused the TLS handshake: {}", alert_words(*alert)),
        Some(Error::InvalidMessage(_)) => format!("{address} does not speak TLS"),
        Some(other) => format!("TLS handshake with {address} failed: {other}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("{address} closed the connection during the TLS handshake")
        }
        None => format!("TLS handshake with {address} failed: {error}"),
    }
}

fn certificate_problem(problem: &CertificateError, name: &str) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "unknown issuer: the certificate is not signed by the configured CA".to_owned()
        }
        CertificateError::BadSignature => {
            "unknown issuer: the configured CA has the issuer's name, but did not sign the certificate".to_owned()
        }
        CertificateError::NotValidForName => format!("certificate is not valid for name {name}"),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("certificate is not valid for name {name}; it carries none")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("certificate is not valid for name {name}, only for {}", presented.join(", "))
        }
        CertificateError::Revoked => "certificate is revoked".to_owned(),
        other => format!("certificate is not accepted: {other}"),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::NoApplicationProtocol => "it offers no HTTP/2".to_owned(),
        AlertDescription::UnrecognisedName => "it does not know the server name".to_owned(),
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.2 nor 1.3".to_owned(),
        AlertDescription::HandshakeFailure => "it accepts none of what we offer, or requires a certificate".to_owned(),
        other => refusal(other).map_or_else(|| format!("{other:?}"), str::to_owned),
    }
}

/// The alerts that a server sends only in place of completing the handshake, in words. HTTP/2 forbids renegotiation
/// and later client authentication, so that on an established connection none of these exists.
pub(super) const fn refusal(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired => "it requires a client certificate",
        AlertDescription::UnknownCA => "it does not know the issuer of the client certificate",
        AlertDescription::BadCertificate => "it finds the client certificate bad, or there is none",
        AlertDescription::UnsupportedCertificate => "it does not support the client certificate",
        AlertDescription::CertificateRevoked => "the client certificate is revoked",
        AlertDescription::CertificateExpired => "the client certificate has expired",
        AlertDescription::CertificateUnknown => "it does not accept the client certificate",
        AlertDescription::AccessDenied => "access denied",
        _ => return None,
    })
}
