//! The body of a request: a client's as it comes, within its bounds, or one that the server has whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{Options, limits::Budget};

/// A request's body.
#[derive(Debug)]
pub struct RequestBody(Inner);

#[derive(Debug)]
enum Inner {
    Incoming {
        body: Incoming,
        budget: Budget,
        /// Bytes that may still come.
        left: u64,
    },
    Whole(Option<Bytes>),
}

/// Why a body ended before it was whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection failed, or what came was no HTTP.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// The client sent nothing, or next to nothing, for longer than [`Options::body_timeout`].
    #[error("the client was too slow to send the request's body")]
    Slow,
    /// There is more of it than [`Options::body_bytes`].
    #[error("the request's body is larger than the server takes")]
    Large,
}

impl RequestBody {
    pub(crate) fn incoming(body: Incoming, options: &Options) -> Self {
        Self(Inner::Incoming { body, budget: Budget::new(options.body_timeout), left: options.body_bytes })
    }
}

impl From<String> for RequestBody {
    fn from(body: String) -> Self {
        Self(Inner::Whole(Some(body.into()).filter(|bytes: &Bytes| !bytes.is_empty())))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (body, budget, left) = match &mut self.0 {
            Inner::Incoming { body, budget, left } => (body, budget, left),
            Inner::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            return budget.poll_wait(cx).map(|()| Some(Err(BodyError::Slow)));
        };
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            budget.moved(bytes);
            match left.checked_sub(bytes as u64) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Some(Err(BodyError::Large))),
            }
        }
        Poll::Ready(frame.map(|frame| Ok(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Incoming { body, .. } => body.is_end_stream(),
            Inner::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Incoming { body, .. } => body.size_hint(),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
