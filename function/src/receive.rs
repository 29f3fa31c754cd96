//! A request's body, read whole and bounded.

use std::pin::Pin;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use crate::{
    ports::Ports,
    settings,
    wire::{ApiError, error::ErrorType, json},
};

/// Bytes of a request's body unless the setting `max_body_bytes` says otherwise.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Bytes of a body that are read past the limit and thrown away. A client that sends on while the connection is closed sees it break and never reads why.
const MAX_DISCARDED_BYTES: u64 = 64 << 20;

/// The JSON document in a body.
pub(crate) async fn json<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Value, ApiError> {
    json::parse(&bytes(ports, body).await?)
}

/// The JSON document in a body, or an empty object where there is no body.
pub(crate) async fn json_or_empty<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Value, ApiError> {
    match bytes(ports, body).await? {
        bytes if bytes.is_empty() => Ok(Value::Object(Map::new())),
        bytes => json::parse(&bytes),
    }
}

/// The document in a body as it is. One that another Hearth wrote for its client is a little longer than the client's own.
pub(crate) async fn document<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Bytes, ApiError> {
    let limit = settings::number(ports.settings(), "max_body_bytes").await.unwrap_or(MAX_BODY_BYTES);
    read(body, limit.saturating_mul(2)).await.map(Bytes::from)
}

/// A whole body.
async fn bytes<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Vec<u8>, ApiError> {
    let limit = settings::number(ports.settings(), "max_body_bytes").await.unwrap_or(MAX_BODY_BYTES);
    read(body, limit).await
}

/// A whole body of at most `limit` bytes. What is longer is not kept, and refused once it has come.
async fn read<B: http_body::Body<Data = Bytes>>(body: B, limit: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("The request body is larger than {limit} bytes, the most that is taken here. Shorten the conversation.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorType::InvalidRequest, message).code("request_too_large")
    };
    let mut body = std::pin::pin!(body);
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        if announced <= MAX_DISCARDED_BYTES {
            discard(body).await;
        }
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("The request body broke off before its end."))?;
        // Trailers say nothing that is needed here.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            drop(bytes);
            discard(body).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads on until the end, or until it is enough.
async fn discard<B: http_body::Body<Data = Bytes>>(mut body: Pin<&mut B>) {
    let mut discarded = 0;
    while discarded <= MAX_DISCARDED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}
