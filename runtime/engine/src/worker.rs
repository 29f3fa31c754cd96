//! The engine's thread: it owns the loaded models, takes commands between steps, and sleeps when no sequence wants rows.

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

/// What handles tell the thread. A graph or sequence that is gone already is no error: it may have ended on its own.
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

/// Runs until the last handle is gone.
pub(crate) fn run(commands: &Receiver<Command>, published: &Arc<Mutex<Stats>>) {
    let mut worker = Worker { models: BTreeMap::new(), embedders: BTreeMap::new(), counted: Stats::default() };
    loop {
        loop {
            match commands.try_recv() {
                Ok(command) => worker.guarded(|worker| worker.take(command)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let mut worked = false;
        worker.guarded(|worker| worked = worker.step());
        *published.lock().unwrap_or_else(PoisonError::into_inner) = worker.stats();
        if !worked {
            match commands.recv() {
                Ok(command) => worker.guarded(|worker| worker.take(command)),
                Err(_) => return,
            }
        }
    }
}

struct Worker {
    models: BTreeMap<GraphId, Served>,
    embedders: BTreeMap<GraphId, Embedder>,
    /// The counters since the start; those of now stay 0.
    counted: Stats,
}

impl Worker {
    /// Does something of which a bug must not end the thread.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) {
            tracing::error!(reason = panic_message(panic.as_ref()), "the engine's thread went on after a panic");
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
