//! The body of a guest's response, as the server sends it: it stops the guest when the client goes away, and turns the clean end of a guest that trapped into an error.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;

use super::state::Progress;

/// A response's body.
#[derive(Debug)]
pub struct GuestBody(Kind);

#[derive(Debug)]
enum Kind {
    /// Of the host itself.
    Full(Option<Bytes>),
    /// Of a guest.
    Guest { inner: WasiBody, left: Option<u64>, outcome: Outcome, progress: Progress, cancel: Cancel },
}

/// A body that ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The guest failed: it trapped, ran out of time or was stopped.
    #[error("the component failed in the middle of its response: {0}")]
    Failed(String),
    /// The guest or the stream to it reported an error.
    #[error("the component's response ended with an error: {0}")]
    Guest(#[source] wasmtime_wasi_http::Error),
}

/// How the guest ended, as far as it is not well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome(Arc<OnceLock<String>>);

impl Outcome {
    /// Must come before the guest's store is dropped: that ends the body.
    pub(crate) fn fail(&self, reason: String) {
        let _ = self.0.set(reason);
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Tells a guest's driver that nobody waits any more, when it is dropped before [`Self::disarm`].
#[derive(Debug)]
pub(crate) struct Cancel(Option<oneshot::Sender<()>>);

impl Cancel {
    pub(crate) fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// The response is complete; what the guest does after it may go on.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

impl GuestBody {
    /// A body that the host itself writes.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    /// `left` are the bytes that will be read of it, where that is known: who has them all drops the body without asking for its end, and that is no cancellation.
    pub(crate) fn guest(inner: WasiBody, left: Option<u64>, outcome: Outcome, progress: Progress, mut cancel: Cancel) -> Self {
        if inner.is_end_stream() || left == Some(0) {
            cancel.disarm();
        }
        Self(Kind::Guest { inner, left, outcome, progress, cancel })
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Guest { inner, left, outcome, progress, cancel } => match std::task::ready!(Pin::new(inner).poll_frame(context)) {
                Some(Ok(frame)) => {
                    progress.made();
                    if let (Some(left), Some(data)) = (left, frame.data_ref()) {
                        *left = left.saturating_sub(data.len() as u64);
                        if *left == 0 {
                            cancel.disarm();
                        }
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                end => {
                    cancel.disarm();
                    Poll::Ready(match (outcome.failure(), end) {
                        (Some(reason), _) => Some(Err(BodyError::Failed(reason.to_owned()))),
                        (None, Some(Err(error))) => Some(Err(BodyError::Guest(error))),
                        (None, _) => None,
                    })
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Guest { inner, outcome, .. } => inner.is_end_stream() && outcome.failure().is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Guest { inner, .. } => inner.size_hint(),
        }
    }
}
