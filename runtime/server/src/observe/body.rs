//! The body of an answer whose exchange ends with it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::{Exchange, Outcome, last_word::Form};
use crate::BoxError;

type Cut = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Passes a body on: counts its bytes, takes the trailers that are the server's, and says a last word where the drain ends before it.
pub(crate) struct Observed<B> {
    inner: B,
    exchange: Exchange,
    /// Bytes that will be read of it, where that is known: who has them all drops the body without asking for its end.
    length: Option<u64>,
    /// Its form and the end of the drain; only of streams that have a form.
    stream: Option<(Form, Cut)>,
    /// The last two bytes.
    tail: [u8; 2],
    ended: bool,
}

impl<B: Body> Observed<B> {
    pub(super) fn new(inner: B, exchange: Exchange, form: Option<Form>, length: Option<u64>) -> Self {
        let cut = |form| {
            let mut cut = exchange.cut();
            let cut: Cut = Box::pin(async move {
                if cut.wait_for(|cut| *cut).await.is_err() {
                    std::future::pending().await
                }
            });
            (form, cut)
        };
        let stream = form.filter(|_| !inner.is_end_stream()).map(cut);
        let mut body = Self { inner, exchange, length, stream, tail: [0; 2], ended: false };
        body.look();
        body
    }

    fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.exchange.outcome = outcome;
    }

    /// Notes whether nobody is owed any more of it: it may be dropped then, and that is no breaking off.
    fn look(&mut self) {
        let status = self.exchange.status.unwrap_or_default();
        let bodiless = self.exchange.method == Method::HEAD
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if bodiless || self.inner.is_end_stream() || self.length == Some(self.exchange.bytes) {
            self.exchange.outcome = Outcome::Complete;
        }
    }
}

impl<B> Body for Observed<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some((form, cut)) = &mut this.stream
            && cut.as_mut().poll(cx).is_ready()
        {
            let form = *form;
            this.end(Outcome::Cut);
            return Poll::Ready(Some(match form.is_between(this.tail) {
                true => Ok(Frame::data(form.last_word())),
                false => Err("the server stops in the middle of an event".into()),
            }));
        }
        loop {
            let frame = match std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    this.end(Outcome::Failed);
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.end(Outcome::Complete);
                    return Poll::Ready(None);
                }
            };
            let mut trailers = match frame.into_trailers() {
                Ok(trailers) => trailers,
                Err(frame) => {
                    if let Some(data) = frame.data_ref() {
                        this.exchange.bytes += data.len() as u64;
                        for byte in &data[data.len().saturating_sub(2)..] {
                            this.tail = [this.tail[1], *byte];
                        }
                    }
                    this.look();
                    return Poll::Ready(Some(Ok(frame)));
                }
            };
            this.exchange.told.take(&mut trailers);
            if !trailers.is_empty() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            // The end is asked for as well: with it goes what the request held.
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
