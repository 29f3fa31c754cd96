//! Whole answers and the headers that every one of them has.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

use crate::Body;

/// An answer that is known whole. Its length is said in a header: as a component's body it would otherwise be a stream of unknown length, and HEAD would not know it.
pub(crate) fn full(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let bytes = bytes.into();
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(Body::full(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, document: String) -> Response<Body> {
    full(status, "application/json", document)
}

/// 200 with a document.
pub(crate) fn document(document: &impl serde::Serialize) -> Response<Body> {
    // Writing plain structs to memory cannot fail.
    json(StatusCode::OK, serde_json::to_string(document).unwrap_or_default())
}

/// The type of a stream of server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";
/// The type of a stream of JSON documents, each a line.
pub(crate) const LINES: &str = "application/x-ndjson";

/// An answer that is made piece by piece.
pub(crate) fn stream(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // nginx holds back what it proxies unless it is told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
