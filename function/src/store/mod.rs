//! What outlives a request: documents by key, over the port for that. Who calls this knows keys and documents; whose they are, and how a document becomes bytes, is a matter of
//! here alone ([`place`], [`value`]): a caller's key leads to what that caller keeps and to nothing else.
//!
//! Nothing here is changed in place by several at once: the port has no way to compare and set. What is kept is written once under a key that nobody else writes
//! ([`crate::ident::secret`]) and removed; what grows, grows by further keys.

mod data_key;
mod place;
mod rotate;
mod sweep;
mod value;

use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ident,
    nn::internal,
    ports::{KeyValue, KeyValueError, Ports, Settings},
    settings,
    wire::{ApiError, error::ErrorType},
};
use data_key::{Master, Ring};
use place::Place;

pub(crate) use data_key::DataKeys;
pub use rotate::{Rotated, rewrap_data_keys, rotate_data_key};
pub(crate) use sweep::{MAX_CONVERSATION_BYTES, MAX_CONVERSATION_KEYS, sweep};
pub(crate) use value::MAX_DOCUMENT_BYTES;

/// Days that a response is kept unless the setting `store_days` says otherwise.
const DAYS: usize = 30;
/// Where the sizes of responses are noted, in the keys themselves.
const SIZES: &str = "response-size/";
/// Seconds for which it is known that something was deleted, so that whoever encrypts it anew at that time does not bring it back.
const DELETED: u64 = 60 * 60;

/// Whether anything is kept: the setting `store_responses`.
pub(crate) async fn enabled<P: Ports>(ports: &P) -> bool {
    settings::flag(ports.settings(), "store_responses", true).await
}

/// When what is written now is to be forgotten, in Unix seconds.
pub(crate) async fn expiry<P: Ports>(ports: &P, now: u64) -> Option<u64> {
    let days = settings::number(ports.settings(), "store_days").await.unwrap_or(DAYS);
    (days > 0).then(|| now.saturating_add((days as u64).saturating_mul(24 * 60 * 60)))
}

/// The data keys, as a request has them.
async fn ring<P: Ports>(ports: &P) -> Result<Ring<'_, P::KeyValue>, ApiError> {
    let master = ports.settings().get("master_key").await.unwrap_or_default();
    Ok(Ring { store: ports.key_value(), master: Master::read(&master)?, opened: ports.caller().data_keys() })
}

fn place<P: Ports>(ports: &P, key: &str) -> Place {
    Place::new(ports.caller().owner(), key)
}

/// Whether something can be kept: the store answers, and there is a data key that can be used.
pub(crate) async fn check<P: Ports>(ports: &P) -> Result<(), ApiError> {
    ring(ports).await?.newest().await.map(|_| ())
}

/// A document of the caller. One whose time is over is as one that is not there.
pub(crate) async fn get<P: Ports, T: DeserializeOwned>(ports: &P, key: &str) -> Result<Option<T>, ApiError> {
    let place = place(ports, key);
    match ports.key_value().get(&place.path()).await.map_err(failed)? {
        Some(bytes) => value::decode(&ring(ports).await?, &place, &bytes).await,
        None => Ok(None),
    }
}

/// Keeps a document of the caller, until a time in Unix seconds or until it is removed. Durable when it is done. Returns its bytes.
pub(crate) async fn set<P: Ports>(ports: &P, key: &str, expires: Option<u64>, document: &impl Serialize) -> Result<usize, ApiError> {
    let place = place(ports, key);
    let bytes = value::encode(&ring(ports).await?, &place, expires, document).await?;
    let length = bytes.len();
    ports.key_value().set(&place.path(), bytes).await.map_err(failed)?;
    Ok(length)
}

/// Notes how many bytes a response has: what an owner keeps is bounded without reading all of it.
pub(crate) async fn note_size<P: Ports>(ports: &P, secret: &str, bytes: usize) -> Result<(), ApiError> {
    let place = place(ports, &format!("{SIZES}{secret}-{bytes:x}"));
    ports.key_value().set(&place.path(), Vec::new()).await.map_err(failed)
}

/// Removes a document of the caller, which need not be there. Durable when it is done.
pub(crate) async fn delete<P: Ports>(ports: &P, key: &str) -> Result<(), ApiError> {
    ports.key_value().delete(&place(ports, key).path()).await.map_err(failed)
}

/// The same, where somebody was promised that it is gone: also from who encrypts it anew at this moment.
pub(crate) async fn delete_for_good<P: Ports>(ports: &P, key: &str) -> Result<(), ApiError> {
    let path = place(ports, key).path();
    let until = ident::now().saturating_add(DELETED);
    ports.key_value().set(&rotate::deleted(&path), until.to_string().into_bytes()).await.map_err(failed)?;
    ports.key_value().delete(&path).await.map_err(failed)
}

/// The caller's keys that begin with `prefix`, sorted.
pub(crate) async fn keys<P: Ports>(ports: &P, prefix: &str) -> Result<Vec<String>, ApiError> {
    let keys = ports.key_value().keys(&place(ports, prefix).path()).await.map_err(failed)?;
    Ok(keys.into_iter().map(|path| Place::of(&path).key).collect())
}

/// 503 for a store that does not do what it is to do.
pub(crate) fn failed(error: KeyValueError) -> ApiError {
    let message = format!("What this service keeps cannot be read or written: {error}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message).code("store_failed")
}

fn damaged(why: &str) -> ApiError {
    internal(format!("What was kept cannot be read: {why}.")).code("store_damaged")
}
