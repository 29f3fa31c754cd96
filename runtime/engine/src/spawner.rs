//! Work beside the engine's steps, such as loading a model or compiling a grammar: each on a thread of its own, or, in an engine that its callers drive, done by them between
//! two steps.

use std::{fmt, sync::mpsc::Sender, thread};

use crate::Error;

/// A piece of work.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Who does it. Clones are the same.
#[derive(Clone)]
pub(crate) enum Spawner {
    /// Threads that are started for it.
    Threads,
    /// Whoever waits for the engine.
    Callers(Sender<Job>),
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "Threads",
            Self::Callers(_) => "Callers",
        })
    }
}

impl Spawner {
    /// Has `job` done beside the caller, by a thread of this name and size of stack where it is one.
    ///
    /// # Errors
    /// `internal` when no thread can be started.
    pub(crate) fn start(&self, name: &str, stack_bytes: Option<usize>, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        match self {
            Self::Threads => {
                let thread = thread::Builder::new().name(name.into());
                let thread = match stack_bytes {
                    Some(bytes) => thread.stack_size(bytes),
                    None => thread,
                };
                thread.spawn(job).map(drop).map_err(|error| Error::internal(format!("no thread could be started ({name}): {error}")))
            }
            Self::Callers(jobs) => jobs.send(Box::new(job)).map_err(|_| Error::shutting_down()),
        }
    }
}
