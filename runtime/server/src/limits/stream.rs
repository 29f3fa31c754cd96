//! The streams of an HTTP/2 connection, whose clients must take their answers too.
//!
//! Each stream has a window of its own: a client that never opens it holds a request's permit while the socket under it looks well. A stream's future is polled where
//! its response's body is; so the body notes, beside that future, whether it is the client who owes, and the future stops when that takes too long.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Budget;

tokio::task_local! {
    static STREAM: Arc<Account>;
}

/// What the body of a stream tells the stream's future.
#[derive(Debug, Default)]
struct Account {
    /// There is something to send, and the client does not make room for it.
    owes: AtomicBool,
    /// Bytes taken since this was last asked.
    taken: AtomicUsize,
}

/// A stream's future; ends early, which resets the stream, when its client takes nothing for longer than the limit.
pub(crate) struct Paced<F> {
    future: Pin<Box<F>>,
    account: Arc<Account>,
    budget: Budget,
}

impl<F> Paced<F> {
    pub(crate) fn new(future: F, limit: Duration) -> Self {
        Self { future: Box::pin(future), account: Arc::default(), budget: Budget::new(limit) }
    }
}

impl<F: Future> Future for Paced<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if STREAM.sync_scope(Arc::clone(&this.account), || this.future.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        let (owes, taken) = (this.account.owes.load(Ordering::Relaxed), this.account.taken.swap(0, Ordering::Relaxed));
        if !owes || taken > 0 {
            this.budget.moved(taken);
        }
        if owes && this.budget.poll_wait(cx).is_ready() {
            tracing::debug!("ended a stream whose client does not take its answer");
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// A body that keeps the account of its stream, where it has one.
pub(crate) struct Owed<B> {
    body: B,
    account: Option<Arc<Account>>,
    /// Bytes given out that the client has not been seen to take.
    given: usize,
}

impl<B: Body> Owed<B> {
    pub(crate) fn new(body: B) -> Self {
        let account = STREAM.try_with(Arc::clone).ok();
        if let Some(account) = &account {
            account.owes.store(!body.is_end_stream(), Ordering::Relaxed);
        }
        Self { body, account, given: 0 }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Owed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Some(account) = &this.account {
            // Whoever asks for more has taken what was there before.
            account.taken.fetch_add(std::mem::take(&mut this.given), Ordering::Relaxed);
            if let Poll::Ready(Some(Ok(frame))) = &polled {
                this.given = frame.data_ref().map_or(0, Bytes::len);
            }
            account.owes.store(matches!(polled, Poll::Ready(Some(Ok(_)))), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
