//! A certificate chain and its key, as PEM has them.

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};

/// The chain in `certificates`, the server's own first, with the first key in `key`.
///
/// # Errors
/// What is wrong, and the cure.
pub(super) fn parse(certificates: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it: it must hold a chain in PEM, the server's own certificate first".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        format!("there is no private key that can be read ({error}): it must be PEM and without a passphrase (PKCS#8, PKCS#1 or SEC1)")
    })?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the key is another certificate's: both must come from the same issue".to_owned(),
        error => format!("the certificate or key cannot be used: {error}"),
    })
}

/// SHA-256 of the server's certificate, in pairs of hex digits with colons.
pub(super) fn fingerprint(pair: &CertifiedKey) -> String {
    let hash = Sha256::digest(pair.cert.first().map_or(&[][..], |certificate| certificate.as_ref()));
    hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
