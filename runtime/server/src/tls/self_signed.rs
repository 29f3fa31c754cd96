//! A certificate of the server's own, for trials: encrypted, but trusted by nobody who does not compare its fingerprint.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{client::verify_server_name, pki_types::ServerName, server::ParsedCertificate, sign::CertifiedKey};
use tokio::time::sleep;

use super::{Certificates, TlsError, pair, private, validity};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one is valid. Some clients take none that is valid for more than 398 days.
const VALID: Duration = Duration::from_secs(397 * 24 * 60 * 60);
/// A new one is made when no more than this is left.
const RENEW: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) struct SelfSigned {
    path: PathBuf,
    address: IpAddr,
}

impl SelfSigned {
    pub(super) fn load(folder: &Path, address: IpAddr, into: &Certificates) -> Result<Self, TlsError> {
        let own = Self { path: folder.join("tls/self-signed.pem"), address };
        let pem = match private::read(&own.path)? {
            Some(pem) => pem,
            None => own.make()?,
        };
        let mut pair = own.parse(&pem)?;
        if !own.is_good(&pair) {
            pair = own.parse(&own.make()?)?;
        }
        into.set(pair);
        Ok(own)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn parse(&self, pem: &[u8]) -> Result<CertifiedKey, TlsError> {
        let content =
            |reason| TlsError::Content { path: self.path.clone(), reason: format!("{reason}. Delete the file to have a new one made") };
        pair::parse(pem, pem).map_err(content)
    }

    /// Whether it is valid for long enough, and for the address.
    fn is_good(&self, pair: &CertifiedKey) -> bool {
        let Some(own) = pair.cert.first() else { return false };
        let lasts = validity::of(own).is_some_and(|(_, end)| end > SystemTime::now() + RENEW);
        let named = self.address.is_unspecified()
            || ParsedCertificate::try_from(own).is_ok_and(|own| verify_server_name(&own, &ServerName::from(self.address)).is_ok());
        lasts && named
    }

    fn make(&self) -> Result<Vec<u8>, TlsError> {
        let make = |error: rcgen::Error| TlsError::Make(error.to_string());
        let mut names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        if !self.address.is_unspecified() && !names.contains(&self.address.to_string()) {
            names.push(self.address.to_string());
        }
        let mut params = CertificateParams::new(names).map_err(make)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Hearth, self-signed for trials");
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() - DAY + VALID).into();
        let key = KeyPair::generate().map_err(make)?;
        let certificate = params.self_signed(&key).map_err(make)?;
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem()).into_bytes();
        private::write(&self.path, &pem)?;
        tracing::info!("made a self-signed certificate: {}", self.path.display());
        Ok(pem)
    }

    /// Makes a new one in time, for servers that run that long.
    pub(super) async fn renew(&self, into: &Certificates) {
        loop {
            sleep(DAY).await;
            if !into.current().is_some_and(|pair| self.is_good(&pair)) {
                match self.make().and_then(|pem| self.parse(&pem)) {
                    Ok(pair) => into.set(pair),
                    Err(error) => tracing::error!("cannot renew the self-signed certificate: {error}"),
                }
            }
        }
    }
}
