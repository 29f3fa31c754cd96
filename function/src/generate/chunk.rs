//! What one compute returned, read from its tensors.

use serde::{Deserialize, Serialize};

use crate::{
    nn::{Outputs, internal},
    wire::ApiError,
};

/// What one compute returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chunk {
    /// What the model thought, said or called, in this order. Possibly nothing.
    pub(crate) events: Vec<Event>,
    /// The tokens behind them.
    pub(crate) tokens: Vec<u32>,
    /// Of the tokens behind the events, where they were asked for.
    pub(crate) logprobs: Vec<TokenLogprob>,
    /// Of the prompt's tokens, in the first chunk, where they were asked for.
    pub(crate) prompt_logprobs: Vec<TokenLogprob>,
    /// In the last chunk.
    pub(crate) ending: Option<Ending>,
}

/// A piece of an answer. No text in it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Of the model's thinking.
    Reasoning(String),
    /// Of the text.
    Text(String),
    /// A call opens. Calls open in the order of their index, from 0.
    CallBegin {
        /// Which of the answer's calls.
        index: usize,
        /// The function.
        name: String,
    },
    /// Of the JSON text of an open call's arguments.
    CallArguments {
        /// Which of the answer's calls.
        index: usize,
        /// The piece.
        text: String,
    },
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct TokenLogprob {
    pub(crate) id: u32,
    /// Its text, with U+FFFD where its bytes are no whole character.
    pub(crate) token: String,
    pub(crate) bytes: Vec<u8>,
    /// `None` for a prompt's first token.
    pub(crate) logprob: Option<f64>,
    /// The likeliest at its place.
    #[serde(default)]
    pub(crate) top: Vec<TokenLogprob>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Ending {
    pub(crate) finish_reason: FinishReason,
    /// The stop string that ended it.
    pub(crate) stop: Option<String>,
    pub(crate) usage: Counts,
    #[serde(default)]
    pub(crate) timings: Timings,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    /// An end token or a stop string.
    Stop,
    /// The limit of tokens, or the context.
    Length,
    /// An end after at least one call.
    ToolCalls,
}

/// Tokens of one sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) prompt_tokens: u64,
    /// Those of the prompt that were not computed again.
    #[serde(default)]
    pub(crate) cached_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Those of the completion that are thinking.
    #[serde(default)]
    pub(crate) reasoning_tokens: u64,
}

/// Milliseconds of one sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Timings {
    pub(crate) queue_ms: f64,
    pub(crate) prefill_ms: f64,
    pub(crate) decode_ms: f64,
}

/// A part of a call, as the contract has it.
#[derive(Deserialize)]
struct CallPart {
    index: usize,
    name: Option<String>,
    arguments: Option<String>,
}

impl Chunk {
    /// Reads a chunk of an answer that has opened `calls` so far. What later versions of the contract add is let be.
    pub(super) fn read(outputs: &mut Outputs, calls: &mut usize) -> Result<Self, ApiError> {
        let mut chunk = Self::default();
        if let Some(text) = outputs.text("reasoning")?.filter(|text| !text.is_empty()) {
            chunk.events.push(Event::Reasoning(text));
        }
        if let Some(text) = outputs.text("text")?.filter(|text| !text.is_empty()) {
            chunk.events.push(Event::Text(text));
        }
        for CallPart { index, name, arguments } in outputs.json::<Vec<CallPart>>("tool_calls")?.unwrap_or_default() {
            if let Some(name) = name {
                if index != *calls {
                    return Err(internal(format!("The model opened call {index} after {calls} calls.")));
                }
                *calls += 1;
                chunk.events.push(Event::CallBegin { index, name });
            }
            if index >= *calls {
                return Err(internal(format!("The model gave arguments of call {index}, which it had not opened.")));
            }
            if let Some(text) = arguments.filter(|text| !text.is_empty()) {
                chunk.events.push(Event::CallArguments { index, text });
            }
        }
        chunk.tokens = outputs.tokens("tokens").unwrap_or_default();
        chunk.logprobs = outputs.json("logprobs")?.unwrap_or_default();
        chunk.prompt_logprobs = outputs.json("prompt_logprobs")?.unwrap_or_default();
        chunk.ending = outputs.json("result")?;
        Ok(chunk)
    }
}
