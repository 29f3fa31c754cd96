//! A streamed answer of `POST /completion`: server-sent events, the last of which has `stop` true. No `[DONE]` follows.

use super::answer::{Completion, End, Head, probabilities};
use crate::{
    generate::{Chunk, Event, stream::Frames},
    wire::{ApiError, sse},
};

/// Writes the events.
pub(super) struct Writer {
    head: Head,
    has_new_line: bool,
}

impl Writer {
    pub(super) fn new(head: Head) -> Self {
        Self { head, has_new_line: false }
    }
}

impl Frames for Writer {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn chunk(&mut self, frame: &mut Vec<u8>, index: usize, chunk: Chunk) {
        let Chunk { events, tokens, logprobs, ending, .. } = chunk;
        let said =
            events.iter().filter_map(|event| if let Event::Reasoning(text) | Event::Text(text) = event { Some(&**text) } else { None });
        let text: String = said.collect();
        self.has_new_line |= text.contains('\n');
        if !text.is_empty() || !tokens.is_empty() {
            let completion_probabilities = probabilities(&logprobs);
            sse::data(frame, &Completion { index, content: &text, tokens: &tokens, stop: false, completion_probabilities, end: None });
        }
        if let Some(ending) = &ending {
            let end = Some(End::new(&self.head, ending, self.has_new_line));
            sse::data(frame, &Completion { index, content: "", tokens: &[], stop: true, completion_probabilities: Vec::new(), end });
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    /// The missing event with `stop` true says that the answer is not whole.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError) {
        sse::raw(frame, &error.json());
    }
}
