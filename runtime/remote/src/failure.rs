//! A failure in the contract's form: its document, and wasi-nn's code by its kind.

use serde_json::{Value, json};

use crate::bindings::exports::wasi::nn::errors::ErrorCode;

/// The document `{"kind", "message", …}`.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) Value);

impl Failure {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self(json!({"kind": kind, "message": message.into()}))
    }

    /// The server did not answer as one does.
    pub(crate) fn of_server(reason: &str) -> Self {
        // A kind of the contract, so that every guest knows what it is.
        Self::new("shutting_down", format!("The server that computes failed: {reason}. Ask again."))
    }

    pub(crate) fn code(&self) -> ErrorCode {
        match self.0["kind"].as_str().unwrap_or_default() {
            "invalid_request" => ErrorCode::InvalidArgument,
            "context_length" | "model_too_large" => ErrorCode::TooLarge,
            "model_not_found" => ErrorCode::NotFound,
            "unsupported_encoding" => ErrorCode::InvalidEncoding,
            "timeout" => ErrorCode::Timeout,
            "loading" | "load_failed" | "queue_full" | "client_busy" | "out_of_memory" | "shutting_down" => ErrorCode::RuntimeError,
            _ => ErrorCode::Unknown,
        }
    }
}
