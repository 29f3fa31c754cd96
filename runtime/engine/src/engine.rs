//! The engine's handle: models by name, and the thread that serves them.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use hearth_kernels::KvType;
use hearth_models::Model;
use tokio::sync::oneshot;

use crate::{
    Error, ErrorKind, Graph,
    device::{self, Chosen},
    graphs::{Graphs, LoadState},
    memory,
    worker::{self, Command, GraphId},
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
    /// How the KV cache keeps keys and values: [`KvType::Q8_0`] has room for almost twice as many tokens, at a small loss of precision.
    pub kv_type: KvType,
    /// Bytes for the KV cache of one model; 0 lets the engine choose from the free memory.
    pub kv_bytes: u64,
    /// Largest model that [`Engine::load`] takes, in bytes.
    pub load_cap: u64,
}

impl Default for EngineOptions {
    /// Everything chosen by the engine; 32 sequences together, 64 waiting for up to two minutes, blocks shared, nothing guessed, and loading by bytes up to 1 GiB.
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
            kv_type: KvType::F16,
            kv_bytes: 0,
            load_cap: 1 << 30,
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
}

/// The engine. Clones share it; when the last handle, graph and context are gone its thread ends.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Shared>);

/// What handles and loader threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) device: Chosen,
    pub(crate) commands: Sender<Command>,
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
        let device = device::choose(options.device, options.threads)?;
        let (commands, received) = mpsc::channel();
        let stats = Arc::new(Mutex::new(Stats::default()));
        let published = stats.clone();
        spawn("hearth-engine", move || worker::run(&received, &published))?;
        let shared =
            Shared { options, device, commands, loading: Mutex::new(()), graphs: Mutex::default(), stats, graph_ids: AtomicU64::new(0) };
        Ok(Self(Arc::new(shared)))
    }

    /// What it computes on and why, for people: "CPU (AVX512-VNNI, 2 threads): no GPU found".
    pub fn device_description(&self) -> String {
        self.0.device.description.clone()
    }

    /// Begins loading the GGUF at `path` as `name` and returns at once: until it is done [`Self::load_by_name`] answers `loading`. A name that is there already is
    /// loaded anew. With the file's `sha256` (hexadecimal, verified by the caller) its repacked weights are kept beside it for the next start.
    pub fn add_model(&self, name: &str, path: PathBuf, sha256: Option<String>) {
        let state = self.0.graphs().add(name, LoadState::Loading);
        let shared = self.0.clone();
        let (loader, label) = (state.clone(), name.to_owned());
        let spawned = spawn("hearth-load", move || {
            loader.send_replace(match shared.load_file(&path, sha256.as_deref()) {
                Ok(graph) => LoadState::Ready(graph),
                Err(error) => {
                    tracing::error!(model = label, %error, "loading failed");
                    LoadState::Failed(error)
                }
            });
        });
        if let Err(error) = spawned {
            state.send_replace(LoadState::Failed(error));
        }
    }

    /// Serves a model that is loaded already as `name`. It must lie on this engine's device.
    ///
    /// # Errors
    /// `load_failed` when its KV cache does not fit.
    pub fn add_loaded(&self, name: &str, model: Model) -> Result<Graph, Error> {
        let graph = self.0.serve(model)?;
        self.0.graphs().add(name, LoadState::Ready(graph.clone()));
        Ok(graph)
    }

    /// Waits until `name` is loaded or has failed.
    ///
    /// # Errors
    /// `load_failed` with the reason, or `model_not_found`.
    pub async fn ready(&self, name: &str) -> Result<Graph, Error> {
        let mut state = self.0.graphs().watch(name)?;
        let state = state.wait_for(|state| !matches!(state, LoadState::Loading)).await;
        let state = state.map_err(|_| Error::new(ErrorKind::LoadFailed, format!("model `{name}` was replaced while it was loading")))?;
        answer(name, &state)
    }

    /// wasi-nn's `load-by-name`. Never waits.
    ///
    /// # Errors
    /// `model_not_found`, `loading`, `load_failed`.
    pub fn load_by_name(&self, name: &str) -> Result<Graph, Error> {
        let state = self.0.graphs().watch(name)?;
        answer(name, &state.borrow())
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
        spawn("hearth-load", move || {
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

fn answer(name: &str, state: &LoadState) -> Result<Graph, Error> {
    match state {
        LoadState::Ready(graph) => Ok(graph.clone()),
        LoadState::Loading => Err(Error::new(ErrorKind::Loading, format!("model `{name}` is being loaded: try again in a moment"))),
        LoadState::Failed(error) => {
            Err(Error { kind: error.kind.clone(), message: format!("model `{name}` could not be loaded: {}", error.message) })
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.into()).spawn(body);
    spawned.map(drop).map_err(|error| Error::internal(format!("no thread could be started: {error}")))
}
