//! What a generation needs on the engine's side beyond its tokens: sampler, output, limits and times.

use std::time::Instant;

use hearth_kernels::Rule;
use hearth_models::tokenizer::Tokenizer;
use serde::Serialize;

use crate::{
    output::{Chunk, Output},
    request::Request,
    rng::draw_seed,
    sampler::Sampler,
    speculation::Guessing,
};

/// A generation that runs or waits.
#[derive(Debug)]
pub(crate) struct Generation {
    sampler: Sampler,
    output: Output,
    ignore_end: bool,
    prompt_tokens: usize,
    /// Tokens of the prompt that the cache had.
    cached_tokens: usize,
    /// How many tokens are worth guessing ahead; `None` where the request wants none.
    guessing: Option<Guessing>,
    /// Tokens that may still be generated.
    rest: usize,
    generated: usize,
    /// When it was asked for, had its first row, and had its first token.
    asked: Instant,
    begun: Option<Instant>,
    first: Option<Instant>,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    /// An end token or a stop string.
    Stop,
    /// As many tokens as asked for, or the end of the context.
    Length,
}

/// The last chunk's `result`.
#[derive(Debug, Serialize)]
struct Summary {
    finish_reason: FinishReason,
    usage: Usage,
    timings: Timings,
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
}

#[derive(Debug, Serialize)]
struct Timings {
    queue_ms: f64,
    prefill_ms: f64,
    decode_ms: f64,
}

/// What a sampled token led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The token is part of the sequence; text is there to hand out, or none yet.
    Continues(u32, Option<Chunk>),
    /// The generation is over: its last chunk, and its result as JSON.
    Ends(Chunk, String),
}

impl Generation {
    /// The generation that `request` asks for after `prompt`, which leaves room for a token in `context`.
    pub(crate) fn new(request: Request, prompt: &[u32], context: usize, asked: Instant) -> Self {
        let room = context - prompt.len();
        Self {
            rest: request.max_tokens.unwrap_or(usize::MAX).min(room),
            sampler: Sampler::new(request.sampling, prompt, draw_seed()),
            output: Output::new(request.stop),
            ignore_end: request.ignore_end,
            prompt_tokens: prompt.len(),
            cached_tokens: 0,
            guessing: request.speculation.then(Guessing::default),
            generated: 0,
            asked,
            begun: None,
            first: None,
        }
    }

    /// Rows from position `from` on are about to be computed; at the first call, what precedes them was in the cache.
    pub(crate) fn begin(&mut self, from: usize) {
        if self.begun.is_none() {
            self.begun = Some(Instant::now());
            self.cached_tokens = from;
        }
    }

    /// How many tokens to guess ahead in this step, at most `limit`. None beyond the last that may be generated.
    pub(crate) fn guesses(&mut self, limit: usize) -> usize {
        self.guessing.as_mut().map_or(0, |guessing| guessing.next(limit.min(self.rest - 1)))
    }

    /// Of `guessed` tokens that were computed the first `accepted` were right.
    pub(crate) fn learn(&mut self, guessed: usize, accepted: usize) {
        if let Some(guessing) = &mut self.guessing {
            guessing.learn(guessed, accepted);
        }
    }

    /// How the next token is to be chosen, after those that it has and then `guessed`.
    pub(crate) fn rule(&self, guessed: &[u32]) -> Rule {
        self.sampler.rule(guessed)
    }

    /// Takes the next token.
    pub(crate) fn advance(&mut self, token: u32, tokenizer: &Tokenizer) -> Progress {
        self.sampler.take(token);
        self.first.get_or_insert_with(Instant::now);
        self.generated += 1;
        self.rest -= 1;
        let end = tokenizer.is_end(token);
        // An end token has no text, not even where it is an ordinary one of the vocabulary.
        let bytes = if end { Vec::new() } else { tokenizer.token_bytes(token, false) };
        let stopped = self.output.push(token, &bytes) || (end && !self.ignore_end);
        if stopped {
            self.end(FinishReason::Stop)
        } else if self.rest == 0 {
            self.end(FinishReason::Length)
        } else {
            Progress::Continues(token, self.output.take())
        }
    }

    fn end(&mut self, finish_reason: FinishReason) -> Progress {
        let now = Instant::now();
        let begun = self.begun.unwrap_or(now);
        let first = self.first.unwrap_or(now);
        let ms = |from: Instant, to: Instant| (to.duration_since(from).as_secs_f64() * 1e6).round() / 1e3;
        let summary = Summary {
            finish_reason,
            usage: Usage { prompt_tokens: self.prompt_tokens, cached_tokens: self.cached_tokens, completion_tokens: self.generated },
            timings: Timings { queue_ms: ms(self.asked, begun), prefill_ms: ms(begun, first), decode_ms: ms(first, now) },
        };
        let summary = serde_json::to_string(&summary).expect("numbers and names are JSON");
        Progress::Ends(self.output.finish(), summary)
    }
}
