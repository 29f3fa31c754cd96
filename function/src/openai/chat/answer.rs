//! A whole answer of `POST /v1/chat/completions`.

use serde::Serialize;

use crate::{
    generate::{Answer, FinishReason},
    ident,
    openai::{
        head::Head,
        logprobs::Logprobs,
        usage::{Timings, Usage},
    },
};

/// A whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
    #[serde(flatten)]
    head: &'a Head,
    choices: Vec<Choice<'a>>,
    usage: Usage,
    /// Of the first choice.
    timings: Option<Timings>,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    /// Null where the model called tools and said nothing.
    content: Option<&'a str>,
    /// Always null: these models have no refusals of their own.
    refusal: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<CalledFunction<'a>>,
}

/// A call, whole or the beginning of one.
#[derive(Debug, Serialize)]
pub(super) struct Call<'a> {
    /// In a stream: which of the answer's calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// In a stream: with the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) of_type: Option<&'static str>,
    pub(super) function: CalledFunction<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct CalledFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

/// A call's name, by which its answer is known.
pub(super) fn call_id() -> Option<String> {
    Some(ident::random("call_"))
}

/// Why an answer ended, in OpenAI's words.
pub(super) fn reason(reason: FinishReason, function_call: bool) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls if function_call => "function_call",
        FinishReason::ToolCalls => "tool_calls",
    }
}

impl<'a> Completion<'a> {
    /// `function_call`: tell calls in the old form.
    pub(super) fn new(head: &'a Head, answers: &'a [Answer], function_call: bool) -> Self {
        let endings = answers.iter().filter_map(|answer| answer.ending.as_ref());
        let choice = |(index, answer): (usize, &'a Answer)| Choice {
            index,
            message: Message::new(answer, function_call),
            logprobs: Logprobs::of(&answer.logprobs),
            finish_reason: answer.ending.as_ref().map(|ending| reason(ending.finish_reason, function_call)),
        };
        Self {
            head,
            choices: answers.iter().enumerate().map(choice).collect(),
            usage: Usage::of(endings.clone(), answers.len() as u32),
            timings: endings.clone().next().map(Timings::from),
        }
    }
}

impl<'a> Message<'a> {
    fn new(answer: &'a Answer, function_call: bool) -> Self {
        let Answer { reasoning, text, calls, .. } = answer;
        let mut called = calls.iter().map(|call| CalledFunction { name: Some(&call.name), arguments: &call.arguments });
        let function_call = if function_call { called.next() } else { None };
        let calls = called.map(|function| Call { index: None, id: call_id(), of_type: Some("function"), function });
        Self {
            role: "assistant",
            content: Some(text.as_str()).filter(|text| !text.is_empty() || answer.calls.is_empty()),
            refusal: (),
            reasoning_content: Some(reasoning.as_str()).filter(|text| !text.is_empty()),
            tool_calls: calls.collect(),
            function_call,
        }
    }
}
