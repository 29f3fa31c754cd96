//! A streamed answer of `POST /v1/chat/completions`: server-sent events, then `[DONE]`.

use serde::Serialize;

use super::answer::{Call, CalledFunction, call_id, reason};
use crate::{
    generate::{Chunk, Ending, Event, TokenLogprob, stream::Frames},
    openai::{
        head::Head,
        logprobs::Logprobs,
        usage::{Timings, Usage},
    },
    wire::{ApiError, sse},
};

/// A chunk of a streamed answer.
#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: &'a Head,
    /// One, or none in the chunk that counts tokens.
    choices: Vec<Choice<'a>>,
    /// Absent unless the client asked for it; then null in every chunk but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    /// With a choice's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<Timings>,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<Logprobs<'a>>,
    /// In the choice's last.
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Delta<'a> {
    /// In the choice's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<CalledFunction<'a>>,
}

/// Writes the events.
pub(super) struct Writer {
    head: Head,
    include_usage: bool,
    /// Tell calls in the old form.
    function_call: bool,
    choices: Vec<Told>,
}

/// Where a choice stands.
#[derive(Default)]
struct Told {
    /// Of tokens that said nothing yet, such as a half of a character: they leave with the next event.
    logprobs: Vec<TokenLogprob>,
    ending: Option<Ending>,
}

impl Writer {
    pub(super) fn new(head: Head, n: u32, include_usage: bool, function_call: bool) -> Self {
        Self { head, include_usage, function_call, choices: (0..n).map(|_| Told::default()).collect() }
    }

    /// Writes an event of a choice, with what it has not told of its tokens.
    fn write(&mut self, frame: &mut Vec<u8>, index: usize, delta: Delta<'_>, ending: Option<&Ending>) {
        let logprobs = std::mem::take(&mut self.choices[index].logprobs);
        let finish_reason = ending.map(|ending| reason(ending.finish_reason, self.function_call));
        let choice = Choice { index, delta, logprobs: Logprobs::of(&logprobs), finish_reason };
        let usage = self.include_usage.then_some(None);
        sse::data(frame, &Document { head: &self.head, choices: vec![choice], usage, timings: ending.map(Timings::from) });
    }

    fn delta<'a>(&self, event: &'a Event) -> Delta<'a> {
        let call = |index: usize, id, of_type, function| match self.function_call {
            true => Delta { function_call: Some(function), ..Delta::default() },
            false => Delta { tool_calls: Some([Call { index: Some(index), id, of_type, function }]), ..Delta::default() },
        };
        match event {
            Event::Reasoning(text) => Delta { reasoning_content: Some(text), ..Delta::default() },
            Event::Text(text) => Delta { content: Some(text), ..Delta::default() },
            Event::CallBegin { index, name } => {
                call(*index, call_id(), Some("function"), CalledFunction { name: Some(name), arguments: "" })
            }
            Event::CallArguments { index, text } => call(*index, None, None, CalledFunction { name: None, arguments: text }),
        }
    }
}

impl Frames for Writer {
    fn begin(&mut self, frame: &mut Vec<u8>) {
        for index in 0..self.choices.len() {
            self.write(frame, index, Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, None);
        }
    }

    fn chunk(&mut self, frame: &mut Vec<u8>, index: usize, chunk: Chunk) {
        self.choices[index].logprobs.extend(chunk.logprobs);
        for event in &chunk.events {
            let delta = self.delta(event);
            self.write(frame, index, delta, None);
        }
        if let Some(ending) = chunk.ending {
            self.write(frame, index, Delta::default(), Some(&ending));
            self.choices[index].ending = Some(ending);
        }
    }

    fn end(&mut self, frame: &mut Vec<u8>) {
        if self.include_usage {
            let endings = self.choices.iter().filter_map(|choice| choice.ending.as_ref());
            let usage = Usage::of(endings, self.choices.len() as u32);
            sse::data(frame, &Document { head: &self.head, choices: Vec::new(), usage: Some(Some(usage)), timings: None });
        }
        sse::done(frame);
    }

    /// The missing `[DONE]` says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        sse::raw(frame, &error.json());
    }
}
