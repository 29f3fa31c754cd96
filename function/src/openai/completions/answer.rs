//! A whole answer of `POST /v1/completions`.

use serde::Serialize;

use super::logprobs::Logprobs;
use crate::{
    generate::{Answer, FinishReason},
    openai::{
        head::Head,
        usage::{Timings, Usage},
    },
};

/// A whole answer, or a chunk of a streamed one.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
    #[serde(flatten)]
    pub(super) head: &'a Head,
    pub(super) choices: Vec<Choice<'a>>,
    /// Absent in a stream's chunks unless the client asked for it; then null in every one but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<Usage>>,
    /// Of the first choice; in a stream with each one's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timings: Option<Timings>,
}

#[derive(Debug, Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: usize,
    pub(super) text: &'a str,
    pub(super) logprobs: Option<Logprobs<'a>>,
    pub(super) finish_reason: Option<&'static str>,
}

/// Why an answer ended; there are no tools here.
pub(super) fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::Stop | FinishReason::ToolCalls => "stop",
    }
}

/// What a model that thinks says of a text that is continued as it is, all of it.
pub(super) fn put_before(answers: &mut [Answer], n: u32, echoes: &[String]) {
    for (index, answer) in answers.iter_mut().enumerate() {
        let echo = echoes.get(index / n as usize).map_or("", String::as_str);
        answer.text.insert_str(0, &(echo.to_owned() + &answer.reasoning));
    }
}

impl<'a> Completion<'a> {
    /// `n` answers to each prompt.
    pub(super) fn new(head: &'a Head, answers: &'a [Answer], n: u32) -> Self {
        let endings = answers.iter().filter_map(|answer| answer.ending.as_ref());
        let choice = |(index, answer): (usize, &'a Answer)| Choice {
            index,
            text: &answer.text,
            logprobs: Logprobs::of(answer.prompt_logprobs.iter().chain(&answer.logprobs), &mut 0),
            finish_reason: answer.ending.as_ref().map(|ending| reason(ending.finish_reason)),
        };
        Self {
            head,
            choices: answers.iter().enumerate().map(choice).collect(),
            usage: Some(Some(Usage::of(endings.clone(), n))),
            timings: endings.clone().next().map(Timings::from),
        }
    }
}
