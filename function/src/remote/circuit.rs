//! A circuit breaker: a server that fails again and again is left alone for a time, so that nobody waits for it in vain and it can recover.
//!
//! All it knows are counts by spans of time, which all instances share: an instance of a component lives for one request, or for some. A circuit is open for the rest of a span in
//! which there were [`FAILURES`] failures that no success followed. In the next span one request tries: if it succeeds the circuit is closed, if it fails it is open for that span too.

use sha2::{Digest, Sha256};

use crate::ports::Counters;

/// Failures that open a circuit.
pub(super) const FAILURES: u64 = 3;
/// Seconds of a span.
pub(super) const SPAN: u64 = 30;

/// The circuit of one server.
#[derive(Debug, Clone)]
pub(super) struct Circuit {
    /// The beginning of its counts' keys.
    prefix: String,
}

/// What a circuit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything.
    Closed,
    /// One request, to see.
    HalfOpen,
    /// Nothing.
    Open,
}

/// Of the failures in this span and in the one before, those that no success followed.
fn state(now: u64, before: u64) -> State {
    match (now, before) {
        (FAILURES.., _) => State::Open,
        (_, FAILURES..) => State::HalfOpen,
        _ => State::Closed,
    }
}

/// Leave for one request. What came of it must be told to it.
#[derive(Debug)]
#[must_use]
pub(super) struct Pass {
    /// What its failure counts.
    weight: u64,
    /// Failures that its success makes up for, each with its span.
    owed: [(u64, u64); 2],
}

impl Pass {
    /// For what is yet to come of an answer that has begun.
    pub(super) fn renewed() -> Self {
        Self { weight: 1, owed: [(0, 0); 2] }
    }
}

impl Circuit {
    /// That of the server at `url`.
    pub(super) fn of(url: &str) -> Self {
        let hash = Sha256::digest(url);
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { prefix: format!("fallback/{name}") }
    }

    /// Asks for leave at a time in seconds; without it, the seconds after which to ask again. Where counting fails, all is let through.
    pub(super) async fn admit<C: Counters>(&self, counters: &C, time: u64) -> Result<Pass, u32> {
        let span = time / SPAN;
        let now = self.failures(counters, span).await;
        let before = self.failures(counters, span.saturating_sub(1)).await;
        let pass = |weight| Pass { weight, owed: [(span, now), (span.saturating_sub(1), before)] };
        let tries = match state(now, before) {
            State::Closed => return Ok(pass(1)),
            State::HalfOpen => counters.add(&self.key("tries", span), 1).await.is_ok_and(|tries| tries > 1),
            State::Open => true,
        };
        if tries { Err((SPAN - time % SPAN) as u32) } else { Ok(pass(FAILURES)) }
    }

    /// The request of `pass` failed at a time in seconds.
    pub(super) async fn failed<C: Counters>(&self, counters: &C, pass: &Pass, time: u64) {
        let _ = counters.add(&self.key("failed", time / SPAN), pass.weight).await;
    }

    /// It was answered.
    pub(super) async fn succeeded<C: Counters>(&self, counters: &C, pass: &Pass) {
        for (span, owed) in pass.owed.into_iter().filter(|(_, owed)| *owed > 0) {
            let _ = counters.add(&self.key("forgiven", span), owed).await;
        }
    }

    async fn failures<C: Counters>(&self, counters: &C, span: u64) -> u64 {
        let count = async |what| counters.add(&self.key(what, span), 0).await.unwrap_or(0);
        match count("failed").await {
            0 => 0,
            failed => failed.saturating_sub(count("forgiven").await),
        }
    }

    fn key(&self, what: &str, span: u64) -> String {
        format!("{}/{what}/{span}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        pin::pin,
        sync::Mutex,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::ports::KeyValueError;

    #[derive(Default)]
    struct Counts(Mutex<BTreeMap<String, u64>>);

    impl Counters for Counts {
        async fn add(&self, key: &str, amount: u64) -> Result<u64, KeyValueError> {
            let mut counts = self.0.lock().unwrap();
            let count = counts.entry(key.to_owned()).or_default();
            *count += amount;
            Ok(*count)
        }
    }

    struct Broken;

    impl Counters for Broken {
        async fn add(&self, _: &str, _: u64) -> Result<u64, KeyValueError> {
            Err(KeyValueError { message: "no".into() })
        }
    }

    /// What these futures wait for is there.
    fn block_on<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    /// What becomes of the request: refused for so many seconds, or let through and then well or not.
    fn request(circuit: &Circuit, counts: &Counts, time: u64, well: bool) -> Option<u32> {
        match block_on(circuit.admit(counts, time)) {
            Err(seconds) => return Some(seconds),
            Ok(pass) if well => block_on(circuit.succeeded(counts, &pass)),
            Ok(pass) => block_on(circuit.failed(counts, &pass, time)),
        }
        None
    }

    #[test]
    fn failures_in_a_row_open_it_until_the_span_is_over() {
        let (circuit, counts) = (Circuit::of("http://a"), Counts::default());
        for time in 0..FAILURES {
            assert_eq!(request(&circuit, &counts, time, false), None);
        }
        assert_eq!(request(&circuit, &counts, 10, true), Some(20));
        assert_eq!(request(&circuit, &counts, 29, true), Some(1));
        // Another server's is closed.
        assert_eq!(request(&Circuit::of("http://b"), &counts, 10, true), None);
        // One may try, and the others wait for it.
        let one = block_on(circuit.admit(&counts, 30)).expect("one may try");
        assert_eq!(request(&circuit, &counts, 31, true), Some(29));
        block_on(circuit.succeeded(&counts, &one));
        for _ in 0..5 {
            assert_eq!(request(&circuit, &counts, 32, true), None);
        }
    }

    #[test]
    fn a_try_that_fails_opens_it_again_at_once() {
        let (circuit, counts) = (Circuit::of("http://a"), Counts::default());
        (0..FAILURES).for_each(|_| assert_eq!(request(&circuit, &counts, 0, false), None));
        for span in 1..4 {
            assert_eq!(request(&circuit, &counts, span * SPAN, false), None, "one may try in span {span}");
            assert_eq!(request(&circuit, &counts, span * SPAN + 1, true), Some(29));
        }
        // Whom nobody asked for a whole span, that is asked as if nothing had been.
        assert_eq!(request(&circuit, &counts, 10 * SPAN, true), None);
        assert_eq!(request(&circuit, &counts, 10 * SPAN, true), None);
    }

    #[test]
    fn a_success_makes_up_for_failures() {
        let (circuit, counts) = (Circuit::of("http://a"), Counts::default());
        for _ in 0..10 {
            (1..FAILURES).for_each(|_| assert_eq!(request(&circuit, &counts, 5, false), None));
            assert_eq!(request(&circuit, &counts, 5, true), None);
        }
    }

    #[test]
    fn where_counting_fails_all_is_let_through() {
        let circuit = Circuit::of("http://a");
        for _ in 0..10 {
            let pass = block_on(circuit.admit(&Broken, 0)).expect("let through");
            block_on(circuit.failed(&Broken, &pass, 0));
        }
    }
}
