//! A whole answer of `POST /v1/chat/completions`.

use serde::Serialize;

use crate::{
    generate::{Answer, FinishReason},
    ident,
    openai::usage::{Timings, Usage},
};

/// What all chunks of an answer, or the one whole answer, have in common.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Head {
    /// `chatcmpl-…`, the same in every chunk.
    id: String,
    object: &'static str,
    /// Unix time in seconds.
    created: u64,
    /// The model that answers.
    model: String,
    /// The version that answers.
    system_fingerprint: &'static str,
}

impl Head {
    pub(super) fn new(model: String, stream: bool) -> Self {
        let object = if stream { "chat.completion.chunk" } else { "chat.completion" };
        Self { id: ident::random("chatcmpl-"), object, created: ident::now(), model, system_fingerprint: ident::FINGERPRINT }
    }
}

/// A whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
    #[serde(flatten)]
    head: &'a Head,
    choices: Vec<Choice<'a>>,
    usage: Usage,
    timings: Option<Timings>,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    message: Message<'a>,
    /// Always null: not supported yet.
    logprobs: (),
    finish_reason: Option<FinishReason>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    /// Always null: these models have no refusals of their own.
    refusal: (),
}

impl<'a> Completion<'a> {
    pub(super) fn new(head: &'a Head, answers: &'a [Answer]) -> Self {
        let endings = answers.iter().filter_map(|answer| answer.ending.as_ref());
        let choice = |(index, answer): (usize, &'a Answer)| Choice {
            index,
            message: Message { role: "assistant", content: &answer.text, refusal: () },
            logprobs: (),
            finish_reason: answer.ending.as_ref().map(|ending| ending.finish_reason),
        };
        Self {
            head,
            choices: answers.iter().enumerate().map(choice).collect(),
            usage: Usage::of(endings.clone()),
            timings: endings.clone().next().map(Timings::from),
        }
    }
}
