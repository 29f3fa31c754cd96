//! wasi-nn as this service uses it (`docs/wasi-nn.md`): documents in, tensors by name out, and what its errors mean in HTTP.

use http::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    ports::{Context, NnError, Tensor, TensorType},
    wire::{ApiError, error::ErrorType},
};

/// Tensors with their names.
pub(crate) type Tensors = Vec<(String, Tensor)>;

/// The inputs that carry a request's document.
pub(crate) fn document(request: &impl Serialize) -> Result<Tensors, ApiError> {
    let data = serde_json::to_vec(request).map_err(|error| internal(format!("The request could not be written: {error}.")))?;
    let dimensions = vec![u32::try_from(data.len()).map_err(|_| internal("The request is larger than a tensor can be."))?];
    Ok(vec![("request".to_owned(), Tensor { dimensions, ty: TensorType::U8, data })])
}

/// One compute.
pub(crate) async fn compute<C: Context>(context: &mut C, inputs: Tensors) -> Result<Outputs, ApiError> {
    context.compute(inputs).await.map(Outputs).map_err(|error| api_error(&error))
}

/// What a compute returned. Outputs that nobody takes are those of later versions of the contract.
#[derive(Debug)]
pub(crate) struct Outputs(Tensors);

impl Outputs {
    /// The output of this name.
    fn take(&mut self, name: &str) -> Option<Tensor> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(tensor) = self.take(name) else { return Ok(None) };
        String::from_utf8(tensor.data).map(Some).map_err(|_| internal(format!("The model's {name} is not whole UTF-8 characters.")))
    }

    /// Tokens.
    pub(crate) fn tokens(&mut self, name: &str) -> Result<Vec<u32>, ApiError> {
        let Some(Tensor { ty: TensorType::I32, data, .. }) = self.take(name) else {
            return Err(internal(format!("The model gave no {name}.")));
        };
        Ok(data.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// The rows of a matrix of `count` rows.
    pub(crate) fn rows(&mut self, name: &str, count: usize) -> Result<Vec<Vec<f32>>, ApiError> {
        let broken = || internal(format!("The model's {name} are not {count} vectors."));
        let Some(Tensor { ty: TensorType::Fp32, data, dimensions }) = self.take(name) else { return Err(broken()) };
        let [rows, width] = dimensions[..] else { return Err(broken()) };
        let (rows, width) = (rows as usize, width as usize);
        if rows != count || width == 0 || data.len() / 4 != rows.saturating_mul(width) {
            return Err(broken());
        }
        let elements: Vec<_> = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(elements.chunks(width).map(<[f32]>::to_vec).collect())
    }

    /// A document.
    pub(crate) fn json<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(tensor) = self.take(name) else { return Ok(None) };
        serde_json::from_slice(&tensor.data).map(Some).map_err(|error| internal(format!("The model's {name} cannot be read: {error}.")))
    }
}

/// 500: the model's side broke the contract, or this one did.
pub(crate) fn internal(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorType::Server, message).code("internal")
}

/// The document of an error.
#[derive(Deserialize)]
struct ErrorData {
    kind: String,
    message: String,
    param: Option<String>,
    prompt_tokens: Option<u64>,
    context_length: Option<u64>,
    /// Of a refusal that this service makes itself, in the contract's form.
    retry_after: Option<u32>,
}

/// One line of the table of error kinds.
struct Kind {
    name: &'static str,
    status: StatusCode,
    of_type: ErrorType,
    code: &'static str,
    param: Option<&'static str>,
    retry_after: Option<u32>,
}

const fn kind(name: &'static str, status: StatusCode, of_type: ErrorType) -> Kind {
    Kind { name, status, of_type, code: name, param: None, retry_after: None }
}

/// Every kind that the contract lists, and what a client is told. The codes are OpenAI's where it has one for the case.
const KINDS: [Kind; 17] = {
    use ErrorType::{InvalidRequest, RateLimit, Server, Timeout, Unavailable};
    use StatusCode as S;
    [
        kind("invalid_request", S::BAD_REQUEST, InvalidRequest),
        Kind { code: "context_length_exceeded", param: Some("messages"), ..kind("context_length", S::BAD_REQUEST, InvalidRequest) },
        Kind { param: Some("model"), ..kind("model_not_found", S::NOT_FOUND, InvalidRequest) },
        Kind { retry_after: Some(5), ..kind("loading", S::SERVICE_UNAVAILABLE, Unavailable) },
        kind("load_failed", S::SERVICE_UNAVAILABLE, Unavailable),
        Kind { retry_after: Some(1), ..kind("queue_full", S::SERVICE_UNAVAILABLE, Unavailable) },
        Kind { code: "rate_limit_exceeded", retry_after: Some(1), ..kind("client_busy", S::TOO_MANY_REQUESTS, RateLimit) },
        Kind { code: "rate_limit_exceeded", ..kind("rate_limited", S::TOO_MANY_REQUESTS, RateLimit) },
        kind("out_of_memory", S::SERVICE_UNAVAILABLE, Unavailable),
        kind("model_too_large", S::BAD_REQUEST, InvalidRequest),
        kind("unsupported_encoding", S::BAD_REQUEST, InvalidRequest),
        kind("timeout", S::GATEWAY_TIMEOUT, Timeout),
        kind("shutting_down", S::SERVICE_UNAVAILABLE, Unavailable),
        kind("internal", S::INTERNAL_SERVER_ERROR, Server),
        // Of this service itself, where another one computes.
        kind("fallback_failed", S::BAD_GATEWAY, Unavailable),
        kind("fallback_down", S::SERVICE_UNAVAILABLE, Unavailable),
        kind("loop_detected", S::LOOP_DETECTED, Server),
    ]
};

/// Whether the contract has an error of this kind.
pub(crate) fn knows(kind: &str) -> bool {
    KINDS.iter().any(|known| known.name == kind)
}

/// What a failure behind wasi-nn means in HTTP. One that is no document of the contract is the service's fault, and its text, which may be anything, is not shown.
pub(crate) fn api_error(error: &NnError) -> ApiError {
    let unreadable = || internal("The model's host failed and gave no reason that can be shown; its log has more.");
    let Ok(data) = serde_json::from_str::<ErrorData>(&error.data) else { return unreadable() };
    let Some(kind) = KINDS.iter().find(|kind| kind.name == data.kind) else { return unreadable() };
    let message = match (data.prompt_tokens, data.context_length) {
        // Both numbers are said here, whatever the host's words are: a client that cuts its own history needs them.
        (Some(prompt), Some(context)) if kind.name == "context_length" => format!(
            "This model's context is {context} tokens, and what was sent is {prompt} tokens. Shorten it, or choose a model with a longer context."
        ),
        _ => data.message,
    };
    ApiError {
        param: kind.param.map(str::to_owned).or(data.param),
        code: Some(kind.code),
        retry_after: data.retry_after.or(kind.retry_after),
        ..ApiError::new(kind.status, kind.of_type, message)
    }
}
