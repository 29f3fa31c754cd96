//! TLS: certificates from files, of its own, or from an ACME directory, and the handshake on a socket.
//!
//! TLS 1.2 and 1.3 with rustls' own choice of ciphers, all of them with forward secrecy and authenticated. Never here: what is sent inside.

mod accept;
mod acme;
mod certificates;
mod files;
pub(crate) mod hsts;
mod pair;
mod private;
mod self_signed;
mod validity;

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ServerConfig, crypto::ring};

pub use acme::Acme;
pub use validity::expiry;

pub(crate) use accept::Stream;

use acme::ACME_TLS;
use certificates::Certificates;
use files::Files;
use self_signed::SelfSigned;

/// What ends TLS on a listener: where its certificate comes from, and keeping that fresh while the server runs.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
    /// The same without HTTP/2, for connections that are only told to go.
    refusing: Arc<ServerConfig>,
    source: Source,
}

enum Source {
    Files(Files),
    SelfSigned(SelfSigned),
    Acme(Acme),
}

/// Why TLS cannot be had as it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}. Its folder must be writable for the user that runs the server")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than is wanted.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the cure.
        reason: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(String),
    /// The flags do not fit together.
    #[error("{0}")]
    Flags(String),
}

impl Tls {
    /// A certificate chain and its key from PEM files, loaded again when they change.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be read or do not belong together.
    pub fn files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::default());
        let files = Files::load(certificate.to_owned(), key.to_owned(), &certificates)?;
        Self::new(certificates, Source::Files(files))
    }

    /// A certificate of its own for trials, for `localhost`, the loopback addresses and `address`; made at the first start and kept in `folder`, only for this user.
    ///
    /// # Errors
    /// [`TlsError`] when it cannot be made or kept.
    pub fn self_signed(folder: &Path, address: IpAddr) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::default());
        let own = SelfSigned::load(folder, address, &certificates)?;
        Self::new(certificates, Source::SelfSigned(own))
    }

    /// A certificate from an ACME directory (RFC 8555), proved over this listener by TLS-ALPN-01 (RFC 8737), and renewed when two thirds of its time are over. What an
    /// earlier run was given is served at once; without one, connections fail until the first is there.
    ///
    /// # Errors
    /// [`TlsError`] when what is asked for is incomplete, or the cache cannot be used.
    pub fn acme(acme: Acme) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::default());
        acme.prepare(&certificates)?;
        Self::new(certificates, Source::Acme(acme))
    }

    fn new(certificates: Arc<Certificates>, source: Source) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::Make(error.to_string()))?;
        let mut refusing = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&certificates) as _);
        refusing.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut config = refusing.clone();
        config.alpn_protocols.insert(0, b"h2".to_vec());
        if matches!(source, Source::Acme(_)) {
            config.alpn_protocols.push(ACME_TLS.to_vec());
        }
        Ok(Self(Arc::new(Inner { certificates, config: Arc::new(config), refusing: Arc::new(refusing), source })))
    }

    /// Where the certificate comes from, in a line for a person; of a self-signed one the fingerprint.
    pub fn describe(&self) -> String {
        match &self.0.source {
            Source::Files(files) => format!("the certificate in {}", files.certificate().display()),
            Source::SelfSigned(own) => {
                let fingerprint = self.fingerprint().unwrap_or_default();
                format!("self-signed, for trials ({}), SHA-256 fingerprint {fingerprint}", own.path().display())
            }
            Source::Acme(acme) => format!("for {} from {}", acme.domains.join(", "), acme.directory),
        }
    }

    /// The SHA-256 of the certificate that is served now, as `openssl x509 -fingerprint` prints it; `None` before there is one.
    pub fn fingerprint(&self) -> Option<String> {
        self.0.certificates.current().map(|pair| pair::fingerprint(&pair))
    }

    /// Whether browsers may be told to use nothing else from now on: not for a certificate that they do not trust.
    pub(crate) fn is_trusted(&self) -> bool {
        !matches!(self.0.source, Source::SelfSigned(_))
    }

    /// Keeps the certificate fresh; never ends.
    pub(crate) async fn keep(&self) {
        match &self.0.source {
            Source::Files(files) => files.watch(&self.0.certificates).await,
            Source::SelfSigned(own) => own.renew(&self.0.certificates).await,
            Source::Acme(acme) => acme.keep(&self.0.certificates).await,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.describe()).finish()
    }
}
