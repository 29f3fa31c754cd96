//! WASI 0.3, with Spin's variables and key-value of the same time: every import is asynchronous but `wasi:nn`.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use send_wrapper::SendWrapper;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
    key_value::{Error, Store},
    variables,
    wasip3::{
        http::types::{ErrorCode, RequestOptions},
        http_compat::RequestOptionsExtension,
        wit_bindgen::yield_async,
    },
};

use super::{STORE, Wasi, denied, missing};
use crate::ports::{self, Incoming, KeyValueError, OutboundError, Timeouts};

#[http_service]
async fn serve(request: Request) -> impl IntoResponse {
    crate::handle(Wasi, request).await
}

/// Lets the host go on with what was written.
pub(super) async fn yield_now() {
    yield_async().await;
}

impl ports::KeyValue for Wasi {
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.get(key).await.map_err(failed) })
    }

    fn set(&self, key: &str, value: Vec<u8>) -> impl Future<Output = Result<(), KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.set(key, value).await.map_err(failed) })
    }

    fn delete(&self, key: &str) -> impl Future<Output = Result<(), KeyValueError>> + Send {
        let key = key.to_owned();
        SendWrapper::new(async move { open().await?.delete(key).await.map_err(failed) })
    }

    fn keys(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>, KeyValueError>> + Send {
        let prefix = prefix.to_owned();
        SendWrapper::new(async move {
            // The interface knows no prefix: all keys come, and those of others are left out here.
            let mut keys = open().await?.get_keys().await.collect().await.map_err(failed)?;
            keys.retain(|key| key.starts_with(&prefix));
            keys.sort_unstable();
            Ok(keys)
        })
    }
}

async fn open() -> Result<Store, KeyValueError> {
    Store::open(STORE).await.map_err(failed)
}

fn failed(error: Error) -> KeyValueError {
    let message = match error {
        Error::AccessDenied => denied(STORE),
        Error::NoSuchStore => missing(STORE),
        Error::StoreTableFull => "too many stores are open at the same time".to_owned(),
        Error::Other(reason) => reason,
    };
    KeyValueError { message }
}

impl ports::Settings for Wasi {
    fn get(&self, name: &str) -> impl Future<Output = Option<String>> + Send {
        let name = name.to_owned();
        // A component has one thread, so what is tied to it may be called sendable.
        SendWrapper::new(async move { variables::get(name).await.ok() })
    }
}

impl ports::Outbound for Wasi {
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> impl Future<Output = Result<http::Response<Incoming>, OutboundError>> + Send {
        SendWrapper::new(async move {
            let (mut head, body) = request.into_parts();
            let options = RequestOptions::new();
            let nanoseconds = |duration: Duration| Some(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
            // A host that knows no such timeout has its own.
            let _ = options.set_connect_timeout(nanoseconds(timeouts.connect));
            let _ = options.set_first_byte_timeout(nanoseconds(timeouts.first_byte));
            let _ = options.set_between_bytes_timeout(nanoseconds(timeouts.idle));
            head.extensions.insert(RequestOptionsExtension(options));
            let response = spin_sdk::http::send(http::Request::from_parts(head, Full::new(body))).await.map_err(outbound_error)?;
            Ok(response.map(|body| {
                let pieces = body.into_data_stream().map(|piece| piece.map_err(outbound_error));
                Box::pin(SendWrapper::new(pieces)) as Incoming
            }))
        })
    }
}

fn outbound_error(error: ErrorCode) -> OutboundError {
    super::outbound_error!(ErrorCode, error)
}
