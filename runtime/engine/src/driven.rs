//! An engine without threads, for WebAssembly: it computes while somebody waits for it. A wait takes turns of the worker, which serves every sequence that there is, so that
//! several contexts of one caller are computed together here as well.

use std::{
    fmt,
    pin::pin,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    task::{Context, Poll, Waker},
};

use crate::{
    Engine, EngineOptions, Error, ErrorKind,
    engine::Handler,
    spawner::{Job, Spawner},
    worker::{Turn, Worker},
};

/// What the callers of an engine without threads do in turn.
pub(crate) struct Desk {
    worker: Mutex<Worker>,
    jobs: Mutex<Receiver<Job>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Desk {
    /// Has the worker take its commands.
    pub(crate) fn settle(&self) {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).settle();
    }

    /// Does the oldest job, or a step when there is none. False when there was nothing to do.
    pub(crate) fn turn(&self) -> bool {
        // The lock must not be held by whoever does the job: it may leave another.
        let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
        match job {
            Ok(job) => {
                job();
                true
            }
            Err(_) => self.worker.lock().unwrap_or_else(PoisonError::into_inner).turn() == Turn::Worked,
        }
    }
}

/// An [`Engine`] that computes only in [`Self::wait`], on the thread of whoever calls that. Its models come by [`Engine::offer_model`] and stay until another needs their
/// memory.
#[derive(Debug)]
pub struct DrivenEngine(Engine);

impl DrivenEngine {
    /// Probes the device. No thread is started, and nothing is computed yet.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start(options: EngineOptions) -> Result<Self, Error> {
        let (sender, jobs) = mpsc::channel();
        let engine = Engine::with(options, Spawner::Callers(sender), |worker| {
            Ok(Handler::Callers(Box::new(Desk { worker: Mutex::new(worker), jobs: Mutex::new(jobs) })))
        })?;
        Ok(Self(engine))
    }

    /// Its handle. What is asked of it comes only in [`Self::wait`].
    pub fn engine(&self) -> &Engine {
        &self.0
    }

    /// Computes until `answer`, which this engine must be the one to give, has come.
    ///
    /// # Errors
    /// `queue_full` when everything is done that can be and it has not: what it waits for is held by contexts whose readers have to read on first.
    pub fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut answer = pin!(answer);
        let mut context = Context::from_waker(Waker::noop());
        let mut goes_on = true;
        loop {
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut context) {
                return answer;
            }
            if !goes_on {
                let message = "the model is busy with others of this process, which have to be read on first: try again later";
                return Err(Error::new(ErrorKind::QueueFull, message));
            }
            goes_on = self.0.turn();
        }
    }
}
