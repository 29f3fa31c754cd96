//! The body that leaves: the handler's, holding what its request holds until it ends or is dropped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, admit::Ticket};

/// A response's body. The [`Ticket`] of its request (permit, activity) goes when the last frame has gone or the body is dropped, whichever is first.
pub(crate) struct ServedBody<B> {
    inner: Inner<B>,
    ticket: Option<Ticket>,
}

enum Inner<B> {
    Handler(Pin<Box<B>>),
    Whole(Option<Bytes>),
}

impl<B> ServedBody<B> {
    pub(crate) fn handler(body: B, ticket: Ticket) -> Self {
        Self { inner: Inner::Handler(Box::pin(body)), ticket: Some(ticket) }
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Inner::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())), ticket: None }
    }
}

impl<B> Body for ServedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = match &mut this.inner {
            Inner::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            // A panic ends this response as an error that the client sees; unwinding further would take the whole connection.
            Inner::Handler(body) => catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)))
                .map(|polled| polled.map_err(Into::into))
                .unwrap_or_else(|_| Poll::Ready(Some(Err("the response's body panicked".into())))),
        };
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.inner = Inner::Whole(None);
            this.ticket = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Handler(body) => body.is_end_stream(),
            Inner::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Handler(body) => body.size_hint(),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
