//! A response: the document that an answer is.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    item::{Item, Status},
    request::{Before, ResponseRequest, Told},
    tools::Tool,
};
use crate::{
    generate::{Counts, Ending, FinishReason},
    ident,
    wire::{ApiError, error::ErrorType},
};

/// A response.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Response {
    id: String,
    object: &'static str,
    /// Unix time in seconds.
    created_at: u64,
    completed_at: Option<u64>,
    status: Status,
    background: bool,
    error: Option<Failure>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    max_tool_calls: Option<u32>,
    model: String,
    pub(super) output: Vec<Item>,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    conversation: Option<Named>,
    reasoning: Reasoning,
    service_tier: &'static str,
    store: bool,
    temperature: f64,
    text: Text,
    tool_choice: Value,
    tools: Vec<Tool>,
    top_logprobs: u32,
    top_p: f64,
    truncation: &'static str,
    usage: Option<Usage>,
    metadata: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

#[derive(Debug, Clone, Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Named {
    id: String,
}

#[derive(Debug, Clone, Serialize)]
struct Reasoning {
    effort: Option<String>,
    summary: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Text {
    format: Value,
}

/// Tokens of a response.
#[derive(Debug, Clone, Serialize)]
struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Clone, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    /// OpenAI's count of what it bills for keeping; nothing is billed here.
    cache_write_tokens: u64,
}

#[derive(Debug, Clone, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Response {
    /// One of which nothing is said yet.
    pub(super) fn new(secret: &str, model: String, store: bool, request: &ResponseRequest) -> Self {
        let ResponseRequest { before, generate, truncate, told, .. } = request;
        let Told { instructions, tool_choice, format, effort, metadata } = told.clone();
        let (previous_response_id, conversation) = match before.clone() {
            Before::Response(id) => (Some(id), None),
            Before::Conversation(id) => (None, Some(Named { id })),
            Before::Nothing => (None, None),
        };
        Self {
            id: format!("resp_{secret}"),
            object: "response",
            created_at: ident::now(),
            completed_at: None,
            status: Status::InProgress,
            background: false,
            error: None,
            incomplete_details: None,
            instructions,
            max_output_tokens: generate.max_tokens,
            max_tool_calls: None,
            model,
            output: Vec::new(),
            parallel_tool_calls: generate.parallel_tool_calls.unwrap_or(true),
            previous_response_id,
            conversation,
            reasoning: Reasoning { effort, summary: None },
            service_tier: "default",
            store,
            temperature: generate.sampling.temperature,
            text: Text { format },
            tool_choice,
            tools: generate.tools.iter().map(Tool::from).collect(),
            top_logprobs: generate.logprobs.unwrap_or_default(),
            top_p: generate.sampling.top_p,
            truncation: if *truncate { "auto" } else { "disabled" },
            usage: None,
            metadata,
        }
    }

    /// It has come to its end.
    pub(super) fn end(&mut self, output: Vec<Item>, ending: &Ending) {
        self.output = output;
        self.status = Status::Completed;
        if ending.finish_reason == FinishReason::Length {
            self.status = Status::Incomplete;
            self.incomplete_details = Some(Incomplete { reason: "max_output_tokens" });
        } else {
            self.completed_at = Some(ident::now());
        }
        let Counts { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = ending.usage;
        self.usage = Some(Usage {
            input_tokens: prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens, cache_write_tokens: 0 },
            output_tokens: completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens },
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
        });
    }

    /// It has come to nothing.
    pub(super) fn fail(&mut self, output: Vec<Item>, error: &ApiError) {
        self.output = output;
        self.status = Status::Failed;
        self.completed_at = None;
        self.incomplete_details = None;
        // OpenAI's codes of it are few.
        let code = if error.kind == ErrorType::InvalidRequest { "invalid_prompt" } else { "server_error" };
        self.error = Some(Failure { code, message: error.message.clone() });
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }
}
