//! The sequences of one request, most often one, whose chunks are pulled as they come.

use std::{
    pin::Pin,
    task::{Context as Task, Poll},
};

use super::{Answer, Chunk};
use crate::{
    nn::{self, Outputs, Tensors},
    ports::Context,
    told::Told,
    wire::ApiError,
};

/// Sequences of one request that are computed at the same time. Further ones wait here for their turn and take no place in the model's queue.
const TOGETHER: usize = 8;

/// A compute that owns its context: whoever drops it stops the sequence.
type Compute<C> = Pin<Box<dyn Future<Output = (C, Result<Outputs, ApiError>)> + Send>>;

/// The sequences of one request. Dropping it stops them all.
pub(crate) struct Choices<C> {
    running: Vec<Running<C>>,
    /// Which is asked first, so that each gets its turn also where a compute never waits (a synchronous import).
    turn: usize,
    /// How many are computed at the same time.
    together: usize,
    /// A chunk that is there already.
    first: Option<(usize, Chunk)>,
    told: Told,
}

struct Running<C> {
    stage: Stage<C>,
    /// Calls that the answer has opened.
    calls: usize,
    /// Whether the prompt is that of the sequence before.
    is_repeat: bool,
}

enum Stage<C> {
    /// It has not begun.
    Waiting(C, Tensors),
    /// Nothing is asked of it.
    Idle(C),
    /// A chunk is being computed.
    Busy(Compute<C>),
    /// All was said; the context is gone already.
    Ended,
}

impl<C: Context> Choices<C> {
    /// Sequences with their requests, and whether each has the prompt of the one before; of them at most `together` are computed at the same time. Nothing is computed before
    /// it is asked for.
    pub(super) fn start(sequences: Vec<(C, Tensors, bool)>, together: usize, told: Told) -> Self {
        let running = sequences.into_iter().map(|(context, request, is_repeat)| Running {
            stage: Stage::Waiting(context, request),
            calls: 0,
            is_repeat,
        });
        Self { running: running.collect(), turn: 0, together: together.clamp(1, TOGETHER), first: None, told }
    }

    /// What the server is told of the answer so far.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// Waits for a chunk, and keeps it for [`Self::next`].
    pub(super) async fn first(&mut self) -> Result<(), ApiError> {
        self.first = self.next().await.transpose()?;
        Ok(())
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Lets what was written so far leave before the next chunk is computed.
    pub(crate) async fn yield_now(&mut self) {
        for running in &mut self.running {
            if let Stage::Idle(context) = &mut running.stage {
                return context.yield_now().await;
            }
        }
    }

    /// The next chunk of any sequence, with its index; `None` once all have ended. After an error there is nothing more.
    pub(crate) async fn next(&mut self) -> Option<Result<(usize, Chunk), ApiError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let (index, outputs) = std::future::poll_fn(|task| self.poll(task)).await?;
        let calls = &mut self.running[index].calls;
        let chunk = outputs.and_then(|mut outputs| Chunk::read(&mut outputs, calls));
        match &chunk {
            Ok(Chunk { ending: None, .. }) => {}
            Ok(Chunk { ending: Some(ending), .. }) => {
                self.told.add(ending, self.running[index].is_repeat);
                self.running[index].stage = Stage::Ended;
            }
            // One choice that fails is the answer's failure.
            Err(_) => {
                self.told.fail();
                self.running.clear();
            }
        }
        Some(chunk.map(|chunk| (index, chunk)))
    }

    /// Asks all that have not ended for a chunk, and takes the first that is there.
    fn poll(&mut self, task: &mut Task<'_>) -> Poll<Option<(usize, Result<Outputs, ApiError>)>> {
        let count = self.running.len();
        let mut ended = 0;
        let mut begun = self.running.iter().filter(|running| matches!(running.stage, Stage::Idle(_) | Stage::Busy(_))).count();
        for index in (0..count).map(|offset| (self.turn + offset) % count) {
            let stage = &mut self.running[index].stage;
            *stage = match std::mem::replace(stage, Stage::Ended) {
                Stage::Waiting(context, request) if begun < self.together => {
                    begun += 1;
                    Stage::Busy(Box::pin(compute(context, request)))
                }
                Stage::Idle(context) => Stage::Busy(Box::pin(compute(context, Tensors::new()))),
                other => other,
            };
            ended += usize::from(matches!(stage, Stage::Ended));
            let Stage::Busy(compute) = stage else { continue };
            if let Poll::Ready((context, outputs)) = compute.as_mut().poll(task) {
                *stage = Stage::Idle(context);
                self.turn = index + 1;
                return Poll::Ready(Some((index, outputs)));
            }
        }
        if ended == count { Poll::Ready(None) } else { Poll::Pending }
    }

    /// The answers whole, in order, and what the server is told of them.
    pub(crate) async fn whole(mut self) -> Result<(Vec<Answer>, Told), ApiError> {
        let mut answers: Vec<_> = (0..self.count()).map(|_| Answer::default()).collect();
        while let Some(next) = self.next().await {
            let (index, chunk) = next?;
            answers[index].add(chunk);
        }
        Ok((answers, self.told))
    }
}

async fn compute<C: Context>(mut context: C, inputs: Tensors) -> (C, Result<Outputs, ApiError>) {
    let outputs = nn::compute(&mut context, inputs).await;
    (context, outputs)
}
