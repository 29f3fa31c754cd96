//! What a client is told of its limits, in the header fields that OpenAI's clients read.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Share, Used};

/// Writes the fields.
pub(crate) fn tell(used: &Used, headers: &mut HeaderMap) {
    let requests = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    let tokens = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    for ([limit, remaining, reset], share) in [(requests, used.requests), (tokens, used.tokens)] {
        let Some(Share { limit: most, used, reset: seconds }) = share else { continue };
        headers.insert(HeaderName::from_static(limit), HeaderValue::from(most));
        headers.insert(HeaderName::from_static(remaining), HeaderValue::from(most.saturating_sub(used)));
        if let Ok(span) = HeaderValue::try_from(span(seconds)) {
            headers.insert(HeaderName::from_static(reset), span);
        }
    }
}

/// A span of time as OpenAI writes it, which is Go's way: `1s`, `6m0s`.
fn span(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_does() {
        assert_eq!([0, 1, 59, 60, 360, 61].map(span), ["0s", "1s", "59s", "1m0s", "6m0s", "1m1s"]);
    }
}
