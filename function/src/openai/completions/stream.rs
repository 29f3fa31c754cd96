//! A streamed answer of `POST /v1/completions`: server-sent events, then `[DONE]`.

use super::{
    answer::{Choice, Completion, reason},
    logprobs::Logprobs,
};
use crate::{
    generate::{Chunk, Ending, Event, TokenLogprob, stream::Frames},
    openai::{
        head::Head,
        usage::{Timings, Usage},
    },
    wire::{ApiError, sse},
};

/// Writes the events.
pub(super) struct Writer {
    head: Head,
    include_usage: bool,
    /// Answers to each prompt.
    n: u32,
    choices: Vec<Told>,
}

/// Where a choice stands.
#[derive(Default)]
struct Told {
    /// The prompt, until it was told.
    echo: String,
    /// Of tokens that said nothing yet: they leave with the next event.
    logprobs: Vec<TokenLogprob>,
    /// Characters of the tokens that were told.
    characters: usize,
    ending: Option<Ending>,
}

impl Writer {
    pub(super) fn new(head: Head, count: usize, n: u32, echoes: &[String], include_usage: bool) -> Self {
        let told = |index: usize| Told { echo: echoes.get(index / n as usize).cloned().unwrap_or_default(), ..Told::default() };
        Self { head, include_usage, n, choices: (0..count).map(told).collect() }
    }

    /// Writes an event of a choice, with what it has not told of its tokens.
    fn write(&mut self, frame: &mut Vec<u8>, index: usize, text: &str, ending: Option<&Ending>) {
        let told = &mut self.choices[index];
        let tokens = std::mem::take(&mut told.logprobs);
        let logprobs = Logprobs::of(tokens.iter(), &mut told.characters);
        let choice = Choice { index, text, logprobs, finish_reason: ending.map(|ending| reason(ending.finish_reason)) };
        let usage = self.include_usage.then_some(None);
        sse::data(frame, &Completion { head: &self.head, choices: vec![choice], usage, timings: ending.map(Timings::from) });
    }
}

impl Frames for Writer {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn chunk(&mut self, frame: &mut Vec<u8>, index: usize, chunk: Chunk) {
        let told = &mut self.choices[index];
        told.logprobs.extend(chunk.prompt_logprobs.into_iter().chain(chunk.logprobs));
        let mut text = std::mem::take(&mut told.echo);
        for event in chunk.events {
            if let Event::Reasoning(piece) | Event::Text(piece) = event {
                text.push_str(&piece);
            }
        }
        if !text.is_empty() {
            self.write(frame, index, &text, None);
        }
        if let Some(ending) = chunk.ending {
            self.write(frame, index, "", Some(&ending));
            self.choices[index].ending = Some(ending);
        }
    }

    fn end(&mut self, frame: &mut Vec<u8>) {
        if self.include_usage {
            let usage = Usage::of(self.choices.iter().filter_map(|choice| choice.ending.as_ref()), self.n);
            sse::data(frame, &Completion { head: &self.head, choices: Vec::new(), usage: Some(Some(usage)), timings: None });
        }
        sse::done(frame);
    }

    /// The missing `[DONE]` says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        sse::raw(frame, &error.json());
    }
}
