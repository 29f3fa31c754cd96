//! An encoder on the engine's thread, with the requests for its embeddings: a batch of inputs at a time, layer by layer. `step()` = choose, compute, deliver.
//!
//! Inputs are chosen round robin over clients, one at a time, and each client's in order of arrival, so that one who sends a thousand keeps nobody from having one
//! embedded. As no input's bits depend on the others of its batch, it does not matter which they are.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use burn::tensor::Tensor;
use hearth_models::arch::Encoder;
use serde_json::json;

use crate::{
    Error, Stats,
    delivery::{Delivery, Event},
    generation::FinishReason,
    measures::{Ended, Measures, Refusal, Times},
    sequence::{Claim, Client, SequenceId},
    served::{client_busy, expired, panic_message, queue_full},
};

/// Rows of a batch, unless a single input has more: enough for a matrix product to be at its full speed. A step computes so many through all layers, or more of them
/// through fewer: so sequences that decode on the same thread wait no longer for it than for a prompt's chunk.
const BATCH_ROWS: usize = 128;

/// A request's inputs, and the embeddings that it has already.
#[derive(Debug)]
pub(crate) struct Job {
    claim: Claim,
    inputs: Vec<Vec<u32>>,
    /// The first so many inputs are or were in a batch.
    begun: usize,
    done: usize,
    /// `[inputs, width]`.
    embeddings: Vec<f32>,
    delivery: Delivery,
    asked: Instant,
    first: Option<Instant>,
}

impl Job {
    /// A request that came at `asked`.
    pub(crate) fn new(claim: Claim, inputs: Vec<Vec<u32>>, delivery: Delivery, asked: Instant) -> Self {
        Self { claim, inputs, begun: 0, done: 0, embeddings: Vec::new(), delivery, asked, first: None }
    }

    fn tokens(&self) -> usize {
        self.inputs.iter().map(Vec::len).sum()
    }

    /// Where its time went: what other requests call prefill is all of the computing.
    fn times(&self, now: Instant) -> Times {
        let first = self.first.unwrap_or(now);
        Times {
            queue: first.duration_since(self.asked),
            prefill: now.duration_since(first),
            decode: Duration::ZERO,
            prompt_tokens: self.tokens(),
            generated: 0,
        }
    }

    /// The last chunk's `result`.
    fn result(&self) -> String {
        let (first, now) = (self.first.unwrap_or(self.asked), Instant::now());
        let ms = |from: Instant, to: Instant| (to.duration_since(from).as_secs_f64() * 1e6).round() / 1e3;
        let timings = json!({"queue_ms": ms(self.asked, first), "compute_ms": ms(first, now)});
        json!({"usage": {"prompt_tokens": self.tokens()}, "timings": timings}).to_string()
    }
}

/// An input: its request, and its number there.
type Place = (SequenceId, usize);

/// Inputs on their way through the layers.
#[derive(Debug)]
struct Batch {
    places: Vec<Place>,
    lengths: Vec<usize>,
    /// `None` in the step in which they were chosen.
    rows: Option<Tensor<2>>,
    /// The next layer.
    layer: usize,
}

/// A loaded encoder with its requests.
#[derive(Debug)]
pub(crate) struct Embedder {
    encoder: Box<dyn Encoder>,
    /// Requests that may be here.
    most: usize,
    /// How long one may wait for its first input to be begun; 0 is forever.
    max_wait: Duration,
    jobs: HashMap<SequenceId, Job>,
    /// Whose turn it is, and the requests of each with inputs to begin, in order of arrival.
    turns: VecDeque<(Client, VecDeque<SequenceId>)>,
    batch: Option<Batch>,
    measures: Measures,
}

impl Embedder {
    pub(crate) fn new(encoder: Box<dyn Encoder>, most: usize, max_wait: Duration, measures: Measures) -> Self {
        Self { encoder, most, max_wait, jobs: HashMap::new(), turns: VecDeque::new(), batch: None, measures }
    }

    /// Takes a request, or tells its reader that the queue is full or its client has enough already.
    pub(crate) fn start(&mut self, id: SequenceId, mut job: Job) {
        if self.jobs.len() >= self.most {
            self.measures.refused(Refusal::QueueFull);
            job.delivery.send(Event::Failed(queue_full()));
            return;
        }
        if !job.claim.allows(self.jobs.values().filter(|other| other.claim.client == job.claim.client).count()) {
            job.delivery.send(Event::Failed(client_busy()));
            return;
        }
        job.embeddings = vec![0.0; job.inputs.len() * self.encoder.width()];
        match self.turns.iter_mut().find(|(client, _)| *client == job.claim.client) {
            Some((_, waiting)) => waiting.push_back(id),
            None => self.turns.push_back((job.claim.client, VecDeque::from([id]))),
        }
        self.jobs.insert(id, job);
    }

    /// The request's reader is gone; it may have ended before.
    pub(crate) fn cancel(&mut self, id: SequenceId) {
        if self.jobs.contains_key(&id) {
            self.measures.ended(Ended::Aborted, None);
        }
        self.remove(id);
    }

    fn remove(&mut self, id: SequenceId) {
        if self.jobs.remove(&id).is_some() {
            self.turns.iter_mut().for_each(|(_, waiting)| waiting.retain(|other| *other != id));
            self.turns.retain(|(_, waiting)| !waiting.is_empty());
        }
        // Nor is computed what nobody waits for any more.
        self.batch.take_if(|batch| !batch.places.iter().any(|(id, _)| self.jobs.contains_key(id)));
    }

    /// Computes one step and counts it in `stats`. False when there was nothing to do.
    pub(crate) fn step(&mut self, stats: &mut Stats) -> bool {
        self.expire(Instant::now());
        let before = *stats;
        let Some(batch) = self.batch.take().or_else(|| self.choose(stats)) else { return false };
        stats.steps += 1;
        let (places, rows) = (batch.places.clone(), batch.lengths.iter().sum());
        // A panic of a kernel or a network ends the requests that were computed, not the thread that serves all the others.
        match catch_unwind(AssertUnwindSafe(|| self.compute(batch))) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.fail(&places, &reason),
            Err(panic) => self.fail(&places, panic_message(panic.as_ref())),
        }
        self.measures.step(&before, stats, rows, places.len());
        true
    }

    /// Adds what it has now to the counters.
    pub(crate) fn count(&self, stats: &mut Stats) {
        let running = self.jobs.values().filter(|job| job.begun > 0).count();
        let waiting = self.jobs.len() - running;
        self.measures.now(running, waiting, 0, 0);
        stats.running += running;
        stats.waiting += waiting;
    }

    /// Refuses the requests that have waited too long for their first input to be begun.
    fn expire(&mut self, now: Instant) {
        let waited = |job: &Job| job.begun == 0 && now.duration_since(job.asked) > self.max_wait;
        if self.max_wait.is_zero() {
            return;
        }
        let late: Vec<SequenceId> = self.jobs.iter().filter(|(_, job)| waited(job)).map(|(id, _)| *id).collect();
        for id in late {
            self.measures.refused(Refusal::WaitedTooLong);
            self.jobs[&id].delivery.send(Event::Failed(expired(self.max_wait)));
            self.remove(id);
        }
    }

    /// The next inputs in turn. `None` when there are none.
    fn choose(&mut self, stats: &mut Stats) -> Option<Batch> {
        let (mut places, mut lengths, mut rows) = (Vec::new(), Vec::new(), 0);
        while let Some((client, mut waiting)) = self.turns.pop_front() {
            let id = waiting[0];
            let job = self.jobs.get_mut(&id).expect("who has a turn is here");
            let length = job.inputs[job.begun].len();
            if rows > 0 && rows + length > BATCH_ROWS {
                self.turns.push_front((client, waiting));
                break;
            }
            rows += length;
            places.push((id, job.begun));
            lengths.push(length);
            job.first.get_or_insert_with(Instant::now);
            job.begun += 1;
            if job.begun == job.inputs.len() {
                waiting.pop_front();
            }
            if !waiting.is_empty() {
                self.turns.push_back((client, waiting));
            }
        }
        stats.prompt_tokens += rows as u64;
        (rows > 0).then_some(Batch { places, lengths, rows: None, layer: 0 })
    }

    fn compute(&mut self, mut batch: Batch) -> Result<(), String> {
        let layers = self.encoder.layers();
        let mut rows = match batch.rows.take() {
            Some(rows) => rows,
            None => {
                let inputs: Vec<Vec<u32>> = batch.places.iter().map(|(id, number)| self.jobs[id].inputs[*number].clone()).collect();
                self.encoder.embed(&inputs)
            }
        };
        let together = (BATCH_ROWS * layers / batch.lengths.iter().sum::<usize>()).max(1);
        let end = layers.min(batch.layer + together);
        for layer in batch.layer..end {
            rows = self.encoder.layer(layer, rows, &batch.lengths);
        }
        if end < layers {
            self.batch = Some(Batch { rows: Some(rows), layer: end, ..batch });
            return Ok(());
        }
        let embeddings = self.encoder.pool(rows, &batch.lengths).try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
        let width = self.encoder.width();
        if embeddings.len() != batch.places.len() * width {
            return Err(format!("the network returned {} numbers in place of {}", embeddings.len(), batch.places.len() * width));
        }
        for (place, embedding) in batch.places.iter().zip(embeddings.chunks_exact(width)) {
            self.deliver(*place, embedding);
        }
        Ok(())
    }

    /// Keeps an embedding, and hands a request's on when it has all.
    fn deliver(&mut self, (id, number): Place, embedding: &[f32]) {
        // Who is gone wants none.
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !embedding.iter().all(|number| number.is_finite()) {
            let message = "the model's embeddings are not numbers: its weights are damaged, or its numbers overflowed";
            job.delivery.send(Event::Failed(Error::internal(message)));
            self.measures.ended(Ended::Failed, None);
            return self.remove(id);
        }
        job.embeddings[number * embedding.len()..][..embedding.len()].copy_from_slice(embedding);
        job.done += 1;
        if job.done == job.inputs.len() {
            let result = job.result();
            let times = job.times(Instant::now());
            let embeddings = std::mem::take(&mut job.embeddings);
            job.delivery.send(Event::Embeddings(embeddings, embedding.len(), result));
            self.measures.ended(Ended::Finished(FinishReason::Stop), Some(times));
            self.remove(id);
        }
    }

    /// Ends the requests of a batch that failed.
    fn fail(&mut self, places: &[Place], reason: &str) {
        tracing::error!(reason, inputs = places.len(), "a step failed");
        for (id, _) in places {
            if let Some(job) = self.jobs.get(id) {
                let message = format!("the model failed to compute: {reason}");
                job.delivery.send(Event::Failed(Error::internal(message)));
                self.measures.ended(Ended::Failed, None);
            }
            self.remove(*id);
        }
    }
}
