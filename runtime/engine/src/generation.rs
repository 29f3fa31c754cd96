//! What a generation needs on the engine's side beyond its tokens: sampler, output, limits and times.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use hearth_kernels::{Ask, Odds, Rule};
use hearth_models::tokenizer::Tokenizer;
use serde::Serialize;

use crate::{
    Error,
    chat::Reader,
    grammar::Constraint,
    logprobs::PromptLogprobs,
    measures::Times,
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
    /// What holds the text, if anything does.
    constraint: Option<Constraint>,
    output: Output,
    /// Control tokens whose text is part of the output's.
    marks: Arc<[u32]>,
    /// How many of the likeliest tokens are told with each, where log-probabilities are.
    logprobs: Option<usize>,
    /// Those of the tokens whose text is not out.
    odds: VecDeque<Odds>,
    prompt_logprobs: Option<PromptLogprobs>,
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
    /// The end after calls of tools.
    ToolCalls,
}

/// The last chunk's `result`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    finish_reason: FinishReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a str>,
    usage: Usage,
    timings: Timings,
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    reasoning_tokens: usize,
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
    /// The generation is over: its last chunk, its result as JSON, and why.
    Ends(Chunk, String, FinishReason),
    /// The generation can't go on.
    Fails(Error),
}

impl Generation {
    /// The generation that `request` asks for after `prompt`, which leaves room for a token in `context`. Without a reader all is text.
    pub(crate) fn new(request: Request, prompt: &[u32], context: usize, asked: Instant, reader: Option<Reader>) -> Self {
        let room = context - prompt.len();
        let logprobs = request.logprobs;
        let (parser, marks) = reader.map_or_else(|| (None, Arc::default()), |reader| (Some(reader.parser), reader.marks));
        Self {
            constraint: None,
            logprobs,
            odds: VecDeque::new(),
            prompt_logprobs: request.prompt_logprobs.map(|top| PromptLogprobs::new(prompt, top)),
            rest: request.max_tokens.unwrap_or(usize::MAX).min(room),
            sampler: Sampler::new(request.sampling, prompt, draw_seed()),
            output: Output::new(request.stop, parser),
            marks,
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

    /// Holds the text to a grammar. No token is guessed then: guesses know nothing of it.
    pub(crate) fn constrain(&mut self, constraint: Constraint) {
        self.constraint = Some(constraint);
        self.guessing = None;
    }

    /// What holds the text.
    pub(crate) fn constraint(&mut self) -> Option<&mut Constraint> {
        self.constraint.as_mut()
    }

    /// What is wanted of the prompt's rows.
    pub(crate) fn prompt_logprobs(&mut self) -> Option<&mut PromptLogprobs> {
        self.prompt_logprobs.as_mut()
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
        self.guessing.as_mut().map_or(0, |guessing| guessing.next(limit.min(self.rest.saturating_sub(1))))
    }

    /// Of `guessed` tokens that were computed the first `accepted` were right.
    pub(crate) fn learn(&mut self, guessed: usize, accepted: usize) {
        if let Some(guessing) = &mut self.guessing {
            guessing.learn(guessed, accepted);
        }
    }

    /// What is wanted of the logits after the tokens that it has and then `guessed`: nothing where no token is to be generated.
    pub(crate) fn ask(&self, guessed: &[u32]) -> Ask {
        match self.rest {
            0 => Ask::Nothing,
            _ => Ask::Token(Rule { odds: self.logprobs, ..self.sampler.rule(guessed) }),
        }
    }

    /// Ends after the prompt, of which more was not wanted.
    pub(crate) fn end_at_once(&mut self) -> Progress {
        self.end(FinishReason::Length)
    }

    /// Takes the next token, with its log-probabilities where they are told.
    pub(crate) fn advance(&mut self, token: u32, odds: Option<Odds>, tokenizer: &Tokenizer) -> Progress {
        let completed = match self.constraint.as_mut().map_or(Ok(false), |constraint| constraint.take(token)) {
            Ok(completed) => completed,
            Err(error) => return Progress::Fails(error),
        };
        self.odds.extend(odds);
        self.sampler.take(token);
        self.first.get_or_insert_with(Instant::now);
        self.generated += 1;
        self.rest -= 1;
        let end = tokenizer.is_end(token);
        // An end token has no text, not even where it is an ordinary one of the vocabulary.
        let bytes = if end { Vec::new() } else { tokenizer.token_bytes(token, self.marks.binary_search(&token).is_ok()) };
        let stopped = self.output.push(token, &bytes) || completed || (end && !self.ignore_end);
        if stopped {
            self.end(FinishReason::Stop)
        } else if self.rest == 0 {
            self.end(FinishReason::Length)
        } else {
            let chunk = self.output.take();
            Progress::Continues(token, chunk.map(|chunk| self.with_logprobs(chunk)))
        }
    }

    /// A chunk with what is to be told of its tokens.
    fn with_logprobs(&mut self, chunk: Chunk) -> Chunk {
        let logprobs = self.logprobs.map(|_| self.odds.drain(..chunk.tokens.len().min(self.odds.len())).collect());
        let prompt_logprobs = self.prompt_logprobs.as_mut().and_then(PromptLogprobs::take);
        Chunk { logprobs, prompt_logprobs, ..chunk }
    }

    fn end(&mut self, finish_reason: FinishReason) -> Progress {
        let Times { queue, prefill, decode, .. } = self.times(Instant::now());
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let chunk = self.output.finish();
        let chunk = self.with_logprobs(chunk);
        let calls = finish_reason == FinishReason::Stop && self.output.stopped_by().is_none() && self.output.has_calls();
        let finish_reason = if calls { FinishReason::ToolCalls } else { finish_reason };
        let summary = Summary {
            finish_reason,
            stop: self.output.stopped_by(),
            usage: Usage {
                prompt_tokens: self.prompt_tokens,
                cached_tokens: self.cached_tokens,
                completion_tokens: self.generated,
                reasoning_tokens: self.output.reasoning_tokens(),
            },
            timings: Timings { queue_ms: ms(queue), prefill_ms: ms(prefill), decode_ms: ms(decode) },
        };
        let summary = serde_json::to_string(&summary).expect("numbers and names are JSON");
        Progress::Ends(chunk, summary, finish_reason)
    }

    /// Where its time went, had it ended `now`.
    pub(crate) fn times(&self, now: Instant) -> Times {
        let begun = self.begun.unwrap_or(now);
        let first = self.first.unwrap_or(now);
        Times {
            queue: begun.duration_since(self.asked),
            prefill: first.duration_since(begun),
            decode: now.duration_since(first),
            prompt_tokens: self.prompt_tokens,
            generated: self.generated,
        }
    }
}
