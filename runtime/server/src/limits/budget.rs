//! How long a client may keep the server waiting.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

/// Bytes that a client must move for each second that it keeps the server waiting. The slowest of mobile networks are faster.
const RATE: u64 = 1024;

/// Time to wait for a client. It runs only while the client owes something, and each byte that moves earns a little of it back, up to the limit. So neither silence
/// nor a byte now and then holds what a request holds, and one who is slow but honest is never cut off.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: Duration,
    left: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Budget {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, left: limit, since: None, timer: None }
    }

    /// Waits for the client; ready when nothing is left.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset((now + self.left).into()),
                None => self.timer = Some(Box::pin(sleep(self.left))),
            }
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }

    /// The client owes nothing any more, or `bytes` less.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / RATE);
        self.left = self.left.saturating_add(earned).min(self.limit);
    }
}
