//! The one place where a document becomes the bytes that are kept, and is read from them again.
//!
//! A value is its format's number (one byte), the Unix second after which it is to be forgotten (eight bytes, little endian; 0 is never), and the document's JSON.

use serde::{Serialize, de::DeserializeOwned};

use crate::{ident, nn::internal, wire::ApiError};

const FORMAT: u8 = 1;
const HEAD: usize = 9;
/// Bytes of a document's JSON: what a key's value may have, less the head.
pub(crate) const MAX_DOCUMENT_BYTES: usize = (8 << 20) - HEAD;

/// The bytes of a document.
pub(super) fn encode(expires: Option<u64>, document: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&expires.unwrap_or(0).to_le_bytes());
    serde_json::to_writer(&mut bytes, document).map_err(|error| internal(format!("What is to be kept cannot be written: {error}.")))?;
    match bytes.len() - HEAD {
        length if length > MAX_DOCUMENT_BYTES => {
            Err(internal(format!("What is to be kept has {length} bytes, where {MAX_DOCUMENT_BYTES} can be: send 'store': false."))
                .code("store_too_large"))
        }
        _ => Ok(bytes),
    }
}

/// The document, unless its time is over.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, ApiError> {
    let broken = |why: &dyn std::fmt::Display| internal(format!("What was kept cannot be read: {why}.")).code("store_damaged");
    let Some((expires, document)) = split(bytes) else { return Err(broken(&"it is of another format, or damaged")) };
    if expires.is_some_and(|expires| expires <= ident::now()) {
        return Ok(None);
    }
    serde_json::from_slice(document).map(Some).map_err(|error| broken(&error))
}

/// Whether a value's time is over. One that cannot be read is not this version's to judge.
pub(super) fn is_over(bytes: &[u8], now: u64) -> bool {
    split(bytes).is_some_and(|(expires, _)| expires.is_some_and(|expires| expires <= now))
}

fn split(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let (head, document) = bytes.split_first_chunk::<HEAD>()?;
    let [FORMAT, expires @ ..] = head else { return None };
    Some((Some(u64::from_le_bytes(*expires)).filter(|expires| *expires != 0), document))
}
