//! A model on the engine's thread: its sequences' tokens and work, its scheduler and its runner. `step()` = schedule, run, sample, deliver.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use hearth_kernels::Batch;
use hearth_models::tokenizer::Tokenizer;

use crate::{
    Error, ErrorKind, Stats,
    delivery::{Delivery, Event},
    generation::{Generation, Progress},
    runner::Runner,
    scheduler::{Scheduler, Slice},
    sequence::SequenceId,
};

/// A sequence's tokens, what is done with its logits, and whom they go to.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) tokens: Vec<u32>,
    /// The first this many tokens were given, not generated.
    pub(crate) given: usize,
    pub(crate) work: Work,
    pub(crate) delivery: Delivery,
}

/// The two modes of a context.
#[derive(Debug)]
pub(crate) enum Work {
    /// Sample, and go on until the end.
    Generate(Box<Generation>),
    /// Hand the logits over, and wait for more tokens.
    Tensor,
}

/// A loaded model with its sequences.
#[derive(Debug)]
pub(crate) struct Served {
    runner: Runner,
    scheduler: Scheduler,
    tokenizer: Tokenizer,
    tasks: HashMap<SequenceId, Task>,
}

impl Served {
    pub(crate) fn new(runner: Runner, scheduler: Scheduler, tokenizer: Tokenizer) -> Self {
        Self { runner, scheduler, tokenizer, tasks: HashMap::new() }
    }

    /// Takes a new sequence, or tells its reader that the queue is full.
    pub(crate) fn start(&mut self, id: SequenceId, task: Task) {
        if self.scheduler.add(id, task.tokens.len()) {
            self.tasks.insert(id, task);
        } else {
            let message = "the model is busy and its queue is full: try again later";
            task.delivery.send(Event::Failed(Error::new(ErrorKind::QueueFull, message)));
        }
    }

    /// Adds tokens to a sequence in tensor mode.
    pub(crate) fn append(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.tokens.extend_from_slice(tokens);
            task.given = task.tokens.len();
            self.scheduler.append(id, tokens.len());
        }
    }

    /// The reader of a paused sequence has made room.
    pub(crate) fn resume(&mut self, id: SequenceId) {
        self.scheduler.pause(id, false);
    }

    /// The sequence's reader is gone, or it has ended.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.scheduler.remove(id);
        self.tasks.remove(&id);
    }

    /// Computes one step and counts it in `stats`. False when there was nothing to do.
    pub(crate) fn step(&mut self, stats: &mut Stats) -> bool {
        let slices = self.scheduler.schedule();
        if slices.is_empty() {
            return false;
        }
        stats.steps += 1;
        // A panic of a kernel or a network ends the sequences that were computed, not the thread that serves all the others.
        match catch_unwind(AssertUnwindSafe(|| self.compute(&slices, stats))) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.fail(&slices, &reason),
            Err(panic) => self.fail(&slices, panic_message(panic.as_ref())),
        }
        true
    }

    /// Adds what it has now to the counters.
    pub(crate) fn count(&self, stats: &mut Stats) {
        stats.running += self.scheduler.running();
        stats.waiting += self.scheduler.waiting();
        stats.blocks_used += self.scheduler.blocks().used();
        stats.blocks_total += self.scheduler.blocks().total();
    }

    fn compute(&mut self, slices: &[Slice], stats: &mut Stats) -> Result<(), String> {
        let batch = self.batch(slices, stats);
        let mut logits = self.runner.run(&batch)?;
        self.scheduler.commit(slices);
        let rows = logits.chunks_exact_mut(self.runner.vocabulary());
        for (slice, row) in slices.iter().filter(|slice| slice.last).zip(rows) {
            self.deliver(slice.id, row, stats);
        }
        Ok(())
    }

    /// The tokens of `slices`, and where each belongs.
    fn batch(&mut self, slices: &[Slice], stats: &mut Stats) -> Batch {
        let mut batch = Batch::default();
        for (sequence, slice) in slices.iter().enumerate() {
            let task = self.tasks.get_mut(&slice.id).expect("a scheduled sequence has its task");
            if let Work::Generate(generation) = &mut task.work {
                generation.begin();
            }
            let positions = slice.from..slice.from + slice.count;
            stats.prompt_tokens += positions.len().min(task.given.saturating_sub(slice.from)) as u64;
            batch.tokens.extend_from_slice(&task.tokens[positions.clone()]);
            batch.positions.extend(positions.map(|position| position as u32));
            batch.sequences.extend(std::iter::repeat_n(sequence as u32, slice.count));
            batch.tables.push(self.scheduler.table(slice.id).to_vec());
            if slice.last {
                batch.outputs.push(batch.tokens.len() as u32 - 1);
            }
        }
        if batch.outputs.is_empty() {
            // Nobody needs logits in the midst of a prompt, but no network needs to know what to do with none: one row is computed and left.
            batch.outputs.push(batch.tokens.len() as u32 - 1);
        }
        batch
    }

    /// Does with a sequence's logits what its mode asks for.
    fn deliver(&mut self, id: SequenceId, logits: &mut [f32], stats: &mut Stats) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let listening = match &mut task.work {
            Work::Tensor => task.delivery.send(Event::Logits(task.tokens.len(), logits.to_vec())),
            Work::Generate(generation) => match generation.advance(logits, &self.tokenizer) {
                Some(Progress::Continues(token, chunk)) => {
                    stats.generated_tokens += 1;
                    task.tokens.push(token);
                    self.scheduler.append(id, 1);
                    chunk.is_none_or(|chunk| task.delivery.send(Event::Chunk(chunk)))
                }
                Some(Progress::Ends(chunk, result)) => {
                    stats.generated_tokens += 1;
                    task.delivery.send(Event::End(chunk, result));
                    false
                }
                None => {
                    let message = "the model's logits are not numbers: its weights are damaged, or its numbers overflowed";
                    task.delivery.send(Event::Failed(Error::internal(message)));
                    false
                }
            },
        };
        if !listening {
            self.remove(id);
        } else if task.delivery.must_pause() {
            self.scheduler.pause(id, true);
        }
    }

    /// Ends the sequences of a step that failed. The others are computed anew, as the cache may be anything.
    fn fail(&mut self, slices: &[Slice], reason: &str) {
        tracing::error!(reason, sequences = slices.len(), "a step failed");
        for slice in slices {
            if let Some(task) = self.tasks.get(&slice.id) {
                task.delivery.send(Event::Failed(Error::internal(format!("the model failed to compute: {reason}"))));
            }
            self.remove(slice.id);
        }
        self.scheduler.evict_all();
        if catch_unwind(AssertUnwindSafe(|| self.runner.reset())).is_err() {
            tracing::error!("the KV cache could not be allocated anew");
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked without a message")
}
