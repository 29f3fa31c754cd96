//! An answer in Ollama's form: a document, or lines that are each one and add up to it.

use http::Response;
use serde::Serialize;
use serde_json::Value;

use super::{names::Wanted, request::Asked, stream::Writer};
use crate::{
    Body,
    generate::{self, Call, Ending, FinishReason, TokenLogprob, stream as frames},
    ident, models,
    openai::logprobs::Token,
    ports::Ports,
    respond,
    wire::ApiError,
};

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Chat,
    Generate,
}

/// An answer, or a line of one.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    model: &'a str,
    created_at: String,
    #[serde(flatten)]
    said: Said<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logprobs: Vec<Token<'a>>,
    done: bool,
    #[serde(flatten)]
    end: Option<End>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Chat { message: Message<'a> },
    Generate(Text<'a>),
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    response: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolCall<'a> {
    id: String,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    index: usize,
    name: &'a str,
    arguments: Value,
}

/// Why an answer ended, and times in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct End {
    done_reason: &'static str,
    #[serde(flatten)]
    metrics: Option<Metrics>,
}

#[derive(Debug, Serialize)]
struct Metrics {
    total_duration: u64,
    /// Until the model was there and free.
    load_duration: u64,
    prompt_eval_count: u64,
    prompt_eval_duration: u64,
    eval_count: u64,
    eval_duration: u64,
}

/// Milliseconds as nanoseconds.
pub(super) fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

impl From<&Ending> for End {
    fn from(Ending { finish_reason, usage, timings, .. }: &Ending) -> Self {
        let done_reason = match finish_reason {
            FinishReason::Length => "length",
            FinishReason::Stop | FinishReason::ToolCalls => "stop",
        };
        let metrics = Metrics {
            total_duration: nanoseconds(timings.queue_ms + timings.prefill_ms + timings.decode_ms),
            load_duration: nanoseconds(timings.queue_ms),
            prompt_eval_count: usage.prompt_tokens,
            prompt_eval_duration: nanoseconds(timings.prefill_ms),
            eval_count: usage.completion_tokens,
            eval_duration: nanoseconds(timings.decode_ms),
        };
        Self { done_reason, metrics: Some(metrics) }
    }
}

/// What an answer or a line of one says.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Saying<'a> {
    pub(super) text: &'a str,
    pub(super) thinking: &'a str,
    pub(super) calls: &'a [Call],
    pub(super) logprobs: &'a [TokenLogprob],
}

impl<'a> Document<'a> {
    /// A document that says something, and is the last where it has an end.
    pub(super) fn new(form: Form, model: &'a str, saying: Saying<'a>, end: Option<End>) -> Self {
        let Saying { text, thinking, calls, logprobs } = saying;
        let said = match form {
            Form::Chat => {
                // One that the limit cut off is no call: there is nothing to call it with.
                let calls = calls.iter().filter_map(|call| Some((&call.name, serde_json::from_str(&call.arguments).ok()?)));
                let tool_call = |(index, (name, arguments)): (usize, (&'a String, Value))| ToolCall {
                    id: ident::random("call_"),
                    function: Function { index, name, arguments },
                };
                Said::Chat {
                    message: Message { role: "assistant", content: text, thinking, tool_calls: calls.enumerate().map(tool_call).collect() },
                }
            }
            Form::Generate => Said::Generate(Text { response: text, thinking }),
        };
        let logprobs = logprobs.iter().map(Token::from).collect();
        Self { model, created_at: ident::timestamp(), said, logprobs, done: end.is_some(), end }
    }
}

/// Answers what was asked.
pub(super) async fn answer<P: Ports>(ports: &P, wanted: Wanted, asked: Asked, form: Form) -> Result<Response<Body>, ApiError> {
    let Asked { generate, thinking, stream } = asked;
    let Some(generate) = generate else {
        let (loaded, _) = models::load(ports, wanted.name.as_deref()).await?;
        let end = End { done_reason: "load", metrics: None };
        return Ok(respond::document(&Document::new(form, &wanted.told(&loaded), Saying::default(), Some(end))));
    };
    let (loaded, choices) = generate::open(ports, wanted.name.as_deref(), &mut [generate]).await?;
    let model = wanted.told(&loaded);
    if stream {
        return Ok(frames::respond(respond::LINES, choices, Writer::new(form, model, thinking)));
    }
    let (answers, told) = choices.whole().await?;
    let answer = &answers[0];
    let saying = Saying {
        text: &answer.text,
        thinking: if thinking { &answer.reasoning } else { "" },
        calls: &answer.calls,
        logprobs: &answer.logprobs,
    };
    Ok(told.with(respond::document(&Document::new(form, &model, saying, answer.ending.as_ref().map(End::from)))))
}
