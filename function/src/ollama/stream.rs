//! A streamed answer of `/api/chat` and `/api/generate`: lines of JSON, the last of which is `done`.

use serde::Serialize;

use super::{
    answer::{Document, End, Form, Saying},
    error::Envelope,
};
use crate::{
    generate::{Answer, Chunk, Event, TokenLogprob, stream::Frames},
    wire::ApiError,
};

/// Writes the lines.
pub(super) struct Writer {
    form: Form,
    model: String,
    /// Whether the model's thinking is told.
    thinking: bool,
    /// The calls so far: they are told whole, as Ollama's clients take them.
    calls: Answer,
    /// Of tokens that said nothing yet: they leave with the next line.
    logprobs: Vec<TokenLogprob>,
}

impl Writer {
    pub(super) fn new(form: Form, model: String, thinking: bool) -> Self {
        Self { form, model, thinking, calls: Answer::default(), logprobs: Vec::new() }
    }

    fn write(&self, frame: &mut Vec<u8>, saying: Saying<'_>, end: Option<End>) {
        line(frame, &Document::new(self.form, &self.model, saying, end));
    }
}

fn line(frame: &mut Vec<u8>, document: &impl Serialize) {
    // Writing plain structs to memory cannot fail, and JSON has no raw line break that would end the line early.
    let _ = serde_json::to_writer(&mut *frame, document);
    frame.push(b'\n');
}

impl Frames for Writer {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn chunk(&mut self, frame: &mut Vec<u8>, _: usize, chunk: Chunk) {
        self.logprobs.extend(chunk.logprobs);
        let (mut text, mut thinking, mut says) = (String::new(), String::new(), false);
        let mut calls = Vec::new();
        for event in chunk.events {
            match event {
                Event::Text(piece) => text.push_str(&piece),
                Event::Reasoning(piece) if self.thinking => thinking.push_str(&piece),
                // An empty line is a word that the answer is still coming, also for who has gone: it is noticed when something is written.
                Event::Reasoning(_) => {}
                call => {
                    calls.push(call);
                    continue;
                }
            }
            says = true;
        }
        self.calls.add(Chunk { events: calls, ..Chunk::default() });
        if says {
            let logprobs = std::mem::take(&mut self.logprobs);
            self.write(frame, Saying { text: &text, thinking: &thinking, calls: &[], logprobs: &logprobs }, None);
        }
        if let Some(ending) = &chunk.ending {
            if !self.calls.calls.is_empty() {
                self.write(frame, Saying { calls: &self.calls.calls, ..Saying::default() }, None);
            }
            self.write(frame, Saying { logprobs: &self.logprobs, ..Saying::default() }, Some(End::from(ending)));
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    /// No line is `done`, which says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        line(frame, &Envelope::new(error));
    }
}
