//! wasi-nn's generate mode (`docs/wasi-nn.md`): the request that a context is given, the chunks that it returns, and what its errors mean in HTTP.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ports::{Context, NnError, Tensor, TensorType},
    wire::{ApiError, ChatRequest, chat::Sampling, completion::Usage, error::ErrorType, message::Message},
};

/// The document of the first compute.
#[derive(Serialize)]
struct Request<'a> {
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stop: &'a [String],
    ignore_end: bool,
    sampling: Draw,
}

#[derive(Serialize)]
struct Draw {
    temperature: f64,
    top_k: u32,
    top_p: f64,
    min_p: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    repeat_penalty: f64,
    frequency_penalty: f64,
    presence_penalty: f64,
}

impl From<&Sampling> for Draw {
    fn from(sampling: &Sampling) -> Self {
        let &Sampling { temperature, top_p, top_k, min_p, seed, repeat_penalty, frequency_penalty, presence_penalty } = sampling;
        Self { temperature, top_k, top_p, min_p, seed, repeat_penalty, frequency_penalty, presence_penalty }
    }
}

/// The document of the last chunk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Ending {
    pub(crate) finish_reason: String,
    usage: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Counts {
    prompt_tokens: u64,
    #[serde(default)]
    cached_tokens: u64,
    completion_tokens: u64,
}

impl Ending {
    /// The counts as OpenAI's.
    pub(crate) fn usage(&self) -> Usage {
        let Counts { prompt_tokens, cached_tokens, completion_tokens } = self.usage;
        Usage::new(prompt_tokens, cached_tokens, completion_tokens)
    }
}

/// What one compute returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) text: String,
    /// In the last chunk.
    pub(crate) ending: Option<Ending>,
}

/// The first compute of a generation: returns when the first text is there.
pub(crate) async fn start<C: Context>(context: &mut C, request: &ChatRequest) -> Result<Chunk, ApiError> {
    let ChatRequest { messages, max_tokens, stop, ignore_end, sampling, template, .. } = request;
    let document = Request {
        messages,
        template: template.as_ref(),
        max_tokens: *max_tokens,
        stop,
        ignore_end: *ignore_end,
        sampling: sampling.into(),
    };
    let data = serde_json::to_vec(&document).map_err(|error| internal(format!("The request could not be written: {error}.")))?;
    let dimensions = vec![u32::try_from(data.len()).map_err(|_| internal("The request is larger than a tensor can be."))?];
    compute(context, vec![("request".to_owned(), Tensor { dimensions, ty: TensorType::U8, data })]).await
}

/// A further compute.
pub(crate) async fn next<C: Context>(context: &mut C) -> Result<Chunk, ApiError> {
    compute(context, Vec::new()).await
}

async fn compute<C: Context>(context: &mut C, inputs: Vec<(String, Tensor)>) -> Result<Chunk, ApiError> {
    let outputs = context.compute(inputs).await.map_err(|error| api_error(&error))?;
    let mut chunk = Chunk { text: String::new(), ending: None };
    for (name, tensor) in outputs {
        match name.as_str() {
            "text" => {
                chunk.text = String::from_utf8(tensor.data).map_err(|_| internal("The model's text is not whole UTF-8 characters."))?
            }
            "result" => {
                let ending = serde_json::from_slice(&tensor.data)
                    .map_err(|error| internal(format!("The model's result cannot be read: {error}.")))?;
                chunk.ending = Some(ending);
            }
            // `tokens`, and what later versions of the contract add.
            _ => {}
        }
    }
    Ok(chunk)
}

fn internal(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorType::Server, message).code("internal")
}

/// The document of an error.
#[derive(Deserialize)]
struct ErrorData {
    kind: String,
    message: String,
    prompt_tokens: Option<u64>,
    context_length: Option<u64>,
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
const KINDS: [Kind; 12] = {
    use ErrorType::{InvalidRequest, Server, Timeout, Unavailable};
    use StatusCode as S;
    [
        kind("invalid_request", S::BAD_REQUEST, InvalidRequest),
        Kind { code: "context_length_exceeded", param: Some("messages"), ..kind("context_length", S::BAD_REQUEST, InvalidRequest) },
        Kind { param: Some("model"), ..kind("model_not_found", S::NOT_FOUND, InvalidRequest) },
        Kind { retry_after: Some(5), ..kind("loading", S::SERVICE_UNAVAILABLE, Unavailable) },
        kind("load_failed", S::SERVICE_UNAVAILABLE, Unavailable),
        Kind { retry_after: Some(1), ..kind("queue_full", S::SERVICE_UNAVAILABLE, Unavailable) },
        kind("out_of_memory", S::SERVICE_UNAVAILABLE, Unavailable),
        kind("model_too_large", S::BAD_REQUEST, InvalidRequest),
        kind("unsupported_encoding", S::BAD_REQUEST, InvalidRequest),
        kind("timeout", S::GATEWAY_TIMEOUT, Timeout),
        kind("shutting_down", S::SERVICE_UNAVAILABLE, Unavailable),
        kind("internal", S::INTERNAL_SERVER_ERROR, Server),
    ]
};

/// What a failure behind wasi-nn means in HTTP. One that is no document of the contract is the service's fault, and its text, which may be anything, is not shown.
pub(crate) fn api_error(error: &NnError) -> ApiError {
    let unreadable = || internal("The model's host failed and gave no reason that can be shown; its log has more.");
    let Ok(data) = serde_json::from_str::<ErrorData>(&error.data) else { return unreadable() };
    let Some(kind) = KINDS.iter().find(|kind| kind.name == data.kind) else { return unreadable() };
    let message = match (data.prompt_tokens, data.context_length) {
        // Both numbers are said here, whatever the host's words are: a client that cuts its own history needs them.
        (Some(prompt), Some(context)) if kind.name == "context_length" => format!(
            "This model's context is {context} tokens, and the conversation is {prompt} tokens. Shorten the conversation, ask for fewer 'max_tokens', or choose a model with a longer context."
        ),
        _ => data.message,
    };
    ApiError {
        param: kind.param.map(str::to_owned),
        code: Some(kind.code),
        retry_after: kind.retry_after,
        ..ApiError::new(kind.status, kind.of_type, message)
    }
}
