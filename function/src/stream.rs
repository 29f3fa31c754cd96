//! A streamed answer: server-sent events that are made only when they are asked for.
//!
//! Each pull is at most one chunk of the model, so that a chunk has left before the next is computed, and the state owns the context: whoever drops the stream stops the
//! sequence.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;

use crate::{
    nn::{self, Chunk},
    ports::Context,
    wire::{
        ApiError,
        completion::{self, ChunkChoice, Delta, Head, Usage},
    },
};

/// Where a stream stands.
enum Stage<C> {
    /// The first chunk is there and nothing has left.
    Open(C, Chunk),
    /// More is to be computed.
    Running(C),
    /// All was said; the context is gone already.
    Ended,
}

struct State<C> {
    stage: Stage<C>,
    head: Head,
    include_usage: bool,
}

/// The events of an answer whose `first` chunk is computed already: that it could be is what made the status 200.
pub(crate) fn events<C: Context>(context: C, first: Chunk, head: Head, include_usage: bool) -> impl Stream<Item = Bytes> + Send + 'static {
    let state = State { stage: Stage::Open(context, first), head, include_usage };
    let frames = stream::unfold(state, |mut state| async move {
        let frame = state.advance().await?;
        Some((frame, state))
    });
    // A body may be asked again after its end.
    frames.fuse()
}

impl<C: Context> State<C> {
    /// The next frame, or `None` at the end.
    async fn advance(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => None,
            Stage::Open(mut context, chunk) => {
                // The headers leave now, not with the second chunk.
                context.yield_now().await;
                let mut frame = Vec::new();
                self.event(&mut frame, Delta { role: Some("assistant"), content: Some("") }, None);
                self.frame(frame, context, chunk)
            }
            Stage::Running(mut context) => loop {
                match nn::next(&mut context).await {
                    // Nothing to say yet, such as a half of a character: no frame for it.
                    Ok(chunk) if chunk.text.is_empty() && chunk.ending.is_none() => {}
                    Ok(chunk) => return self.frame(Vec::new(), context, chunk),
                    // The status is long gone: the error is an event, and the missing `[DONE]` says that the answer is not whole.
                    Err(error) => return Some(failure(&error)),
                }
            },
        }
    }

    /// Writes what a chunk says behind what `frame` has, and moves on.
    fn frame(&mut self, mut frame: Vec<u8>, context: C, chunk: Chunk) -> Option<Bytes> {
        if !chunk.text.is_empty() {
            self.event(&mut frame, Delta { content: Some(&chunk.text), ..Delta::default() }, None);
        }
        match chunk.ending {
            None => self.stage = Stage::Running(context),
            Some(ending) => {
                self.event(&mut frame, Delta::default(), Some(&ending.finish_reason));
                if self.include_usage {
                    self.usage(&mut frame, ending.usage());
                }
                frame.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
        Some(frame.into())
    }

    fn event(&self, frame: &mut Vec<u8>, delta: Delta<'_>, finish_reason: Option<&str>) {
        let choices = vec![ChunkChoice { index: 0, delta, logprobs: (), finish_reason }];
        write(frame, &completion::Chunk { head: &self.head, choices, usage: self.include_usage.then_some(None) });
    }

    fn usage(&self, frame: &mut Vec<u8>, usage: Usage) {
        write(frame, &completion::Chunk { head: &self.head, choices: Vec::new(), usage: Some(Some(usage)) });
    }
}

fn write(frame: &mut Vec<u8>, document: &impl Serialize) {
    frame.extend_from_slice(b"data: ");
    // Writing plain structs to memory cannot fail, and JSON has no raw line break that would end the event early.
    let _ = serde_json::to_writer(&mut *frame, document);
    frame.extend_from_slice(b"\n\n");
}

fn failure(error: &ApiError) -> Bytes {
    format!("data: {}\n\n", error.json()).into()
}
