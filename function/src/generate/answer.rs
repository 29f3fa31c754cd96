//! An answer put together from its chunks.

use super::{Chunk, Ending, Event, TokenLogprob};

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    pub(crate) prompt_logprobs: Vec<TokenLogprob>,
    /// There once the last chunk was added.
    pub(crate) ending: Option<Ending>,
}

/// A call of a function.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
}

impl Answer {
    /// Adds what a chunk says.
    pub(crate) fn add(&mut self, chunk: Chunk) {
        for event in chunk.events {
            match event {
                Event::Reasoning(text) => self.reasoning.push_str(&text),
                Event::Text(text) => self.text.push_str(&text),
                Event::CallBegin { name, .. } => self.calls.push(Call { name, arguments: String::new() }),
                Event::CallArguments { index, text } => {
                    if let Some(call) = self.calls.get_mut(index) {
                        call.arguments.push_str(&text);
                    }
                }
            }
        }
        self.tokens.extend(chunk.tokens);
        self.logprobs.extend(chunk.logprobs);
        self.prompt_logprobs.extend(chunk.prompt_logprobs);
        self.ending = self.ending.take().or(chunk.ending);
    }
}
