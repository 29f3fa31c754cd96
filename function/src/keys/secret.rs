//! Random bytes as digits, and the hash that a secret is known by.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::KeysError;

/// A key's secret, or a key whole. `Debug` does not show it: only who asks for it by name sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: to be shown once, to whom it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `N` bytes from the system's generator as hexadecimal digits.
pub(super) fn digits<const N: usize>() -> Result<String, KeysError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| KeysError::Random(error.to_string()))?;
    Ok(hex(&bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is so many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a record has of a secret. The secret has 256 random bits, which no dictionary holds, so a hash that is quick to compute is no help to who guesses.
pub(super) fn hash(salt: &str, secret: &str) -> String {
    hex(&Sha256::new().chain_update(salt).chain_update(secret).finalize())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn same(left: &str, right: &str) -> bool {
    // Of the hashes: their length is the same, whatever a client sends.
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}
