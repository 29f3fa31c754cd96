//! A model on the engine's thread: its sequences' tasks, its scheduler and its runner. `step()` = schedule, run, sample, deliver.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use hearth_kernels::{Answer, Ask, Batch};
use hearth_models::tokenizer::Tokenizer;

use crate::{
    Error, ErrorKind, Stats,
    delivery::Event,
    grammar,
    logprobs::PROMPT_ROWS,
    measures::{Ended, Measures, Refusal},
    runner::Runner,
    scheduler::{Scheduler, Slice},
    sequence::SequenceId,
    speculation::{Drafter, Want},
    task::{Next, Outcome, Task, Work},
};

/// The bounds that aren't the scheduler's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long a sequence may wait for its first rows; 0 is forever.
    pub(crate) max_wait: Duration,
    /// Tokens that are guessed ahead of a sequence at most.
    pub(crate) speculation: usize,
}

/// A step's rows and what is wanted of them.
#[derive(Debug, Default)]
struct Asked {
    batch: Batch,
    /// One for each of the batch's outputs.
    asks: Vec<Ask>,
    /// How many of them are of a prompt's rows, for each slice; they come before its others.
    prompt_rows: Vec<usize>,
    /// Which of them is for a sequence's next token.
    rows: HashMap<SequenceId, usize>,
}

/// A loaded model with its sequences.
#[derive(Debug)]
pub(crate) struct Served {
    runner: Runner,
    scheduler: Scheduler,
    tokenizer: Tokenizer,
    drafter: Box<dyn Drafter>,
    bounds: Bounds,
    tasks: HashMap<SequenceId, Task>,
    measures: Measures,
}

impl Served {
    pub(crate) fn new(
        runner: Runner,
        scheduler: Scheduler,
        tokenizer: Tokenizer,
        drafter: Box<dyn Drafter>,
        bounds: Bounds,
        measures: Measures,
    ) -> Self {
        Self { runner, scheduler, tokenizer, drafter, bounds, tasks: HashMap::new(), measures }
    }

    /// Takes a new sequence, or tells its reader that the queue is full or its client has enough already.
    pub(crate) fn start(&mut self, id: SequenceId, mut task: Task) {
        if !task.claim.allows(self.scheduler.of_client(task.claim.client)) {
            task.delivery.send(Event::Failed(client_busy()));
        } else if self.scheduler.add(id, task.claim.client, &task.tokens) {
            if task.wants_prompt_rows() {
                self.scheduler.want_all_rows(id, PROMPT_ROWS);
            }
            self.tasks.insert(id, task);
        } else {
            self.measures.refused(Refusal::QueueFull);
            task.delivery.send(Event::Failed(queue_full()));
        }
    }

    /// Adds tokens to a sequence in tensor mode.
    pub(crate) fn append(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.tokens.extend_from_slice(tokens);
            task.given = task.tokens.len();
            self.scheduler.append(id, tokens);
        }
    }

    /// The reader of a paused sequence has made room.
    pub(crate) fn resume(&mut self, id: SequenceId) {
        self.scheduler.pause(id, false);
    }

    /// The sequence's reader is gone; it may have ended before.
    pub(crate) fn cancel(&mut self, id: SequenceId) {
        self.end(id, Ended::Aborted, Instant::now());
    }

    fn remove(&mut self, id: SequenceId) {
        self.scheduler.remove(id);
        self.drafter.forget(id);
        self.tasks.remove(&id);
    }

    /// Computes one step and counts it in `stats`. False when there was nothing to do.
    pub(crate) fn step(&mut self, stats: &mut Stats) -> bool {
        let before = *stats;
        // Whoever waits does so for a step: between two is often enough to look.
        self.expire(Instant::now());
        let mut slices = self.scheduler.schedule();
        let lookups = self.scheduler.take_lookups();
        stats.prefix_cache_queries += lookups.tokens;
        stats.prefix_cache_hits += lookups.found;
        stats.preemptions += self.scheduler.take_preemptions();
        if slices.is_empty() {
            self.measures.step(&before, stats, 0, 0);
            return false;
        }
        stats.steps += 1;
        // A panic of a kernel or a network ends the sequences that were computed, not the thread that serves all the others.
        match catch_unwind(AssertUnwindSafe(|| self.compute(&mut slices, stats))) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.fail(&slices, &reason),
            Err(panic) => self.fail(&slices, panic_message(panic.as_ref())),
        }
        let tokens = slices.iter().map(|slice| slice.count + slice.guesses).sum();
        self.measures.step(&before, stats, tokens, slices.len());
        true
    }

    /// Adds what it has now to the counters.
    pub(crate) fn count(&self, stats: &mut Stats) {
        let (running, waiting, blocks) = (self.scheduler.running(), self.scheduler.waiting(), self.scheduler.blocks());
        self.measures.now(running, waiting, blocks.used(), blocks.total());
        stats.running += running;
        stats.waiting += waiting;
        stats.blocks_used += blocks.used();
        stats.blocks_cached += blocks.cached();
        stats.blocks_total += blocks.total();
    }

    /// Refuses the sequences that have waited too long for their first rows.
    fn expire(&mut self, now: Instant) {
        let max_wait = self.bounds.max_wait;
        if max_wait.is_zero() {
            return;
        }
        let waited = |id: &SequenceId| self.tasks.get(id).is_some_and(|task| now.duration_since(task.asked) > max_wait);
        let late: Vec<SequenceId> = self.scheduler.unbegun().filter(waited).collect();
        for id in late {
            self.measures.refused(Refusal::WaitedTooLong);
            self.tasks[&id].delivery.send(Event::Failed(expired(max_wait)));
            self.remove(id);
        }
    }

    fn compute(&mut self, slices: &mut [Slice], stats: &mut Stats) -> Result<(), String> {
        self.draft(slices)?;
        let Asked { batch, asks, prompt_rows, rows } = self.batch(slices, stats);
        let constraints = self.tasks.iter_mut().filter_map(|(id, task)| Some((*rows.get(id)?, task.constraint()?))).collect();
        let answers = grammar::beside(constraints, |masks| self.runner.run(&batch, asks, masks));
        let mut answers = answers?.into_iter();
        self.scheduler.commit(slices);
        let now = Instant::now();
        for (slice, prompt_rows) in slices.iter().zip(prompt_rows) {
            let known: Vec<Answer> = answers.by_ref().take(prompt_rows).collect();
            let answers = answers.by_ref().take(if slice.last { 1 + slice.guesses } else { 0 }).collect();
            let Some(task) = self.tasks.get_mut(&slice.id) else { continue };
            if !known.into_iter().all(|answer| task.keep(answer)) {
                self.end(slice.id, Ended::Failed, now);
            } else if slice.last {
                self.deliver(slice, answers, stats, now);
            }
        }
        Ok(())
    }

    /// Guesses how sequences go on, as far as the step has room for it.
    fn draft(&mut self, slices: &mut [Slice]) -> Result<(), String> {
        let limit = self.bounds.speculation.min(self.scheduler.spare());
        if limit == 0 {
            return Ok(());
        }
        let mut guessing = Vec::new();
        for (at, slice) in slices.iter().enumerate().filter(|(_, slice)| slice.last) {
            if let Some(Task { work: Work::Generate(generation), .. }) = self.tasks.get_mut(&slice.id) {
                guessing.push((at, generation.guesses(limit)));
            }
        }
        guessing.retain(|(_, most)| *most > 0);
        let want = |&(at, most): &(usize, usize)| {
            let id = slices[at].id;
            Want { id, tokens: &self.tasks[&id].tokens, most, draft: Vec::new() }
        };
        let mut wants: Vec<Want<'_>> = guessing.iter().map(want).collect();
        self.drafter.draft(&mut wants)?;
        let drafts: Vec<Vec<u32>> = wants.into_iter().map(|want| want.draft).collect();
        for ((at, most), mut draft) in guessing.into_iter().zip(drafts) {
            draft.truncate(most);
            self.scheduler.guess(&mut slices[at], draft.len());
            draft.truncate(slices[at].guesses);
            self.tasks.get_mut(&slices[at].id).expect("looked up above").draft = draft;
        }
        Ok(())
    }

    /// The tokens of `slices`, where each belongs, and what is wanted of the outputs.
    fn batch(&mut self, slices: &[Slice], stats: &mut Stats) -> Asked {
        let Asked { mut batch, mut asks, mut prompt_rows, mut rows } = Asked::default();
        for (sequence, slice) in slices.iter().enumerate() {
            let task = self.tasks.get_mut(&slice.id).expect("a scheduled sequence has its task");
            if let Work::Generate(generation) = &mut task.work {
                generation.begin(slice.from);
            }
            let end = slice.from + slice.count;
            let first = batch.tokens.len();
            let wanted = task.prompt_asks(slice.from, end);
            prompt_rows.push(wanted.len());
            for (row, ask) in wanted {
                // The last row's logits are wanted for what may follow.
                debug_assert!(row < end - usize::from(slice.last));
                batch.outputs.push((first + row - slice.from) as u32);
                asks.push(ask);
            }
            stats.prompt_tokens += slice.count.min(task.given.saturating_sub(slice.from)) as u64;
            stats.drafted_tokens += slice.guesses as u64;
            batch.tokens.extend_from_slice(&task.tokens[slice.from..end]);
            batch.tokens.extend_from_slice(&task.draft[..slice.guesses]);
            batch.positions.extend((slice.from..end + slice.guesses).map(|position| position as u32));
            batch.sequences.extend(std::iter::repeat_n(sequence as u32, slice.count + slice.guesses));
            batch.tables.push(self.scheduler.table(slice.id).to_vec());
            if slice.last {
                let end = batch.tokens.len() as u32;
                batch.outputs.extend(end - 1 - slice.guesses as u32..end);
                rows.insert(slice.id, asks.len());
                asks.extend((0..=slice.guesses).map(|guessed| task.ask(guessed)));
            }
        }
        if batch.outputs.is_empty() {
            // Nobody needs logits in the midst of a prompt, but no network needs to know what to do with none: one row is computed and left.
            batch.outputs.push(batch.tokens.len() as u32 - 1);
            asks.push(Ask::Nothing);
        }
        Asked { batch, asks, prompt_rows, rows }
    }

    /// Hands on the answer after a sequence's last token, then those after each of its guesses, as long as the guess before them was right.
    fn deliver(&mut self, slice: &Slice, answers: Vec<Answer>, stats: &mut Stats, now: Instant) {
        let (mut accepted, mut tokens) = (0, 0);
        let (mut goes_on, mut how) = (Next::Continues, None);
        for answer in answers {
            let Some(task) = self.tasks.get_mut(&slice.id) else { return };
            let Outcome { token, generated, next, ended } = task.deliver(answer, &self.tokenizer);
            tokens += usize::from(generated);
            (goes_on, how) = (next, ended);
            let guessed = token.is_some() && task.draft[..slice.guesses].get(accepted).copied() == token;
            if let Some(token) = token {
                self.scheduler.append(slice.id, &[token]);
            }
            if next != Next::Continues || !guessed {
                break;
            }
            self.scheduler.accept(slice.id);
            accepted += 1;
        }
        stats.generated_tokens += tokens as u64;
        stats.accepted_tokens += accepted as u64;
        self.measure(slice.id, tokens, now);
        match goes_on {
            Next::Ends => self.end(slice.id, how.unwrap_or(Ended::Aborted), now),
            // Its right guesses are left as well: there is no room to tell what follows them.
            Next::Pauses => self.scheduler.pause(slice.id, true),
            Next::Continues => {
                if let Some(Task { work: Work::Generate(generation), .. }) = self.tasks.get_mut(&slice.id) {
                    generation.learn(slice.guesses, accepted);
                }
            }
        }
    }

    /// Measures the tokens that a step has brought a generation.
    fn measure(&mut self, id: SequenceId, tokens: usize, now: Instant) {
        let Some(task) = self.tasks.get_mut(&id).filter(|_| tokens > 0) else { return };
        match task.last.replace(now) {
            None => self.measures.first_token(now.duration_since(task.asked)),
            Some(last) => self.measures.tokens(tokens, now.duration_since(last)),
        }
    }

    /// Measures a generation whose last event was handed over, and forgets the sequence.
    fn end(&mut self, id: SequenceId, how: Ended, now: Instant) {
        if let Some(Task { work: Work::Generate(generation), .. }) = self.tasks.get(&id) {
            self.measures.ended(how, Some(generation.times(now)));
        }
        self.remove(id);
    }

    /// Ends the sequences of a step that failed. The others are computed anew, as the cache may be anything.
    fn fail(&mut self, slices: &[Slice], reason: &str) {
        tracing::error!(reason, sequences = slices.len(), "a step failed");
        for slice in slices {
            if let Some(task) = self.tasks.get(&slice.id) {
                task.delivery.send(Event::Failed(Error::internal(format!("the model failed to compute: {reason}"))));
            }
            self.end(slice.id, Ended::Failed, Instant::now());
        }
        self.scheduler.lose_cache();
        let reset = || {
            self.runner.reset();
            self.drafter.reset();
        };
        if catch_unwind(AssertUnwindSafe(reset)).is_err() {
            tracing::error!("the KV cache could not be allocated anew");
        }
    }
}

/// Why a request is not taken.
pub(crate) fn queue_full() -> Error {
    Error::new(ErrorKind::QueueFull, "the model is busy and its queue is full: try again later")
}

/// Why a request is not taken though there is room.
pub(crate) fn client_busy() -> Error {
    let message = "as many requests of this client are being answered as its limit is: wait for one to end, or stop one";
    Error::new(ErrorKind::ClientBusy, message)
}

/// Why a request that was taken is not begun any more.
pub(crate) fn expired(max_wait: Duration) -> Error {
    let message = format!("the model is busy: the request has waited {} s without a turn: try again later", max_wait.as_secs_f64());
    Error::new(ErrorKind::QueueFull, message)
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked without a message")
}
