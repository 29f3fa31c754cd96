//! The engine's handle: models by name, and what serves them.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use hearth_kernels::KvType;
use hearth_models::{Model, Quantization};
use tokio::sync::{oneshot, watch};

use crate::{
    Error, ErrorKind, Graph,
    device::{self, Chosen},
    driven::Desk,
    graphs::{Graphs, Load, LoadState, Wanted},
    measures, memory,
    spawner::Spawner,
    worker::{Command, GraphId, Worker},
};

/// Which device to compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU when there is one (not a software renderer), else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU through wgpu, a software renderer included; fails where there is none.
    Gpu,
}

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads of the CPU kernels; 0 takes the physical cores.
    pub threads: usize,
    /// The longest context of a sequence, in tokens; 0 takes the model's own.
    pub context: usize,
    /// Sequences computed together at most; further ones wait in the queue.
    pub sequences: usize,
    /// Requests that may wait. Further ones are refused as `queue_full`.
    pub queue: usize,
    /// How long a request may wait for its first turn, after which it is refused as `queue_full`; 0 lets it wait forever. It is looked at between steps. A request that
    /// has begun is never refused.
    pub max_wait: Duration,
    /// Keep the KV-cache blocks of prompts and answers after their sequences have gone, as long as nobody needs the room, and share them among sequences that begin
    /// alike. No text depends on it; how soon a first token comes does, by which somebody could find out whether another has sent the same beginning.
    pub prefix_cache: bool,
    /// Tokens to guess ahead of each sequence that decodes, at most, from what followed the same words earlier in its own text (prompt lookup); 0 guesses none. No text
    /// depends on it. Guesses take rows of a step that nobody else wants: worth it where an answer repeats its prompt (editing, extraction, code) and few
    /// sequences run, so that a step of a few more rows takes hardly longer. 4 to 8 are usual. A request can do without by `"speculation": false`.
    pub speculation: usize,
    /// A small model with the same vocabulary that guesses in place of prompt lookup, for each model that [`Engine::add_model`] adds. With it a `speculation` of 0 is
    /// [`Self::DRAFT_TOKENS`].
    pub draft_model: Option<ModelFile>,
    /// How the KV cache keeps keys and values: [`KvType::Q8_0`] has room for almost twice as many tokens, at a small loss of precision.
    pub kv_type: KvType,
    /// Bytes for the KV cache of one model; 0 lets the engine choose from the free memory.
    pub kv_bytes: u64,
    /// How long a model of [`Engine::offer_model`] stays loaded without being used; 0 is until another needs its memory.
    pub unload_after: Duration,
    /// Largest model that [`Engine::load`] takes, in bytes.
    pub load_cap: u64,
    /// How the weights of Hugging Face's folders are quantized as they are loaded; `None` leaves them as they are. GGUF files come as they shall be.
    pub quantize: Option<Quantization>,
}

impl EngineOptions {
    /// Tokens that a draft model guesses ahead where nobody says how many.
    pub const DRAFT_TOKENS: usize = 4;
}

/// A model's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its sha256 (hexadecimal), verified by the caller, if it has one: then its repacked weights are kept beside it for the next start.
    pub sha256: Option<String>,
}

impl Default for EngineOptions {
    /// Everything chosen by the engine; 32 sequences together, 64 waiting for up to two minutes, blocks shared, nothing guessed, models on demand unloaded after five minutes
    /// without use, and loading by bytes up to 1 GiB.
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            threads: 0,
            context: 0,
            sequences: 32,
            queue: 64,
            max_wait: Duration::from_secs(120),
            prefix_cache: true,
            speculation: 0,
            draft_model: None,
            kv_type: KvType::F16,
            kv_bytes: 0,
            unload_after: Duration::from_secs(300),
            load_cap: 1 << 30,
            quantize: None,
        }
    }
}

/// Counters for tests and metrics, all since the start unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sequences in the batch now.
    pub running: usize,
    /// Sequences that wait now.
    pub waiting: usize,
    /// KV blocks in use now.
    pub blocks_used: usize,
    /// KV blocks now that nobody uses, kept for whoever begins with the same tokens. Whoever needs an empty block takes one of them when no other is left.
    pub blocks_cached: usize,
    /// KV blocks altogether.
    pub blocks_total: usize,
    /// Steps computed.
    pub steps: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens of sequences that were looked up in the prefix cache, each sequence once, when it was admitted.
    pub prefix_cache_queries: u64,
    /// Those of them that the prefix cache had, so that they needn't be computed.
    pub prefix_cache_hits: u64,
    /// Guessed tokens that were computed.
    pub drafted_tokens: u64,
    /// Those of them that were the right ones.
    pub accepted_tokens: u64,
    /// Sequences whose KV blocks were taken for others, so that they were computed anew or will be.
    pub preemptions: u64,
}

/// The engine. Clones share it; when the last handle, graph and context are gone its thread ends.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Shared>);

/// Who has the worker.
#[derive(Debug)]
pub(crate) enum Handler {
    /// A thread.
    Thread,
    /// Whoever waits for the engine.
    Callers(Box<Desk>),
}

/// What handles and loaders share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) device: Chosen,
    pub(crate) commands: Sender<Command>,
    pub(crate) spawner: Spawner,
    handler: Handler,
    /// Held while a model is loaded.
    pub(crate) loading: Mutex<()>,
    graphs: Mutex<Graphs>,
    stats: Arc<Mutex<Stats>>,
    graph_ids: AtomicU64,
}

impl Shared {
    pub(crate) fn graphs(&self) -> MutexGuard<'_, Graphs> {
        self.graphs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when all commands so far have been taken, or there is nobody to take them.
    pub(crate) fn settle(&self) {
        match &self.handler {
            Handler::Callers(desk) => desk.settle(),
            Handler::Thread => {
                let (done, settled) = mpsc::channel();
                if self.commands.send(Command::Settle(done)).is_ok() {
                    let _ = settled.recv();
                }
            }
        }
    }

    pub(crate) fn next_graph(&self) -> GraphId {
        self.graph_ids.fetch_add(1, Ordering::Relaxed)
    }
}

impl Engine {
    /// Probes the device and starts the engine's thread.
    ///
    /// # Errors
    /// When a GPU was demanded and none was found: what was probed.
    pub fn start(options: EngineOptions) -> Result<Self, Error> {
        let rest = options.unload_after;
        let spawner = Spawner::Threads;
        let engine = Self::with(options, spawner.clone(), |worker| {
            spawner.start("hearth-engine", None, move || worker.run())?;
            Ok(Handler::Thread)
        })?;
        if !rest.is_zero() {
            let shared = Arc::downgrade(&engine.0);
            spawner.start("hearth-unload", None, move || unload_rested(&shared, rest))?;
        }
        Ok(engine)
    }

    /// Probes the device and gives the worker to `handle`.
    pub(crate) fn with(
        options: EngineOptions,
        spawner: Spawner,
        handle: impl FnOnce(Worker) -> Result<Handler, Error>,
    ) -> Result<Self, Error> {
        measures::describe();
        let device = device::choose(options.device, options.threads)?;
        let (commands, received) = mpsc::channel();
        let stats = Arc::new(Mutex::new(Stats::default()));
        let handler = handle(Worker::new(received, stats.clone()))?;
        let (loading, graphs, graph_ids) = (Mutex::new(()), Mutex::default(), AtomicU64::new(0));
        Ok(Self(Arc::new(Shared { options, device, commands, spawner, handler, loading, graphs, stats, graph_ids })))
    }

    /// In an engine without threads, does a job or a step. False when there was nothing to do.
    pub(crate) fn turn(&self) -> bool {
        match &self.0.handler {
            Handler::Thread => false,
            Handler::Callers(desk) => desk.turn(),
        }
    }

    /// What it computes on and why, for people: "CPU (AVX512-VNNI, 2 threads): no GPU found".
    pub fn device_description(&self) -> String {
        self.0.device.description.clone()
    }

    /// Bytes that are free for weights and KV caches where it computes, if that is known.
    pub fn free_memory(&self) -> Option<u64> {
        self.0.device.memory.free(0)
    }

    /// Begins loading the GGUF or the Hugging Face folder at `path` as `name` and returns at once: until it is done [`Self::load_by_name`] answers `loading`. It stays
    /// loaded. A name that is there already is loaded anew. With a file's `sha256` (hexadecimal, verified by the caller) its repacked weights are kept beside it for the
    /// next start.
    pub fn add_model(&self, name: &str, path: PathBuf, sha256: Option<String>) {
        let file = ModelFile { path, sha256 };
        self.0.graphs().add(name, Some(file), true, LoadState::Absent);
        let wanted = self.0.graphs().want(name, false);
        if let Ok(Wanted::Load(load)) = wanted {
            self.load_file(load);
        }
    }

    /// As [`Self::add_model`], but it is loaded when it is first wanted, and unloaded after [`EngineOptions::unload_after`] or when another model needs its memory.
    pub fn offer_model(&self, name: &str, path: PathBuf, sha256: Option<String>) {
        self.0.graphs().add(name, Some(ModelFile { path, sha256 }), false, LoadState::Absent);
    }

    /// Loads beside the engine's steps.
    fn load_file(&self, load: Load) {
        let shared = self.0.clone();
        let slot = Arc::new(Mutex::new(Some(load)));
        let loader = slot.clone();
        let take = |slot: &Mutex<Option<Load>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let spawned = self.0.spawner.start("hearth-load", None, move || {
            let Some(load) = take(&loader) else { return };
            let begun = Instant::now();
            let loaded = shared.load_making_room(&load.file, &load.name);
            measures::load(&load.name, begun.elapsed(), loaded.is_ok());
            if let Err(error) = &loaded {
                tracing::error!(model = load.name, %error, "loading failed");
            }
            shared.graphs().end(load, loaded);
        });
        if let Err(error) = spawned
            && let Some(load) = take(&slot)
        {
            self.0.graphs().end(load, Err(error));
        }
    }

    /// Serves a model that is loaded already as `name`, with a draft model or without. They must lie on this engine's device.
    ///
    /// # Errors
    /// `load_failed` when the KV cache does not fit, or the two have not the same vocabulary.
    pub fn add_loaded(&self, name: &str, model: Model, draft: Option<Model>) -> Result<Graph, Error> {
        let graph = self.0.serve(name, model, draft, None)?;
        self.0.graphs().add(name, None, true, LoadState::Ready(graph.clone()));
        Ok(graph)
    }

    /// Loads a GGUF that is in memory as a whole and serves it as `name`.
    ///
    /// # Errors
    /// `load_failed`, `out_of_memory`.
    pub fn add_bytes(&self, name: &str, bytes: &[u8]) -> Result<Graph, Error> {
        self.add_loaded(name, self.0.model(bytes)?, None)
    }

    /// Waits until `name` is loaded or has failed; begins it where it is loaded on demand.
    ///
    /// # Errors
    /// `load_failed` or `out_of_memory` with the reason, or `model_not_found`.
    pub async fn ready(&self, name: &str) -> Result<Graph, Error> {
        loop {
            let state = match self.want(name) {
                Ok(Ok(graph)) => return Ok(graph),
                Ok(Err(state)) => state,
                Err(Error { kind: ErrorKind::Loading, .. }) => self.0.graphs().watch(name)?,
                Err(error) => return Err(error),
            };
            settled(name, state).await?;
        }
    }

    /// wasi-nn's `load-by-name`. Waits for a model that is loaded on demand, and for no other.
    ///
    /// # Errors
    /// `model_not_found`, `loading`, `load_failed`, `out_of_memory`.
    pub async fn load_by_name(&self, name: &str) -> Result<Graph, Error> {
        loop {
            match self.want(name)? {
                Ok(graph) => return Ok(graph),
                Err(state) => settled(name, state).await?,
            }
        }
    }

    /// The model, or what to wait for.
    fn want(&self, name: &str) -> Result<Result<Graph, watch::Receiver<LoadState>>, Error> {
        let wanted = self.0.graphs().want(name, true)?;
        Ok(match wanted {
            Wanted::Here(graph) => Ok(graph),
            Wanted::Coming(state) => Err(state),
            Wanted::Load(load) => {
                let state = load.watch();
                self.load_file(load);
                Err(state)
            }
        })
    }

    /// wasi-nn's `load`: a GGUF by its bytes, shared by hash.
    ///
    /// # Errors
    /// `model_too_large`, `unsupported_encoding`, `load_failed`.
    pub async fn load(&self, bytes: Vec<u8>) -> Result<Graph, Error> {
        if bytes.len() as u64 > self.0.options.load_cap {
            let (size, cap) = (memory::size(bytes.len() as u64), memory::size(self.0.options.load_cap));
            return Err(Error::new(
                ErrorKind::ModelTooLarge,
                format!("the model has {size}, the host takes at most {cap}: load it by name"),
            ));
        }
        if !bytes.starts_with(b"GGUF") {
            return Err(Error::new(ErrorKind::UnsupportedEncoding, "the bytes are not a GGUF file; give a whole one"));
        }
        let (done, loaded) = oneshot::channel();
        let shared = self.0.clone();
        self.0.spawner.start("hearth-load", None, move || {
            // Whoever asked may be gone: then the graph is dropped and unloaded again.
            let _ = done.send(shared.load_bytes(&bytes));
        })?;
        loaded.await.unwrap_or_else(|_| Err(Error::internal("the loader has ended without an answer")))
    }

    /// Counters now, summed over models.
    pub fn stats(&self) -> Stats {
        *self.0.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the models that were added, in order.
    pub fn models(&self) -> Vec<String> {
        self.0.graphs().names()
    }
}

/// Waits until a model is not being loaded any more.
async fn settled(name: &str, mut state: watch::Receiver<LoadState>) -> Result<(), Error> {
    let settled = state.wait_for(|state| !matches!(state, LoadState::Loading { .. })).await;
    settled.map(drop).map_err(|_| Error::new(ErrorKind::LoadFailed, format!("model `{name}` was replaced while it was loading")))
}

/// Unloads what has rested, as long as there is an engine.
fn unload_rested(shared: &Weak<Shared>, rest: Duration) {
    let look = (rest / 8).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        thread::sleep(look);
        let Some(shared) = shared.upgrade() else { return };
        shared.graphs().unload_rested(rest);
    }
}
