//! What an answer cost: OpenAI's counts of tokens, and llama.cpp's times.

use serde::Serialize;

use crate::generate::{Counts, Ending};

/// Tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptTokensDetails,
    completion_tokens_details: CompletionTokensDetails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct PromptTokensDetails {
    /// Those that were not computed again.
    cached_tokens: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct CompletionTokensDetails {
    reasoning_tokens: u64,
}

impl Usage {
    /// Of all answers to a request together, in their order: `n` to each prompt, which counts once.
    pub(crate) fn of<'a>(endings: impl Iterator<Item = &'a Ending>, n: u32) -> Self {
        let mut sum = Counts::default();
        for (index, Ending { usage, .. }) in endings.enumerate() {
            if index % n as usize == 0 {
                sum.prompt_tokens = sum.prompt_tokens.saturating_add(usage.prompt_tokens);
                sum.cached_tokens = sum.cached_tokens.saturating_add(usage.cached_tokens);
            }
            sum.completion_tokens = sum.completion_tokens.saturating_add(usage.completion_tokens);
            sum.reasoning_tokens = sum.reasoning_tokens.saturating_add(usage.reasoning_tokens);
        }
        Self {
            prompt_tokens: sum.prompt_tokens,
            completion_tokens: sum.completion_tokens,
            total_tokens: sum.prompt_tokens.saturating_add(sum.completion_tokens),
            prompt_tokens_details: PromptTokensDetails { cached_tokens: sum.cached_tokens },
            completion_tokens_details: CompletionTokensDetails { reasoning_tokens: sum.reasoning_tokens },
        }
    }
}

/// Times of a request, with llama.cpp's names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Timings {
    queue_ms: f64,
    cache_n: u64,
    prompt_n: u64,
    prompt_ms: f64,
    prompt_per_second: f64,
    predicted_n: u64,
    predicted_ms: f64,
    predicted_per_second: f64,
}

impl From<&Ending> for Timings {
    fn from(ending: &Ending) -> Self {
        let Ending { usage, timings, .. } = ending;
        let prompt_n = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        let per_second = |count: u64, ms: f64| if ms > 0.0 { count as f64 * 1000.0 / ms } else { 0.0 };
        Self {
            queue_ms: timings.queue_ms,
            cache_n: usage.cached_tokens,
            prompt_n,
            prompt_ms: timings.prefill_ms,
            prompt_per_second: per_second(prompt_n, timings.prefill_ms),
            predicted_n: usage.completion_tokens,
            predicted_ms: timings.decode_ms,
            predicted_per_second: per_second(usage.completion_tokens, timings.decode_ms),
        }
    }
}
