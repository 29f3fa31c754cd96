//! What a key may use: requests and tokens a minute, over counts that several instances may share. (How many answers it may have at the same time is the engine's to hold,
//! `docs/wasi-nn.md`.) Where the counts fail nothing is limited: a chat goes on.
//!
//! A minute is the clock's. Tokens are counted before they are known, by what the prompt's length says; while an answer is made, by those that were made; and at its end by what it
//! was. Counts only grow, so what was counted too much is counted again, as given back.

mod headers;

use http::StatusCode;

use crate::{
    ident,
    ports::{Counters, Ports},
    wire::{ApiError, error::ErrorType},
};

pub(crate) use headers::tell;

const MINUTE: u64 = 60;

/// What was used of a key's limits in this minute; `None` where there is no limit, or no count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    requests: Option<Share>,
    tokens: Option<Share>,
}

/// What was used of one limit.
#[derive(Debug, Clone, Copy)]
struct Share {
    limit: u64,
    used: u64,
    /// Seconds until the minute is over.
    reset: u32,
}

/// Tokens that were counted for one sequence.
#[derive(Debug)]
pub(crate) struct Charge {
    minute: u64,
    tokens: u64,
}

/// Counts a request.
///
/// # Errors
/// 429 where it is one too many.
pub(crate) async fn admit<P: Ports>(ports: &P) -> Result<(), ApiError> {
    let caller = ports.caller();
    let Some(id) = caller.id() else { return Ok(()) };
    let (minute, reset) = clock();
    if let Some(limit) = caller.limits().tokens_per_minute {
        let used = tokens(ports, id, minute, 0).await;
        caller.used().tokens = used.map(|used| Share { limit: limit.into(), used, reset });
    }
    let Some(limit) = caller.limits().requests_per_minute.map(u64::from) else { return Ok(()) };
    let Ok(used) = ports.counters().add(&path(id, "requests", minute), 1).await else { return Ok(()) };
    caller.used().requests = Some(Share { limit, used, reset });
    if used <= limit {
        return Ok(());
    }
    let message = format!("The key's limit of {limit} requests a minute is reached: ask again in {reset} s.");
    Err(exceeded(message, reset))
}

/// Counts the tokens of a sequence that is about to begin, as far as they can be known.
///
/// # Errors
/// 429 where they are more than is left.
pub(crate) async fn charge<P: Ports>(ports: &P, estimate: u64) -> Result<Option<Charge>, ApiError> {
    let caller = ports.caller();
    let (Some(id), Some(limit)) = (caller.id(), caller.limits().tokens_per_minute.map(u64::from)) else { return Ok(None) };
    let (minute, reset) = clock();
    let Some(used) = tokens(ports, id, minute, estimate).await else { return Ok(None) };
    let charge = Charge { minute, tokens: estimate };
    if used <= limit {
        caller.used().tokens = Some(Share { limit, used, reset });
        return Ok(Some(charge));
    }
    charge.settle(ports, 0).await;
    let left = limit.saturating_sub(used - estimate);
    let message = format!(
        "The request has about {estimate} tokens, and {left} are left of the key's limit of {limit} tokens a minute: ask again in {reset} s, or for less."
    );
    Err(exceeded(message, reset))
}

impl Charge {
    /// There are so many tokens by now.
    pub(crate) async fn grow<P: Ports>(&mut self, ports: &P, tokens: u64) {
        if let (Some(id), Some(more)) = (ports.caller().id(), tokens.checked_sub(self.tokens).filter(|more| *more > 0)) {
            // In this minute, which need not be the one in which the answer began.
            let _ = ports.counters().add(&path(id, "tokens", clock().0), more).await;
            self.tokens = tokens;
        }
    }

    /// There were so many tokens in the end.
    pub(crate) async fn settle<P: Ports>(mut self, ports: &P, tokens: u64) {
        self.grow(ports, tokens).await;
        if let (Some(id), Some(less)) = (ports.caller().id(), self.tokens.checked_sub(tokens).filter(|less| *less > 0)) {
            let _ = ports.counters().add(&path(id, "returned", self.minute), less).await;
        }
    }
}

/// Counts `more` tokens. Returns those of the minute; `None` where they cannot be counted.
async fn tokens<P: Ports>(ports: &P, id: &str, minute: u64, more: u64) -> Option<u64> {
    let counted = ports.counters().add(&path(id, "tokens", minute), more).await.ok()?;
    let returned = ports.counters().add(&path(id, "returned", minute), 0).await.ok()?;
    Some(counted.saturating_sub(returned))
}

fn path(id: &str, what: &str, minute: u64) -> String {
    format!("limit/{id}/{what}/{minute}")
}

/// The number of the minute, and the seconds that are left of it.
fn clock() -> (u64, u32) {
    let now = ident::now();
    (now / MINUTE, (MINUTE - now % MINUTE) as u32)
}

/// 429: more than a key's limit.
pub(crate) fn exceeded(message: String, retry_after: u32) -> ApiError {
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, ErrorType::RateLimit, message).code("rate_limit_exceeded");
    ApiError { retry_after: Some(retry_after), ..error }
}
