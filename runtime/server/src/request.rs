//! The body of a request: a client's as it comes, within its bounds, or one that the server has whole. And what becomes of the rest of one that nobody reads.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT},
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::{Options, limits::Budget};

/// The most that is read, in bytes, of a body that nobody wanted.
const REST: usize = 64 * 1024;
/// How long it is read.
const READING: Duration = Duration::from_secs(1);

/// A request's body.
#[derive(Debug)]
pub struct RequestBody(Inner);

#[derive(Debug)]
enum Inner {
    Incoming {
        body: Coming,
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
    /// The body as it comes, and what is left of it when the request is answered.
    pub(crate) fn incoming(body: Incoming, options: &Options) -> (Self, Rest) {
        let rest = Rest(Arc::new(Mutex::new(if body.is_end_stream() { Left::Nothing } else { Left::Held })));
        let body = Coming { body: Some(body), rest: rest.0.clone() };
        (Self(Inner::Incoming { body, budget: Budget::new(options.body_timeout), left: options.body_bytes }), rest)
    }
}

/// What a client sends, until someone has read it to its end; dropped before, it is left as the rest.
#[derive(Debug)]
struct Coming {
    /// There until the drop.
    body: Option<Incoming>,
    rest: Arc<Mutex<Left>>,
}

impl Coming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || body.is_end_stream() {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Left::Nothing;
        }
        frame
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*rest, Left::Held)
            && let Some(body) = self.body.take()
        {
            *rest = Left::Body(body);
        }
    }
}

/// The rest of a request's body, which nobody has read.
#[derive(Debug)]
pub(crate) struct Rest(Arc<Mutex<Left>>);

#[derive(Debug)]
enum Left {
    /// It was read to its end, or the request had no body.
    Nothing,
    /// Its reader has it still.
    Held,
    /// Its reader dropped it.
    Body(Incoming),
}

impl Rest {
    /// Keeps the connection of an answered request usable. In HTTP/1.1 the next request stands behind the body of this one: a rest that is small and comes at once is
    /// read, and behind any other the client is told that the connection ends, so that it sends nothing more there.
    pub(crate) async fn settle<B>(self, asked: &Asked, response: &mut Response<B>) {
        let left = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Left::Nothing);
        let whole = match left {
            Left::Nothing => true,
            // HTTP/2 has a stream for each request, and what follows an upgrade is no request.
            _ if asked.version > Version::HTTP_11 || response.status() == StatusCode::SWITCHING_PROTOCOLS => true,
            // The client waits for a word before it sends its body, and gets another.
            Left::Body(body) => !asked.waits && timeout(READING, read(body)).await == Ok(true),
            Left::Held => false,
        };
        if !whole {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// How a request was sent.
#[derive(Debug)]
pub(crate) struct Asked {
    version: Version,
    /// For 100 Continue.
    waits: bool,
}

impl Asked {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self { version: request.version(), waits: request.headers().contains_key(EXPECT) }
    }
}

/// Reads up to [`REST`] bytes; whether that was all.
async fn read(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while bytes <= REST {
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return false,
            None => return true,
        }
    }
    false
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
        let Poll::Ready(frame) = body.poll_frame(cx) else {
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
            Inner::Incoming { body, .. } => body.body.as_ref().is_none_or(Body::is_end_stream),
            Inner::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Incoming { body, .. } => body.body.as_ref().map_or_else(SizeHint::default, Body::size_hint),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
