//! An answer in Anthropic's form: blocks of thinking, text and calls, why it ended, and what it cost.

use serde::Serialize;
use serde_json::Value;

use super::thinking::Thinking;
use crate::{
    generate::{Answer, Counts, Ending, FinishReason},
    ident,
};

/// What all of an answer has in common.
#[derive(Debug)]
pub(super) struct Head {
    /// `msg_…`
    pub(super) id: String,
    /// The model that answers.
    pub(super) model: String,
    pub(super) thinking: Thinking,
    pub(super) max_tokens: u32,
}

/// A whole answer, or the beginning of one.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    #[serde(flatten)]
    stop: Stop<'a>,
    usage: Usage,
}

/// A part of an answer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Thinking { thinking: &'a str, signature: &'static str },
    Text { text: &'a str },
    ToolUse { id: String, name: &'a str, input: Value },
}

/// What stands for the signature of a thinking block. Nothing is read from it when it comes back; there are clients that send no thinking back that has none.
pub(super) const SIGNATURE: &str = ident::FINGERPRINT;

/// A call's name, by which its answer is known.
pub(super) fn call_id() -> String {
    ident::random("toolu_")
}

/// Why an answer ended; all null in the beginning of one.
#[derive(Debug, Default, Serialize)]
pub(super) struct Stop<'a> {
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
}

impl<'a> Stop<'a> {
    pub(super) fn new(ending: &'a Ending, max_tokens: u32) -> Self {
        let stop_reason = match ending.finish_reason {
            FinishReason::Stop if ending.stop.is_some() => "stop_sequence",
            FinishReason::Stop => "end_turn",
            FinishReason::Length if ending.usage.completion_tokens < max_tokens.into() => "model_context_window_exceeded",
            FinishReason::Length => "max_tokens",
            FinishReason::ToolCalls => "tool_use",
        };
        Self { stop_reason: Some(stop_reason), stop_sequence: ending.stop.as_deref() }
    }
}

/// Tokens of an answer. Those of the prompt are the sum of the first three.
#[derive(Debug, Default, Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    output_tokens_details: OutputTokensDetails,
}

#[derive(Debug, Default, Serialize)]
struct OutputTokensDetails {
    thinking_tokens: u64,
}

impl From<&Counts> for Usage {
    fn from(counts: &Counts) -> Self {
        Self {
            input_tokens: counts.prompt_tokens.saturating_sub(counts.cached_tokens),
            // The cache keeps what it likes and nobody pays for it.
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: counts.cached_tokens,
            output_tokens: counts.completion_tokens,
            output_tokens_details: OutputTokensDetails { thinking_tokens: counts.reasoning_tokens },
        }
    }
}

impl<'a> Message<'a> {
    /// The beginning of an answer.
    pub(super) fn begin(head: &'a Head) -> Self {
        let Head { id, model, .. } = head;
        Self { id, r#type: "message", role: "assistant", model, content: Vec::new(), stop: Stop::default(), usage: Usage::default() }
    }

    /// A whole answer.
    pub(super) fn whole(head: &'a Head, answer: &'a Answer) -> Self {
        let Answer { reasoning, text, calls, ending, .. } = answer;
        let mut content = Vec::new();
        if !reasoning.is_empty() && head.thinking != Thinking::Untold {
            let thinking = if head.thinking == Thinking::Told { reasoning } else { "" };
            content.push(Block::Thinking { thinking, signature: SIGNATURE });
        }
        if !text.is_empty() {
            content.push(Block::Text { text });
        }
        content.extend(calls.iter().filter_map(|call| {
            // One that the limit cut off is no call: there is nothing to call it with.
            let input = serde_json::from_str(&call.arguments).ok()?;
            Some(Block::ToolUse { id: call_id(), name: &call.name, input })
        }));
        let mut message = Self { content, ..Self::begin(head) };
        if let Some(ending) = ending {
            message.stop = Stop::new(ending, head.max_tokens);
            message.usage = Usage::from(&ending.usage);
        }
        message
    }
}
