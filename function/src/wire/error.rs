//! OpenAI's error envelope, `{"error": {"message", "type", "param", "code"}}`, and the HTTP answer around it.

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{Body, respond};

/// The `type` of an error: what a client's library branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ErrorType {
    /// The request cannot be served as it is.
    #[serde(rename = "invalid_request_error")]
    InvalidRequest,
    /// The key is good, but not for this.
    #[serde(rename = "permission_error")]
    Permission,
    /// More than the key's limit.
    #[serde(rename = "rate_limit_error")]
    RateLimit,
    /// The service cannot answer now; the same request may succeed later.
    #[serde(rename = "unavailable_error")]
    Unavailable,
    /// The answer took too long.
    #[serde(rename = "timeout_error")]
    Timeout,
    /// The fault is the service's.
    #[serde(rename = "server_error")]
    Server,
}

/// A refusal: status, envelope, and the headers that belong to it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// The `type` field.
    pub kind: ErrorType,
    /// For a person: the thing, the limit, the cure.
    pub message: String,
    /// The parameter at fault, as `messages[2].content`.
    pub param: Option<String>,
    /// A stable word for programs.
    pub code: Option<&'static str>,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u32>,
    /// The methods of a 405.
    pub allow: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    r#type: ErrorType,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl ApiError {
    /// An error with nothing but the necessary.
    pub fn new(status: StatusCode, kind: ErrorType, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None, retry_after: None, allow: None }
    }

    /// 400 for the request as a whole.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorType::InvalidRequest, message)
    }

    /// 400 for one parameter.
    pub fn parameter(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::bad_request(message) }
    }

    /// With a word for programs.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// With the client's own name for a parameter that the model's side calls `from`.
    #[must_use]
    pub(crate) fn rename(self, from: &str, to: &str) -> Self {
        let param = self.param.map(|param| if param == from { to.to_owned() } else { param });
        Self { param, ..self }
    }

    /// The envelope.
    pub fn json(&self) -> String {
        let Self { message, kind, param, code, .. } = self;
        let detail = Detail { message, r#type: *kind, param: param.as_deref(), code: *code };
        serde_json::to_string(&Envelope { error: detail }).unwrap_or_default()
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        self.response_with(self.json())
    }

    /// The answer with a document other than the envelope.
    pub(crate) fn response_with(&self, document: String) -> Response<Body> {
        let mut response = respond::json(self.status, document);
        if self.status == StatusCode::UNAUTHORIZED {
            // Basic is taken too, but not asked for: browsers would ask for a name and a password before the page can ask for its key.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hearth\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow.as_deref().and_then(|methods| HeaderValue::from_str(methods).ok()) {
            response.headers_mut().insert(ALLOW, methods);
        }
        response
    }
}
