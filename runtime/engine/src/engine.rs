//! The engine's handle: models by name, and the thread that serves them.

use std::path::PathBuf;

use crate::{Context, Error};

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
    /// Requests that may wait.
    pub queue: usize,
    /// Bytes for the KV cache of one model; 0 lets the engine choose from the free memory.
    pub kv_bytes: u64,
    /// Largest model that [`Engine::load`] takes, in bytes.
    pub load_cap: u64,
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
    /// KV blocks altogether.
    pub blocks_total: usize,
    /// Steps computed.
    pub steps: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
}

/// The engine. Clones share it; when the last handle, graph and context are gone its thread ends.
#[derive(Debug, Clone)]
pub struct Engine {}

/// A loaded model. Clones share it.
#[derive(Debug, Clone)]
pub struct Graph {}

impl Engine {
    /// Probes the device and starts the engine's thread.
    ///
    /// # Errors
    /// When a GPU was demanded and none was found: what was probed.
    pub fn start(_options: EngineOptions) -> Result<Self, Error> {
        todo!()
    }

    /// What it computes on and why, for people: "CPU (AVX512-VNNI, 2 threads): no GPU found".
    pub fn device_description(&self) -> String {
        todo!()
    }

    /// Begins loading the GGUF at `path` as `name` and returns at once: until it is done [`Self::load_by_name`] answers `loading`.
    pub fn add_model(&self, _name: &str, _path: PathBuf) {
        todo!()
    }

    /// Waits until `name` is loaded or has failed.
    ///
    /// # Errors
    /// `load_failed` with the reason, or `model_not_found`.
    pub async fn ready(&self, _name: &str) -> Result<Graph, Error> {
        todo!()
    }

    /// wasi-nn's `load-by-name`. Never waits.
    ///
    /// # Errors
    /// `model_not_found`, `loading`, `load_failed`.
    pub fn load_by_name(&self, _name: &str) -> Result<Graph, Error> {
        todo!()
    }

    /// wasi-nn's `load`: a GGUF by its bytes, shared by hash.
    ///
    /// # Errors
    /// `model_too_large`, `load_failed`.
    pub async fn load(&self, _bytes: Vec<u8>) -> Result<Graph, Error> {
        todo!()
    }

    /// Counters now, summed over models.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Names of the models that were added, in order.
    pub fn models(&self) -> Vec<String> {
        todo!()
    }
}

impl Graph {
    /// wasi-nn's `init-execution-context`.
    ///
    /// # Errors
    /// `shutting_down`
    pub fn init_execution_context(&self) -> Result<Context, Error> {
        todo!()
    }

    /// The longest sequence that it takes, in tokens.
    pub fn context_length(&self) -> usize {
        todo!()
    }
}
