//! The one place where a document becomes the bytes that are kept, and is read from them again.
//!
//! A value is its format's number (one byte), the Unix second after which it is to be forgotten (eight bytes, little endian; 0 is never), and what the format has:
//! - 2: the data key's number (16 bytes), a nonce (12 bytes), and the document's JSON under AES-256-GCM with its tag (16 bytes). The tag is over the 25 bytes before the nonce, the
//!   owner and the key too: a value opens in its own place, for its own owner, and with its own time only.
//! - 1: the document's JSON as it is. It is read where it was kept by a version before, and never written.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    damaged,
    data_key::{Id, OVERHEAD, Ring},
    place::Place,
};
use crate::{ident, nn::internal, ports::KeyValue, wire::ApiError};

const FORMAT: u8 = 2;
const PLAIN: u8 = 1;
/// Format and time.
const HEAD: usize = 9;
/// Those and the data key's number.
const BOUND: usize = HEAD + 16;
/// Bytes of a document's JSON: what a key's value may have, less what is added.
pub(crate) const MAX_DOCUMENT_BYTES: usize = (8 << 20) - BOUND - OVERHEAD;

/// A value, read but not opened.
enum Value<'a> {
    Plain(&'a [u8]),
    Sealed { bound: &'a [u8], data_key: Id, sealed: &'a [u8] },
}

/// The bytes of a document.
pub(super) async fn encode<K: KeyValue>(
    ring: &Ring<'_, K>,
    place: &Place,
    expires: Option<u64>,
    document: &impl Serialize,
) -> Result<Vec<u8>, ApiError> {
    let json = serde_json::to_vec(document).map_err(|error| internal(format!("What is to be kept cannot be written: {error}.")))?;
    match json.len() {
        length if length > MAX_DOCUMENT_BYTES => {
            Err(internal(format!("What is to be kept has {length} bytes, where {MAX_DOCUMENT_BYTES} can be: send 'store': false."))
                .code("store_too_large"))
        }
        _ => seal(ring, place, expires, &json).await,
    }
}

async fn seal<K: KeyValue>(ring: &Ring<'_, K>, place: &Place, expires: Option<u64>, json: &[u8]) -> Result<Vec<u8>, ApiError> {
    let key = ring.newest().await?;
    let mut value = Vec::with_capacity(BOUND + OVERHEAD + json.len());
    value.push(FORMAT);
    value.extend_from_slice(&expires.unwrap_or(0).to_le_bytes());
    value.extend_from_slice(&key.id);
    let sealed = key.cipher.seal(&bound(&value, place), json)?;
    value.extend_from_slice(&sealed);
    Ok(value)
}

/// The document, unless its time is over.
pub(super) async fn decode<K: KeyValue, T: DeserializeOwned>(
    ring: &Ring<'_, K>,
    place: &Place,
    value: &[u8],
) -> Result<Option<T>, ApiError> {
    if is_over(value, ident::now()) {
        return Ok(None);
    }
    // What serde_json says of a document that it cannot read may have a piece of it.
    serde_json::from_slice(&open(ring, place, value).await?).map(Some).map_err(|_| damaged("it is not what was kept"))
}

async fn open<K: KeyValue>(ring: &Ring<'_, K>, place: &Place, value: &[u8]) -> Result<Vec<u8>, ApiError> {
    match split(value).ok_or_else(|| damaged("it is of another format, or damaged"))?.1 {
        Value::Plain(json) => Ok(json.to_vec()),
        Value::Sealed { bound: head, data_key, sealed } => {
            let opened = ring.of(data_key).await?.cipher.open(&bound(head, place), sealed);
            opened.ok_or_else(|| damaged("it was changed, or lies where it was not put"))
        }
    }
}

/// The same value under the newest data key; `None` where it is that already, or is not this version's to change.
pub(super) async fn renew<K: KeyValue>(ring: &Ring<'_, K>, place: &Place, value: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
    match split(value) {
        Some((_, Value::Sealed { data_key, .. })) if data_key == ring.newest().await?.id => Ok(None),
        Some((expires, _)) => {
            let json = open(ring, place, value).await?;
            if json.len() > MAX_DOCUMENT_BYTES {
                return Ok(None);
            }
            seal(ring, place, expires, &json).await.map(Some)
        }
        None => Ok(None),
    }
}

/// The data key that a value is encrypted with.
pub(super) fn data_key(value: &[u8]) -> Option<Id> {
    match split(value)?.1 {
        Value::Sealed { data_key, .. } => Some(data_key),
        Value::Plain(_) => None,
    }
}

/// Whether a value's time is over. One that cannot be read is not this version's to judge.
pub(super) fn is_over(value: &[u8], now: u64) -> bool {
    split(value).is_some_and(|(expires, _)| expires.is_some_and(|expires| expires <= now))
}

fn split(value: &[u8]) -> Option<(Option<u64>, Value<'_>)> {
    let (head, rest) = value.split_first_chunk::<HEAD>()?;
    let [format, expires @ ..] = head;
    let expires = Some(u64::from_le_bytes(*expires)).filter(|expires| *expires != 0);
    let value = match *format {
        PLAIN => Value::Plain(rest),
        FORMAT => {
            let (data_key, sealed) = rest.split_first_chunk()?;
            Value::Sealed { bound: &value[..BOUND], data_key: *data_key, sealed }
        }
        _ => return None,
    };
    Some((expires, value))
}

/// What a tag is over beside the document.
fn bound(head: &[u8], place: &Place) -> Vec<u8> {
    [head, place.owner.as_deref().unwrap_or_default().as_bytes(), b"\n", place.key.as_bytes()].concat()
}
