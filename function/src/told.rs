//! What the server is told of an answer for its log, its metrics and its traces: fields named `hearth-log-…`, of the head, or as trailers where they are known only at the end.
//! The server takes them out again, so that no client sees them. Nothing of a conversation is in them.

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::{
    Body,
    generate::{Ending, FinishReason},
};

const ROUTE: HeaderName = HeaderName::from_static("hearth-log-route");
const MODEL: HeaderName = HeaderName::from_static("hearth-log-model");
const OPERATION: HeaderName = HeaderName::from_static("hearth-log-operation");
const PROMPT_TOKENS: HeaderName = HeaderName::from_static("hearth-log-prompt-tokens");
const CACHED_TOKENS: HeaderName = HeaderName::from_static("hearth-log-cached-tokens");
const COMPLETION_TOKENS: HeaderName = HeaderName::from_static("hearth-log-completion-tokens");
const TTFT_MS: HeaderName = HeaderName::from_static("hearth-log-ttft-ms");
const FINISH: HeaderName = HeaderName::from_static("hearth-log-finish");

/// What a model did, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    TextCompletion,
    Embeddings,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
        }
    }
}

/// What is told of an answer that a model gave.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    model: String,
    operation: Operation,
    prompt_tokens: u64,
    cached_tokens: u64,
    completion_tokens: u64,
    /// To the first token of any sequence.
    ttft_ms: Option<f64>,
    /// Each that a sequence had, once.
    finish: Vec<&'static str>,
}

impl Told {
    pub(crate) fn new(model: &str, operation: Operation) -> Self {
        Self {
            model: model.to_owned(),
            operation,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            ttft_ms: None,
            finish: Vec::new(),
        }
    }

    /// Embeddings of so many tokens.
    pub(crate) fn embeddings(model: &str, tokens: u64) -> Self {
        Self { prompt_tokens: tokens, ..Self::new(model, Operation::Embeddings) }
    }

    /// Adds a sequence that has ended. The prompt of a further choice for the same one counts once.
    pub(crate) fn add(&mut self, ending: &Ending, is_repeat: bool) {
        let Ending { usage, timings, finish_reason, .. } = ending;
        if !is_repeat {
            self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens);
            self.cached_tokens = self.cached_tokens.saturating_add(usage.cached_tokens);
        }
        self.completion_tokens = self.completion_tokens.saturating_add(usage.completion_tokens);
        if usage.completion_tokens > 0 {
            let first = timings.queue_ms + timings.prefill_ms;
            self.ttft_ms = Some(self.ttft_ms.map_or(first, |known| known.min(first)));
        }
        self.finish(match finish_reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
        });
    }

    /// Whether a text is made.
    pub(crate) fn generates(&self) -> bool {
        self.operation != Operation::Embeddings
    }

    /// There were so many tokens of a prompt.
    pub(crate) fn prompt(&mut self, tokens: u64) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(tokens);
    }

    /// The answer broke off.
    pub(crate) fn fail(&mut self) {
        self.finish("error");
    }

    fn finish(&mut self, reason: &'static str) {
        if !self.finish.contains(&reason) {
            self.finish.push(reason);
        }
    }

    /// Writes what is known before the answer is.
    pub(crate) fn begin(&self, fields: &mut HeaderMap) {
        if let Ok(model) = HeaderValue::from_str(&self.model) {
            fields.insert(MODEL, model);
        }
        fields.insert(OPERATION, HeaderValue::from_static(self.operation.name()));
    }

    /// Writes the rest.
    pub(crate) fn end(&self, fields: &mut HeaderMap) {
        fields.insert(PROMPT_TOKENS, HeaderValue::from(self.prompt_tokens));
        if self.operation == Operation::Embeddings {
            return;
        }
        fields.insert(CACHED_TOKENS, HeaderValue::from(self.cached_tokens));
        fields.insert(COMPLETION_TOKENS, HeaderValue::from(self.completion_tokens));
        if let Some(ms) = self.ttft_ms.and_then(|ms| HeaderValue::try_from(format!("{ms:.3}")).ok()) {
            fields.insert(TTFT_MS, ms);
        }
        if let Some(finish) = Some(self.finish.join(",")).filter(|finish| !finish.is_empty()).and_then(|finish| finish.try_into().ok()) {
            fields.insert(FINISH, finish);
        }
    }

    /// An answer that is known whole, with all of it.
    pub(crate) fn with(&self, mut response: Response<Body>) -> Response<Body> {
        self.begin(response.headers_mut());
        self.end(response.headers_mut());
        response
    }
}

/// Says which of the few patterns a request's path has.
pub(crate) fn route(pattern: &'static str, mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(ROUTE, HeaderValue::from_static(pattern));
    response
}
