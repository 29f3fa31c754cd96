//! Loading a model beside the engine's thread, so that others keep being served: memory checked, weights repacked, KV cache allocated, then handed over.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{PoisonError, atomic::AtomicU64},
};

use burn::tensor::Device;
use hearth_kernels::KvCache;
use hearth_models::{Model, gguf::Gguf};
use sha2::{Digest, Sha256};

use crate::{
    EngineOptions, Error, ErrorKind, Graph,
    engine::Shared,
    graph::GraphShared,
    memory::{self, Demand},
    runner::Runner,
    scheduler::{Limits, Scheduler},
    served::{Bounds, Served, panic_message},
    worker::Command,
};

/// Rows of a step: what a prompt is cut into. Enough for a matrix product to be at its full speed; few enough for the others to decode several times a second
/// beside a long prompt.
const STEP_ROWS: usize = 128;

impl Shared {
    /// Loads the GGUF at `path`, which has this `sha256` if that is known.
    pub(crate) fn load_file(&self, path: &Path, sha256: Option<&str>) -> Result<Graph, Error> {
        self.load_guarded(|| {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            let bytes = file.metadata().map_err(|error| unreadable(path, &error))?.len();
            self.check_weights(bytes)?;
            let model = Model::open(path, sha256, self.options.context, &self.device.device).map_err(|error| failed(error.to_string()))?;
            self.serve(model)
        })
    }

    /// Loads a GGUF from its bytes, or finds the model that has been loaded from the same.
    pub(crate) fn load_bytes(&self, bytes: &[u8]) -> Result<Graph, Error> {
        let hash = Sha256::digest(bytes).into();
        self.load_guarded(|| {
            if let Some(graph) = self.graphs().by_hash(&hash) {
                return Ok(graph);
            }
            self.check_weights(bytes.len() as u64)?;
            let gguf = Gguf::parse(bytes).map_err(|error| failed(error.to_string()))?;
            let model = Model::from_gguf(&gguf, self.options.context, &self.device.device).map_err(|error| failed(error.to_string()))?;
            let graph = self.serve(model)?;
            self.graphs().share(hash, &graph);
            Ok(graph)
        })
    }

    /// Allocates the KV cache of a loaded model and hands it to the engine's thread.
    pub(crate) fn serve(&self, model: Model) -> Result<Graph, Error> {
        let Model { network, tokenizer, template, context_length } = model;
        let device: &Device = &self.device.device;
        let shape = network.kv_shape();
        let position_bytes = shape.bytes_per_position().max(1);
        // Keys and values of a layer are a tensor each.
        let tensor_block_bytes = (position_bytes * KvCache::BLOCK_LEN / (2 * shape.layers).max(1)).max(1) as u64;
        let plan = Demand {
            position_bytes,
            model_context: context_length,
            context: self.options.context,
            sequences: self.options.sequences.max(1),
            kv_bytes: self.options.kv_bytes,
            free: self.device.memory.free(network.weight_bytes() as u64),
            most_blocks: self.device.largest.map(|largest| largest / tensor_block_bytes),
        }
        .plan()
        .map_err(failed)?;
        tracing::info!(context = plan.context, model_context = context_length, blocks = plan.blocks, "KV cache planned");
        let vocabulary = network.vocabulary();
        let runner = Runner::new(network, plan.blocks, device.clone());
        let EngineOptions { sequences, queue, prefix_cache, max_wait, speculation, .. } = self.options;
        let limits = Limits { rows: STEP_ROWS, sequences, queue, block_len: KvCache::BLOCK_LEN, prefix_cache };
        let scheduler = Scheduler::new(limits, plan.blocks);
        let id = self.next_graph();
        let bounds = Bounds { max_wait, speculation };
        let served = Served::new(runner, scheduler, tokenizer.clone(), bounds);
        self.commands.send(Command::Serve(id, Box::new(served))).map_err(|_| Error::shutting_down())?;
        Ok(Graph(
            GraphShared {
                id,
                commands: self.commands.clone(),
                tokenizer,
                template,
                context_length: plan.context,
                vocabulary,
                sequences: AtomicU64::new(0),
            }
            .into(),
        ))
    }

    /// One load at a time, so that each sees the memory that is really free; a panic in one is its failure and nobody else's.
    fn load_guarded(&self, load: impl FnOnce() -> Result<Graph, Error>) -> Result<Graph, Error> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(load))
            .unwrap_or_else(|panic| Err(failed(format!("loading panicked: {}", panic_message(panic.as_ref())))))
    }

    /// That weights of a file of `bytes` fit. They may be repacked to more than they take in the file; what that leaves is seen when the cache is planned.
    fn check_weights(&self, bytes: u64) -> Result<(), Error> {
        match self.device.memory.free(0) {
            Some(free) if bytes > free => {
                let (need, free) = (memory::size(bytes), memory::size(free));
                Err(failed(format!(
                    "the weights need {need}, but {free} of memory are free: choose a smaller or more strongly quantized model"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::LoadFailed, message)
}

/// Why a file could not be opened, with its mode where that is the reason.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let path_text = path.display();
    failed(match error.kind() {
        std::io::ErrorKind::NotFound => format!("{path_text} does not exist: pull the model, or give another path"),
        std::io::ErrorKind::PermissionDenied => {
            format!("{path_text} is not readable{}: make it readable for the user that serves it", mode(path))
        }
        _ => format!("{path_text}: {error}"),
    })
}

#[cfg(unix)]
fn mode(path: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map_or_else(|_| String::new(), |metadata| format!(" (mode {:o})", metadata.permissions().mode() & 0o7777))
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> String {
    String::new()
}
