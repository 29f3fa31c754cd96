//! What outlives a request: documents by key, over the port for that. Who calls this knows keys and documents; how a document becomes bytes is `value`'s matter alone.
//!
//! Nothing here is changed in place by several at once: the port has no way to compare and set. What is kept is written once under a key that nobody else writes
//! ([`crate::ident::secret`]) and removed; what grows, grows by further keys.

mod sweep;
mod value;

use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ports::{KeyValue, KeyValueError, Ports},
    settings,
    wire::{ApiError, error::ErrorType},
};

pub(crate) use sweep::{MAX_CONVERSATION_KEYS, sweep};
pub(crate) use value::MAX_DOCUMENT_BYTES;

/// Days that a response is kept unless the setting `store_days` says otherwise.
const DAYS: usize = 30;

/// Whether anything is kept: the setting `store_responses`.
pub(crate) async fn enabled<P: Ports>(ports: &P) -> bool {
    settings::flag(ports.settings(), "store_responses", true).await
}

/// When what is written now is to be forgotten, in Unix seconds.
pub(crate) async fn expiry<P: Ports>(ports: &P, now: u64) -> Option<u64> {
    let days = settings::number(ports.settings(), "store_days").await.unwrap_or(DAYS);
    (days > 0).then(|| now.saturating_add((days as u64).saturating_mul(24 * 60 * 60)))
}

/// A document. One whose time is over is as one that is not there.
pub(crate) async fn get<P: Ports, T: DeserializeOwned>(ports: &P, key: &str) -> Result<Option<T>, ApiError> {
    match ports.key_value().get(key).await.map_err(failed)? {
        Some(bytes) => value::decode(&bytes),
        None => Ok(None),
    }
}

/// Keeps a document, until a time in Unix seconds or until it is removed. Durable when it is done.
pub(crate) async fn set<P: Ports>(ports: &P, key: &str, expires: Option<u64>, document: &impl Serialize) -> Result<(), ApiError> {
    ports.key_value().set(key, value::encode(expires, document)?).await.map_err(failed)
}

/// Removes a document, which need not be there. Durable when it is done.
pub(crate) async fn delete<P: Ports>(ports: &P, key: &str) -> Result<(), ApiError> {
    ports.key_value().delete(key).await.map_err(failed)
}

/// The keys that begin with `prefix`, sorted.
pub(crate) async fn keys<P: Ports>(ports: &P, prefix: &str) -> Result<Vec<String>, ApiError> {
    ports.key_value().keys(prefix).await.map_err(failed)
}

fn failed(error: KeyValueError) -> ApiError {
    let message = format!("What this service keeps cannot be read or written: {error}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message).code("store_failed")
}
