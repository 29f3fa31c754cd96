//! wasi-nn's nouns in plain Rust: a [`Graph`] is a model, a [`Context`] is one sequence with its KV cache (or the way to embeddings), and both stand in front of one
//! thread that owns the device and serves every sequence by continuous batching. A [`DrivenEngine`] does without the thread, as WebAssembly must.
//!
//! Used by `hearth-host` (which shows it to wasm guests as `wasi:nn`) and by the native binary (which hands it to the handler directly). Knows no HTTP, no OpenAI
//! JSON and no wasmtime. The contract is `docs/wasi-nn.md`.

mod blocks;
mod calls;
mod chat;
mod content;
mod context;
mod delivery;
mod device;
mod draft;
mod driven;
mod embedder;
mod embedding;
mod engine;
mod error;
mod generation;
mod grammar;
mod graph;
mod graphs;

mod loader;
mod logprobs;
mod lookup;
mod measures;
mod memory;
mod output;
mod questions;
mod request;
mod rng;
mod runner;
mod sampler;
mod scheduler;
mod sequence;
mod served;
mod spawner;
mod speculation;
mod task;
mod tensor;
mod worker;

pub use context::Context;
pub use driven::DrivenEngine;
pub use engine::{DeviceChoice, Engine, EngineOptions, ModelFile, Stats};
pub use error::{Error, ErrorCode, ErrorKind};
pub use graph::Graph;
pub use measures::HISTOGRAMS;
pub use tensor::{NamedTensor, Tensor, TensorType};

pub use hearth_kernels::KvType;
pub use hearth_models::{Quantization, arch::Outline, catalog, gguf};
