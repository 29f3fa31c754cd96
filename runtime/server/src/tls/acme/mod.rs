//! Certificates from an ACME directory: when a new one is due, and what is kept between runs.

mod client;
mod order;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{Certificates, TlsError, pair, private, validity};
use client::Client;

/// The protocol in which a directory checks a domain (RFC 8737).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";
/// How long is waited after a failure, and at most after many: directories count failures, and Let's Encrypt takes five an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(2 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// How often it is seen whether a certificate is due: a clock that is set, or a machine that slept, must not make it late.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// A certificate to ask an ACME directory for. Asking means to agree to its terms of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// What the certificate is to be valid for; the first is its name. Not `*.…`, which cannot be proved over TLS.
    pub domains: Vec<String>,
    /// The address of the directory, such as `https://acme-v02.api.letsencrypt.org/directory`.
    pub directory: String,
    /// Where the directory may write to, such as `mailto:admin@chat.example`.
    pub contacts: Vec<String>,
    /// Folder for the account and certificates.
    pub cache: PathBuf,
    /// PEM file with the certificates that the directory's own is trusted by, in place of those that browsers trust: for a directory of one's own.
    pub root: Option<PathBuf>,
}

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
enum IssueError {
    #[error(transparent)]
    Acme(#[from] instant_acme::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the directory {0} does not offer to check {1} by TLS-ALPN-01")]
    Unoffered(String, String),
    #[error(
        "the directory could not check that the domains are this server's ({0}). It connects to port 443 of each domain, which must lead to this listener unchanged: \
         by --listen, or by a forwarded port; a proxy that ends TLS there cannot be before it"
    )]
    Unproved(String),
    #[error("what the directory issued is no good: {0}")]
    Bad(String),
}

impl Acme {
    /// Checks what can be checked without the directory, and takes what an earlier run was given.
    pub(super) fn prepare(&self, into: &Certificates) -> Result<(), TlsError> {
        if self.domains.is_empty() {
            return Err(TlsError::Flags("ACME needs a domain to ask for: --acme-domain chat.example".to_owned()));
        }
        if let Some(wrong) = self.domains.iter().find(|domain| domain.starts_with("*.") || domain.parse::<std::net::IpAddr>().is_ok()) {
            return Err(TlsError::Flags(format!(
                "--acme-domain {wrong}: only names of hosts can be proved over TLS, each by itself, as chat.example"
            )));
        }
        if !self.directory.starts_with("https://") {
            let wrong = &self.directory;
            return Err(TlsError::Flags(format!("--acme-directory {wrong}: a directory has an address that begins with https://")));
        }
        Client::new(self)?;
        if let Some(pem) = private::read(&self.certificate())? {
            match pair::parse(&pem, &pem) {
                Ok(pair) => into.set(pair),
                Err(reason) => tracing::warn!("{}: {reason}; a new one is asked for", self.certificate().display()),
            }
        }
        Ok(())
    }

    /// Where the certificate of these domains is kept.
    fn certificate(&self) -> PathBuf {
        self.file(self.domains.first().map_or("", String::as_str), &[std::slice::from_ref(&self.directory), &self.domains].concat())
    }

    /// Where the account at this directory is kept.
    fn account(&self) -> PathBuf {
        self.file("account", std::slice::from_ref(&self.directory))
    }

    fn file(&self, name: &str, of: &[String]) -> PathBuf {
        let hash = Sha256::digest(of.join("\n"));
        let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' }).collect();
        self.cache.join(format!("{name}-{hash}.pem"))
    }

    pub(super) async fn keep(&self, certificates: &Certificates) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(wait) = certificates.current().as_deref().and_then(due) {
                sleep(wait.min(LOOK)).await;
                continue;
            }
            match self.issue(certificates).await {
                Ok(()) => {
                    tracing::info!("the directory issued a certificate for {}", self.domains.join(", "));
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    tracing::error!(
                        "no certificate for {}: {error}. Tried again in {} minutes",
                        self.domains.join(", "),
                        pause.as_secs() / 60
                    );
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn issue(&self, certificates: &Certificates) -> Result<(), IssueError> {
        let issued = order::issue(self, certificates).await;
        certificates.end_challenges();
        let pem = issued?;
        let pair = pair::parse(pem.as_bytes(), pem.as_bytes()).map_err(IssueError::Bad)?;
        if due(&pair).is_none() {
            return Err(IssueError::Bad("it expires at once; is this machine's clock right?".to_owned()));
        }
        // In use even where it cannot be kept.
        certificates.set(pair);
        Ok(private::write(&self.certificate(), pem.as_bytes())?)
    }
}

/// How long until a certificate must be renewed, which is when two thirds of its time are over; `None` when that is now.
fn due(pair: &CertifiedKey) -> Option<Duration> {
    let (start, end) = validity::of(pair.cert.first()?)?;
    let at = end.checked_sub(end.duration_since(start).ok()? / 3)?;
    at.duration_since(SystemTime::now()).ok().filter(|wait| !wait.is_zero())
}
