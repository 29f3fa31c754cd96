//! A streamed answer of `POST /v1/chat/completions`: server-sent events, then `[DONE]`.

use serde::Serialize;

use super::answer::Head;
use crate::{
    generate::{Chunk, Ending, Event, FinishReason, stream::Frames},
    openai::usage::{Timings, Usage},
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
    /// Always null: not supported yet.
    logprobs: (),
    /// In the choice's last.
    finish_reason: Option<FinishReason>,
}

#[derive(Debug, Default, Serialize)]
struct Delta<'a> {
    /// In the choice's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

/// Writes the events.
pub(super) struct Writer {
    head: Head,
    include_usage: bool,
    /// By choice.
    endings: Vec<Option<Ending>>,
}

impl Writer {
    pub(super) fn new(head: Head, n: u32, include_usage: bool) -> Self {
        Self { head, include_usage, endings: (0..n).map(|_| None).collect() }
    }

    fn write(&self, frame: &mut Vec<u8>, index: usize, delta: Delta<'_>, ending: Option<&Ending>) {
        let choice = Choice { index, delta, logprobs: (), finish_reason: ending.map(|ending| ending.finish_reason) };
        let usage = self.include_usage.then_some(None);
        sse::data(frame, &Document { head: &self.head, choices: vec![choice], usage, timings: ending.map(Timings::from) });
    }
}

impl Frames for Writer {
    fn begin(&mut self, frame: &mut Vec<u8>) {
        for index in 0..self.endings.len() {
            self.write(frame, index, Delta { role: Some("assistant"), content: Some("") }, None);
        }
    }

    fn chunk(&mut self, frame: &mut Vec<u8>, index: usize, chunk: Chunk) {
        for event in &chunk.events {
            if let Event::Text(text) = event {
                self.write(frame, index, Delta { content: Some(text), ..Delta::default() }, None);
            }
        }
        if let Some(ending) = chunk.ending {
            self.write(frame, index, Delta::default(), Some(&ending));
            self.endings[index] = Some(ending);
        }
    }

    fn end(&mut self, frame: &mut Vec<u8>) {
        if self.include_usage {
            let usage = Usage::of(self.endings.iter().flatten());
            sse::data(frame, &Document { head: &self.head, choices: Vec::new(), usage: Some(Some(usage)), timings: None });
        }
        sse::done(frame);
    }

    /// The missing `[DONE]` says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        sse::raw(frame, &error.json());
    }
}
