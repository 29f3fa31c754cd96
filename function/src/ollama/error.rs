//! Ollama's envelope of errors, `{"error": "why"}`.

use http::Response;
use serde::Serialize;

use crate::{Body, wire::ApiError};

/// The envelope; within a stream it is a line.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a> {
    error: &'a str,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(error: &'a ApiError) -> Self {
        Self { error: &error.message }
    }
}

/// The answer that tells an error.
pub(crate) fn response(error: &ApiError) -> Response<Body> {
    error.response_with(serde_json::to_string(&Envelope::new(error)).unwrap_or_default())
}
