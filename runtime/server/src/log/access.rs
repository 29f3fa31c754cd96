//! The access line of a request.

use crate::observe::Exchange;

/// Writes it, as an event of the target `access`. The path stands there without its query, and nothing of what was said.
pub(crate) fn access(exchange: &Exchange) {
    let told = &exchange.told;
    let ms = |ms: f64| (ms * 1000.0).round() / 1000.0;
    tracing::info!(
        target: "access",
        request_id = exchange.id,
        peer = exchange.peer.map(tracing::field::display),
        method = exchange.method.as_str(),
        path = exchange.path,
        status = exchange.status.map(|status| status.as_u16()),
        outcome = exchange.outcome.name(),
        duration_ms = ms(exchange.duration().as_secs_f64() * 1000.0),
        bytes = exchange.bytes,
        key = told.key,
        model = told.model,
        prompt_tokens = told.prompt_tokens,
        cached_tokens = told.cached_tokens,
        completion_tokens = told.completion_tokens,
        ttft_ms = told.ttft_ms,
        finish = told.finish,
        "request"
    );
}
