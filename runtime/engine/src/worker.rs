//! What owns the loaded models: it takes commands between steps. A thread runs it, which sleeps when no sequence wants rows; or, where there are no threads, whoever waits
//! for an answer ([`crate::driven`]).

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError},
    },
};

use crate::{
    Stats,
    embedder::{Embedder, Job},
    measures,
    sequence::SequenceId,
    served::{Served, panic_message},
    task::Task,
};

/// The number of a loaded model.
pub(crate) type GraphId = u64;

/// What handles tell the worker. A graph or sequence that is gone already is no error: it may have ended on its own.
#[derive(Debug)]
pub(crate) enum Command {
    /// A model was loaded.
    Serve(GraphId, Box<Served>),
    /// An encoder was loaded.
    ServeEmbedder(GraphId, Box<Embedder>),
    /// The last handle of a model is gone.
    Unload(GraphId),
    /// A new sequence.
    Start(GraphId, SequenceId, Box<Task>),
    /// More tokens for a sequence in tensor mode.
    Append(GraphId, SequenceId, Vec<u32>),
    /// The reader of a paused sequence has made room.
    Resume(GraphId, SequenceId),
    /// Inputs to embed.
    Embed(GraphId, SequenceId, Box<Job>),
    /// The reader is gone.
    Cancel(GraphId, SequenceId),
    /// Tell when all before this is done.
    Settle(std::sync::mpsc::Sender<()>),
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something was computed.
    Worked,
    /// There was nothing to compute.
    Idle,
    /// The last handle is gone.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Worker {
    commands: Receiver<Command>,
    /// Where its counters are read.
    published: Arc<Mutex<Stats>>,
    models: BTreeMap<GraphId, Served>,
    embedders: BTreeMap<GraphId, Embedder>,
    /// The counters since the start; those of now stay 0.
    counted: Stats,
}

impl Worker {
    pub(crate) fn new(commands: Receiver<Command>, published: Arc<Mutex<Stats>>) -> Self {
        Self { commands, published, models: BTreeMap::new(), embedders: BTreeMap::new(), counted: Stats::default() }
    }

    /// Takes turns until the last handle is gone, and sleeps where there is nothing to do.
    pub(crate) fn run(mut self) {
        loop {
            match self.turn() {
                Turn::Worked => {}
                Turn::Idle => match self.commands.recv() {
                    Ok(command) => self.guarded(|worker| worker.take(command)),
                    Err(_) => return,
                },
                Turn::Gone => return,
            }
        }
    }

    /// Takes the commands that there are and computes a step.
    pub(crate) fn turn(&mut self) -> Turn {
        if !self.take_all() {
            return Turn::Gone;
        }
        let mut worked = false;
        self.guarded(|worker| worked = worker.step());
        self.publish();
        if worked { Turn::Worked } else { Turn::Idle }
    }

    /// Takes the commands that there are, and computes nothing.
    pub(crate) fn settle(&mut self) {
        self.take_all();
        self.publish();
    }

    fn publish(&self) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.stats();
    }

    /// Takes the commands that there are. False when the last handle is gone.
    fn take_all(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.guarded(|worker| worker.take(command)),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Does something of which a bug must not end the thread.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) {
            tracing::error!(reason = panic_message(panic.as_ref()), "the engine went on after a panic");
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Serve(graph, served) => {
                self.models.insert(graph, *served);
                self.measure();
            }
            Command::ServeEmbedder(graph, embedder) => {
                self.embedders.insert(graph, *embedder);
                self.measure();
            }
            Command::Unload(graph) => {
                self.models.remove(&graph);
                self.embedders.remove(&graph);
                self.measure();
            }
            Command::Start(graph, id, task) => {
                if let Some(served) = self.models.get_mut(&graph) {
                    served.start(id, *task);
                }
            }
            Command::Append(graph, id, tokens) => {
                if let Some(served) = self.models.get_mut(&graph) {
                    served.append(id, &tokens);
                }
            }
            Command::Resume(graph, id) => {
                if let Some(served) = self.models.get_mut(&graph) {
                    served.resume(id);
                }
            }
            Command::Embed(graph, id, job) => {
                if let Some(embedder) = self.embedders.get_mut(&graph) {
                    embedder.start(id, *job);
                }
            }
            // Whoever asked may be gone.
            Command::Settle(done) => drop(done.send(())),
            Command::Cancel(graph, id) => {
                if let Some(served) = self.models.get_mut(&graph) {
                    served.cancel(id);
                }
                if let Some(embedder) = self.embedders.get_mut(&graph) {
                    embedder.cancel(id);
                }
            }
        }
    }

    fn measure(&self) {
        measures::loaded(self.models.len() + self.embedders.len());
    }

    /// One step of each model that has something to do.
    fn step(&mut self) -> bool {
        let mut worked = false;
        for served in self.models.values_mut() {
            worked |= served.step(&mut self.counted);
        }
        for embedder in self.embedders.values_mut() {
            worked |= embedder.step(&mut self.counted);
        }
        worked
    }

    fn stats(&self) -> Stats {
        let mut stats = self.counted;
        for served in self.models.values() {
            served.count(&mut stats);
        }
        for embedder in self.embedders.values() {
            embedder.count(&mut stats);
        }
        stats
    }
}
