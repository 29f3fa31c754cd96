//! What the engine tells whoever takes measures, through the facade `metrics`: vLLM's names with the prefix `hearth_`. All of it is measured at the engine's steps, not where
//! answers are read. Without a recorder it costs a comparison; with one, some additions a token.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::{Stats, generation::FinishReason};

const RUNNING: &str = "hearth_num_requests_running";
const WAITING: &str = "hearth_num_requests_waiting";
const KV_USAGE: &str = "hearth_kv_cache_usage_perc";
const MODELS: &str = "hearth_models_loaded";
const PROMPT_TOKENS: &str = "hearth_prompt_tokens_total";
const GENERATION_TOKENS: &str = "hearth_generation_tokens_total";
const QUERIES: &str = "hearth_prefix_cache_queries_total";
const HITS: &str = "hearth_prefix_cache_hits_total";
const DRAFTED: &str = "hearth_spec_decode_num_draft_tokens_total";
const ACCEPTED: &str = "hearth_spec_decode_num_accepted_tokens_total";
const PREEMPTIONS: &str = "hearth_num_preemptions_total";
const SUCCESS: &str = "hearth_request_success_total";
const REFUSALS: &str = "hearth_request_refusals_total";
const LOADS: &str = "hearth_model_loads_total";
const TTFT: &str = "hearth_time_to_first_token_seconds";
const INTER_TOKEN: &str = "hearth_inter_token_latency_seconds";
const E2E: &str = "hearth_e2e_request_latency_seconds";
const QUEUE: &str = "hearth_request_queue_time_seconds";
const PREFILL: &str = "hearth_request_prefill_time_seconds";
const DECODE: &str = "hearth_request_decode_time_seconds";
const REQUEST_PROMPT: &str = "hearth_request_prompt_tokens";
const REQUEST_GENERATION: &str = "hearth_request_generation_tokens";
const ITERATION_TOKENS: &str = "hearth_iteration_tokens";
const ITERATION_SEQUENCES: &str = "hearth_iteration_sequences";
const LOAD_TIME: &str = "hearth_model_load_time_seconds";

const SOON: &[f64] = &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const TOKEN: &[f64] = &[0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0];
const LONG: &[f64] = &[0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0];
const TOKENS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0, 100_000.0];
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The engine's histograms and the bounds of their buckets, for whoever installs a recorder.
pub const HISTOGRAMS: &[(&str, &[f64])] = &[
    (TTFT, SOON),
    (INTER_TOKEN, TOKEN),
    (E2E, LONG),
    (QUEUE, LONG),
    (PREFILL, LONG),
    (DECODE, LONG),
    (REQUEST_PROMPT, TOKENS),
    (REQUEST_GENERATION, TOKENS),
    (ITERATION_TOKENS, ROWS),
    (ITERATION_SEQUENCES, ROWS),
    (LOAD_TIME, LONG),
];

/// Says what each is, to the recorder that there is.
pub(crate) fn describe() {
    describe_gauge!(RUNNING, "Requests in the batch.");
    describe_gauge!(WAITING, "Requests that wait for their first turn or for room in the KV cache.");
    describe_gauge!(
        KV_USAGE,
        "Share of the KV cache's blocks that is in use, 0 to 1; what is kept for others that begin alike does not count."
    );
    describe_gauge!(MODELS, "Models that are loaded.");
    describe_counter!(PROMPT_TOKENS, "Tokens of prompts that were computed; those that the prefix cache had are not.");
    describe_counter!(GENERATION_TOKENS, "Tokens that were generated.");
    describe_counter!(QUERIES, "Tokens of requests that were looked up in the prefix cache.");
    describe_counter!(HITS, "Those of them that it had.");
    describe_counter!(DRAFTED, "Guessed tokens that were computed.");
    describe_counter!(ACCEPTED, "Guessed tokens that were the right ones.");
    describe_counter!(PREEMPTIONS, "Requests whose blocks of the KV cache were taken for others, so that they are computed anew.");
    describe_counter!(SUCCESS, "Requests that ended, by reason; abort is a client that went away, error a failure of the model.");
    describe_counter!(REFUSALS, "Requests that were refused: the queue was full, or they had waited too long.");
    describe_counter!(LOADS, "Loads of models, by result.");
    describe_histogram!(TTFT, Unit::Seconds, "From a request to its first token.");
    describe_histogram!(INTER_TOKEN, Unit::Seconds, "Between two tokens of a request.");
    describe_histogram!(E2E, Unit::Seconds, "From a request to its last token.");
    describe_histogram!(QUEUE, Unit::Seconds, "From a request to its first row.");
    describe_histogram!(PREFILL, Unit::Seconds, "From a request's first row to its first token.");
    describe_histogram!(DECODE, Unit::Seconds, "From a request's first token to its last.");
    describe_histogram!(REQUEST_PROMPT, "Tokens of a request's prompt.");
    describe_histogram!(REQUEST_GENERATION, "Tokens that were generated for a request.");
    describe_histogram!(ITERATION_TOKENS, "Tokens computed in a step.");
    describe_histogram!(ITERATION_SEQUENCES, "Requests computed together in a step: the batch's size.");
    describe_histogram!(LOAD_TIME, Unit::Seconds, "How long a model took to load.");
}

/// So many models are loaded.
pub(crate) fn loaded(models: usize) {
    gauge!(MODELS).set(models as f64);
}

/// A load has ended, well or not.
pub(crate) fn load(model: &str, time: Duration, well: bool) {
    let result = if well { "loaded" } else { "failed" };
    counter!(LOADS, "model_name" => model.to_owned(), "result" => result).increment(1);
    if well {
        histogram!(LOAD_TIME, "model_name" => model.to_owned()).record(time.as_secs_f64());
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    QueueFull,
    WaitedTooLong,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished(FinishReason),
    /// Its reader went away.
    Aborted,
    Failed,
}

/// Where a request's time went. What it did not come to is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) queue: Duration,
    pub(crate) prefill: Duration,
    pub(crate) decode: Duration,
    pub(crate) prompt_tokens: usize,
    pub(crate) generated: usize,
}

/// The measures of one model, each looked up once.
#[derive(Debug)]
pub(crate) struct Measures {
    running: Gauge,
    waiting: Gauge,
    kv_usage: Gauge,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    queries: Counter,
    hits: Counter,
    drafted: Counter,
    accepted: Counter,
    preemptions: Counter,
    stop: Counter,
    length: Counter,
    tool_calls: Counter,
    abort: Counter,
    error: Counter,
    queue_full: Counter,
    waited: Counter,
    ttft: Histogram,
    inter_token: Histogram,
    e2e: Histogram,
    queue: Histogram,
    prefill: Histogram,
    decode: Histogram,
    request_prompt: Histogram,
    request_generation: Histogram,
    iteration_tokens: Histogram,
    iteration_sequences: Histogram,
}

impl Measures {
    /// Those of `model`, by its name.
    pub(crate) fn of(model: &str) -> Self {
        let name = || [("model_name", model.to_owned())];
        let with = |label: &'static str, value: &'static str| [("model_name", model.to_owned()), (label, value.to_owned())];
        let success = |reason| counter!(SUCCESS, &with("finished_reason", reason));
        Self {
            running: gauge!(RUNNING, &name()),
            waiting: gauge!(WAITING, &name()),
            kv_usage: gauge!(KV_USAGE, &name()),
            prompt_tokens: counter!(PROMPT_TOKENS, &name()),
            generation_tokens: counter!(GENERATION_TOKENS, &name()),
            queries: counter!(QUERIES, &name()),
            hits: counter!(HITS, &name()),
            drafted: counter!(DRAFTED, &name()),
            accepted: counter!(ACCEPTED, &name()),
            preemptions: counter!(PREEMPTIONS, &name()),
            stop: success("stop"),
            length: success("length"),
            tool_calls: success("tool_calls"),
            abort: success("abort"),
            error: success("error"),
            queue_full: counter!(REFUSALS, &with("reason", "queue_full")),
            waited: counter!(REFUSALS, &with("reason", "waited_too_long")),
            ttft: histogram!(TTFT, &name()),
            inter_token: histogram!(INTER_TOKEN, &name()),
            e2e: histogram!(E2E, &name()),
            queue: histogram!(QUEUE, &name()),
            prefill: histogram!(PREFILL, &name()),
            decode: histogram!(DECODE, &name()),
            request_prompt: histogram!(REQUEST_PROMPT, &name()),
            request_generation: histogram!(REQUEST_GENERATION, &name()),
            iteration_tokens: histogram!(ITERATION_TOKENS, &name()),
            iteration_sequences: histogram!(ITERATION_SEQUENCES, &name()),
        }
    }

    /// A step has made the counters `now` out of those `before`, with so many sequences.
    pub(crate) fn step(&self, before: &Stats, now: &Stats, tokens: usize, sequences: usize) {
        let counted = [
            (&self.prompt_tokens, now.prompt_tokens - before.prompt_tokens),
            (&self.generation_tokens, now.generated_tokens - before.generated_tokens),
            (&self.queries, now.prefix_cache_queries - before.prefix_cache_queries),
            (&self.hits, now.prefix_cache_hits - before.prefix_cache_hits),
            (&self.drafted, now.drafted_tokens - before.drafted_tokens),
            (&self.accepted, now.accepted_tokens - before.accepted_tokens),
            (&self.preemptions, now.preemptions - before.preemptions),
        ];
        for (counter, more) in counted.into_iter().filter(|(_, more)| *more > 0) {
            counter.increment(more);
        }
        if sequences > 0 {
            self.iteration_tokens.record(tokens as f64);
            self.iteration_sequences.record(sequences as f64);
        }
    }

    /// What there is between two steps.
    pub(crate) fn now(&self, running: usize, waiting: usize, blocks_used: usize, blocks_total: usize) {
        self.running.set(running as f64);
        self.waiting.set(waiting as f64);
        self.kv_usage.set(blocks_used as f64 / blocks_total.max(1) as f64);
    }

    /// A request has had its first token.
    pub(crate) fn first_token(&self, after: Duration) {
        self.ttft.record(after.as_secs_f64());
    }

    /// It has had `tokens` more after so long; guesses that were right come together.
    pub(crate) fn tokens(&self, tokens: usize, after: Duration) {
        self.inter_token.record_many(after.as_secs_f64() / tokens as f64, tokens);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        match refusal {
            Refusal::QueueFull => self.queue_full.increment(1),
            Refusal::WaitedTooLong => self.waited.increment(1),
        }
    }

    /// A request has ended. Times are of those that came to their end alone.
    pub(crate) fn ended(&self, ended: Ended, times: Option<Times>) {
        match ended {
            Ended::Finished(FinishReason::Stop) => &self.stop,
            Ended::Finished(FinishReason::Length) => &self.length,
            Ended::Finished(FinishReason::ToolCalls) => &self.tool_calls,
            Ended::Aborted => &self.abort,
            Ended::Failed => &self.error,
        }
        .increment(1);
        if let (Ended::Finished(_), Some(Times { queue, prefill, decode, prompt_tokens, generated })) = (ended, times) {
            self.e2e.record((queue + prefill + decode).as_secs_f64());
            self.queue.record(queue.as_secs_f64());
            self.prefill.record(prefill.as_secs_f64());
            self.request_prompt.record(prompt_tokens as f64);
            // An embedding has none.
            if generated > 0 {
                self.decode.record(decode.as_secs_f64());
                self.request_generation.record(generated as f64);
            }
        }
    }
}

impl Drop for Measures {
    /// What is not loaded has nothing now.
    fn drop(&mut self) {
        self.now(0, 0, 0, 0);
    }
}
