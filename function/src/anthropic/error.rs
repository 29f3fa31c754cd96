//! Anthropic's error envelope, `{"type": "error", "error": {"type", "message"}}`.

use http::{Response, StatusCode};
use serde::Serialize;

use crate::{Body, wire::ApiError};

/// The envelope.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    r#type: &'static str,
    error: Detail<'a>,
}

#[derive(Debug, Serialize)]
struct Detail<'a> {
    r#type: &'static str,
    message: &'a str,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(error: &'a ApiError) -> Self {
        Self { r#type: "error", error: Detail { r#type: word(error.status), message: &error.message } }
    }
}

/// What Anthropic calls a failure of this status.
fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    }
}

/// The answer that tells an error.
pub(crate) fn response(error: &ApiError) -> Response<Body> {
    error.response_with(serde_json::to_string(&Envelope::new(error)).unwrap_or_default())
}
