//! The body that leaves: the handler's, holding what its request holds until it ends or is dropped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use crate::{BoxError, Handler, RequestBody, admit::Ticket};

/// The body of a handler's response.
pub(crate) type HandlerBody = UnsyncBoxBody<Bytes, BoxError>;

/// A handler without its type, so that what serves it is compiled once and not for each.
pub(crate) trait Answers: Send + Sync {
    /// As [`Handler::handle`].
    fn answer(&self, request: Request<RequestBody>) -> BoxFuture<'_, Response<HandlerBody>>;
}

impl<H: Handler> Answers for H {
    fn answer(&self, request: Request<RequestBody>) -> BoxFuture<'_, Response<HandlerBody>> {
        Box::pin(async { self.handle(request).await.map(|body| body.map_err(Into::into).boxed_unsync()) })
    }
}

/// A response's body. The [`Ticket`] of its request (permit, activity) goes when the last frame has gone or the body is dropped, whichever is first.
pub(crate) struct ServedBody {
    inner: Inner,
    ticket: Option<Ticket>,
}

enum Inner {
    Handler(HandlerBody),
    Whole(Option<Bytes>),
}

impl ServedBody {
    pub(crate) fn handler(body: HandlerBody, ticket: Ticket) -> Self {
        Self { inner: Inner::Handler(body), ticket: Some(ticket) }
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Inner::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())), ticket: None }
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = match &mut this.inner {
            Inner::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            // A panic ends this response as an error that the client sees; unwinding further would take the whole connection.
            Inner::Handler(body) => catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)))
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
