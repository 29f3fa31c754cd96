//! An answer of `POST /completion`, whole or the pieces of one.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    generate::{Answer, Ending, FinishReason, TokenLogprob},
    openai::{logprobs, usage::Timings},
};

/// What all of an answer has in common.
pub(super) struct Head {
    pub(super) model: String,
    /// As a text.
    pub(super) prompt: String,
    pub(super) settings: Value,
}

/// A whole answer, the last event of a streamed one, or a piece.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub(super) index: usize,
    pub(super) content: &'a str,
    pub(super) tokens: &'a [u32],
    /// Whether this is the end.
    pub(super) stop: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) completion_probabilities: Vec<Value>,
    #[serde(flatten)]
    pub(super) end: Option<End<'a>>,
}

/// What the end tells.
#[derive(Serialize)]
pub(super) struct End<'a> {
    model: &'a str,
    prompt: &'a str,
    generation_settings: &'a Value,
    tokens_predicted: u64,
    tokens_evaluated: u64,
    tokens_cached: u64,
    has_new_line: bool,
    /// Never: a prompt that is longer than the context is refused.
    truncated: bool,
    stop_type: &'static str,
    stopping_word: &'a str,
    timings: Timings,
}

impl<'a> End<'a> {
    pub(super) fn new(head: &'a Head, ending: &'a Ending, has_new_line: bool) -> Self {
        let Ending { finish_reason, stop, usage, .. } = ending;
        Self {
            model: &head.model,
            prompt: &head.prompt,
            generation_settings: &head.settings,
            tokens_predicted: usage.completion_tokens,
            tokens_evaluated: usage.prompt_tokens,
            tokens_cached: usage.prompt_tokens.saturating_add(usage.completion_tokens),
            has_new_line,
            truncated: false,
            stop_type: match (finish_reason, stop) {
                (FinishReason::Length, _) => "limit",
                (_, Some(_)) => "word",
                _ => "eos",
            },
            stopping_word: stop.as_deref().unwrap_or_default(),
            timings: Timings::from(ending),
        }
    }
}

/// Tokens and how likely they were: OpenAI's form of a chat's, with their numbers.
pub(super) fn probabilities(tokens: &[TokenLogprob]) -> Vec<Value> {
    let mut told = logprobs::tokens(tokens);
    for (document, token) in told.iter_mut().zip(tokens) {
        document["id"] = json!(token.id);
        for (document, token) in document["top_logprobs"].as_array_mut().into_iter().flatten().zip(&token.top) {
            document["id"] = json!(token.id);
        }
    }
    told
}

/// A whole answer.
pub(super) fn whole<'a>(head: &'a Head, answer: &'a mut Answer, return_tokens: bool) -> Completion<'a> {
    // What a model that thinks says of a text that is continued as it is, all of it.
    answer.text.insert_str(0, &answer.reasoning);
    let Answer { text, tokens, logprobs, ending, .. } = answer;
    Completion {
        index: 0,
        content: text,
        tokens: if return_tokens { tokens } else { &[] },
        stop: true,
        completion_probabilities: probabilities(logprobs),
        end: ending.as_ref().map(|ending| End::new(head, ending, text.contains('\n'))),
    }
}
