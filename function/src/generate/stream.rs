//! A streamed answer: frames that are made only when they are asked for.
//!
//! Each pull computes at most one chunk that has something to say, so that a chunk has left before the next is computed, and the state owns the contexts: whoever drops the
//! body stops the sequences.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Response};
use http_body::Frame;

use super::{Choices, Chunk};
use crate::{Body, ports::Context, respond, told::Told, wire::ApiError};

/// How an API writes a streamed answer. Each call adds to `frame`; what one pull has added leaves together.
pub(crate) trait Frames: Send + 'static {
    /// Before the first chunk.
    fn begin(&mut self, frame: &mut Vec<u8>);

    /// A chunk of the choice `index`. Where it adds nothing, the next chunk is computed at once.
    fn chunk(&mut self, frame: &mut Vec<u8>, index: usize, chunk: Chunk);

    /// After the last chunk of all choices: what has to be done before a client may be told that the answer is whole, such as keeping it.
    fn settle(&mut self) -> impl Future<Output = Result<(), ApiError>> + Send {
        std::future::ready(Ok(()))
    }

    /// After that.
    fn end(&mut self, frame: &mut Vec<u8>);

    /// In place of the rest: the status is long gone, so the error is a frame.
    fn fail(&mut self, frame: &mut Vec<u8>, error: &ApiError);
}

struct State<C, F> {
    /// `None` once all was said.
    choices: Option<Choices<C>>,
    /// What the server is told behind the last frame.
    told: Option<Told>,
    /// Choices that have not ended.
    open: usize,
    frames: F,
    begun: bool,
}

/// An answer whose first chunk is there: that it could be computed is what made the status 200.
pub(crate) fn respond<C: Context, F: Frames>(content_type: &'static str, choices: Choices<C>, frames: F) -> Response<Body> {
    let told = choices.told().clone();
    let mut response = respond::stream(content_type, body(choices, frames));
    told.begin(response.headers_mut());
    response
}

fn body<C: Context, F: Frames>(choices: Choices<C>, frames: F) -> Body {
    let state = State { open: choices.count(), choices: Some(choices), told: None, frames, begun: false };
    let frames = stream::unfold(state, |mut state| async move {
        let frame = state.advance().await?;
        Some((frame, state))
    });
    // A body may be asked again after its end.
    Body::Stream(Box::pin(frames.fuse()))
}

impl<C: Context, F: Frames> State<C, F> {
    /// The next frame, or `None` at the end.
    async fn advance(&mut self) -> Option<Frame<Bytes>> {
        let Some(choices) = &mut self.choices else {
            let mut trailers = HeaderMap::new();
            self.told.take()?.end(&mut trailers);
            return Some(Frame::trailers(trailers));
        };
        let mut frame = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            // The headers leave now, not with the second chunk.
            choices.yield_now().await;
            self.frames.begin(&mut frame);
        }
        loop {
            match choices.next().await {
                Some(Ok((index, chunk))) => {
                    self.open -= usize::from(chunk.ending.is_some());
                    self.frames.chunk(&mut frame, index, chunk);
                    if self.open == 0 {
                        self.told = Some(choices.told().clone());
                        self.choices = None;
                        // With the last chunk and not a pull later: a client may close as soon as it has seen the end.
                        match self.frames.settle().await {
                            Ok(()) => self.frames.end(&mut frame),
                            Err(error) => {
                                self.told.iter_mut().for_each(Told::fail);
                                self.frames.fail(&mut frame, &error);
                            }
                        }
                        return Some(Frame::data(frame.into()));
                    }
                }
                Some(Err(error)) => {
                    self.frames.fail(&mut frame, &error);
                    self.told = Some(choices.told().clone());
                    self.choices = None;
                    return Some(Frame::data(frame.into()));
                }
                None => return None,
            }
            if !frame.is_empty() {
                return Some(Frame::data(frame.into()));
            }
        }
    }
}
