//! A loaded model under measurement: one prompt, one sequence, many sequences together.
//!
//! Tokens are random, as llama-bench's are, and new for each measurement, so that no cache of earlier prompts can answer. Prefill goes through tensor mode: no
//! tokenizer, no sampler. Decoding goes through generate mode with greedy sampling, as a chat's does: there the engine itself goes from token to token. In tensor mode each
//! token costs a call and a copied row of logits, and several contexts meet in one batch only by chance.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hearth_engine::{Context, Graph, NamedTensor, Tensor};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

/// A model and a source of tokens.
pub(super) struct Subject {
    graph: Graph,
    vocabulary: usize,
    state: u64,
}

impl Subject {
    /// Computes a little of everything, so that what comes first is not slower than the rest.
    pub(super) async fn warm(graph: Graph) -> anyhow::Result<Self> {
        let mut context = graph.init_execution_context()?;
        let outputs = context.compute(input_ids(&[0])).await?;
        let logits = outputs.into_iter().find(|(name, _)| name == "logits").context("the model gave no logits")?;
        let vocabulary = logits.1.data.len() / size_of::<f32>();
        drop(context);
        let mut subject = Self { graph, vocabulary, state: 0x5eed };
        subject.prefill(64).await?;
        subject.decode(1, 16).await?;
        Ok(subject)
    }

    /// Entries of the vocabulary: numbers in a row of logits.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Tokens a second of one prompt of `length` tokens.
    pub(super) async fn prefill(&mut self, length: usize) -> anyhow::Result<f64> {
        let tokens = self.tokens(length);
        let mut context = self.graph.init_execution_context()?;
        let begun = Instant::now();
        context.compute(input_ids(&tokens)).await?;
        Ok(rate(length, begun.elapsed()))
    }

    /// Tokens a second of one sequence that decodes `length` tokens after `depth` others.
    pub(super) async fn decode(&mut self, depth: usize, length: usize) -> anyhow::Result<f64> {
        let request = self.request(depth, length + 1);
        let mut context = self.graph.init_execution_context()?;
        let mut outputs = context.compute(request).await?;
        loop {
            if let Some(result) = result(&outputs) {
                // The first token is the prefill's; the clock is the engine's, from that token to the last.
                let decode_ms = result["timings"]["decode_ms"].as_f64().context("the result has no time")?;
                let made = result["usage"]["completion_tokens"].as_u64().context("the result has no count")?;
                return Ok((made as f64 - 1.0) / (decode_ms / 1e3));
            }
            outputs = context.compute(Vec::new()).await?;
        }
    }

    /// As [`Self::decode`], in tensor mode: one call and one row of logits a token.
    pub(super) async fn decode_tensors(&mut self, depth: usize, length: usize) -> anyhow::Result<f64> {
        let tokens = self.tokens(depth.max(1) + length);
        let (prompt, rest) = tokens.split_at(depth.max(1));
        let mut context = self.graph.init_execution_context()?;
        context.compute(input_ids(prompt)).await?;
        let begun = Instant::now();
        for token in rest {
            context.compute(input_ids(std::slice::from_ref(token))).await?;
        }
        Ok(rate(length, begun.elapsed()))
    }

    /// Tokens a second of `sequences` together, each after a prompt of `prompt` tokens: from when all decode until they have made `length` tokens each. `at_most` is what
    /// one may make altogether, those before all decode included.
    pub(super) async fn batch(&mut self, sequences: usize, prompt: usize, length: usize, at_most: usize) -> anyhow::Result<f64> {
        let (told, mut made) = mpsc::unbounded_channel();
        let mut readers = JoinSet::new();
        for sequence in 0..sequences {
            let (context, request) = (self.graph.init_execution_context()?, self.request(prompt, at_most));
            readers.spawn(count(context, request, sequence, told.clone()));
        }
        drop(told);
        let measured = steady(&mut made, sequences, length).await;
        // The contexts go with their readers, so that none is left to disturb what comes next.
        readers.shutdown().await;
        measured
    }

    /// A request to continue `depth` random tokens (one at least) by `length` greedily chosen ones, whatever they are.
    fn request(&mut self, depth: usize, length: usize) -> Vec<NamedTensor> {
        let tokens = self.tokens(depth.max(1));
        let request = json!({"tokens": tokens, "max_tokens": length, "ignore_end": true, "sampling": {"temperature": 0}});
        vec![("request".to_owned(), Tensor::from_bytes(request.to_string().into_bytes()))]
    }

    fn tokens(&mut self, count: usize) -> Vec<i32> {
        (0..count).map(|_| (random(&mut self.state) % self.vocabulary.max(1) as u64) as i32).collect()
    }
}

/// How many tokens of which sequence arrived when, or why there are no more.
type Made = anyhow::Result<(usize, usize, Instant)>;

/// Reads a sequence and tells of its tokens.
async fn count(mut context: Context, request: Vec<NamedTensor>, sequence: usize, told: mpsc::UnboundedSender<Made>) {
    let mut inputs = request;
    loop {
        let outputs = match context.compute(std::mem::take(&mut inputs)).await {
            Ok(outputs) => outputs,
            Err(error) => return drop(told.send(Err(error.into()))),
        };
        let tokens = outputs.iter().find(|(name, _)| name == "tokens").map_or(0, |(_, tensor)| tensor.data.len() / size_of::<i32>());
        if told.send(Ok((sequence, tokens, Instant::now()))).is_err() || result(&outputs).is_some() {
            return;
        }
    }
}

/// The rate while all sequences decode: from the moment that each has its first token until `length` more were made for each.
async fn steady(made: &mut mpsc::UnboundedReceiver<Made>, sequences: usize, length: usize) -> anyhow::Result<f64> {
    let mut begun = vec![false; sequences];
    let mut total = 0;
    let mut start = None;
    while let Some(event) = made.recv().await {
        let (sequence, tokens, at) = event?;
        total += tokens;
        begun[sequence] = true;
        match start {
            None if begun.iter().all(|begun| *begun) => start = Some((total, at)),
            Some((before, from)) if total - before >= sequences * length => return Ok(rate(total - before, at - from)),
            _ => {}
        }
    }
    anyhow::bail!("the sequences ended before all {sequences} of them decoded together: ask for more tokens with --generate")
}

fn input_ids(tokens: &[i32]) -> Vec<NamedTensor> {
    vec![("input_ids".to_owned(), Tensor::from_i32(tokens))]
}

fn result(outputs: &[NamedTensor]) -> Option<Value> {
    let (_, tensor) = outputs.iter().find(|(name, _)| name == "result")?;
    serde_json::from_slice(&tensor.data).ok()
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64()
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_time_in_which_all_decode_counts() {
        let zero = Instant::now();
        let at = |seconds: u64| zero + Duration::from_secs(seconds);
        let (told, mut made) = mpsc::unbounded_channel();
        // The first sequence decodes for a while before the second begins, at second 10.
        for event in [(0, 1, at(1)), (0, 5, at(9)), (1, 1, at(10)), (0, 2, at(11)), (1, 2, at(12)), (0, 2, at(13))] {
            told.send(Ok(event)).unwrap();
        }
        assert_eq!(steady(&mut made, 2, 2).await.unwrap(), 2.0, "4 tokens in 2 seconds");
        let (told, mut made) = mpsc::unbounded_channel();
        told.send(Ok((0, 9, at(1)))).unwrap();
        drop(told);
        assert!(steady(&mut made, 2, 2).await.unwrap_err().to_string().contains("--generate"));
    }
}
