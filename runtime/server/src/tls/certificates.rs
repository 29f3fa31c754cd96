//! The certificate that handshakes use, which can change between two of them, and the answers to challenges.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::acme::ACME_TLS;

/// What a handshake chooses from.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    /// For each domain that is just being proved, the certificate that proves it.
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For handshakes from now on; connections that are open keep what they began with.
    pub(super) fn set(&self, pair: CertifiedKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
    }

    pub(super) fn challenge(&self, domain: &str, pair: CertifiedKey) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).insert(domain.to_owned(), Arc::new(pair));
    }

    pub(super) fn end_challenges(&self) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737, 3: a directory that checks a domain offers this protocol alone.
        if hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none()) {
            let challenges = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
            return challenges.get(&hello.server_name()?.to_ascii_lowercase()).cloned();
        }
        let current = self.current();
        if current.is_none() {
            tracing::debug!("a TLS client came before there is a certificate; what keeps it from being issued is in this log");
        }
        current
    }
}
