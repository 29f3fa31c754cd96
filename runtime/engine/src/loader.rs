//! Loading a model beside the engine's steps, so that others keep being served: memory checked, weights repacked, KV cache allocated, then handed over.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{PoisonError, atomic::AtomicU64},
};

use burn::tensor::Device;
use hearth_kernels::KvCache;
use hearth_models::{
    Facts, Folder, Model,
    arch::{AnyNetwork, Encoder, Network},
    gguf::Gguf,
    template::ChatTemplate,
    tokenizer::Tokenizer,
};
use sha2::{Digest, Sha256};

use crate::{
    EngineOptions, Error, ErrorKind, Graph, ModelFile,
    chat::Chat,
    draft::{self, DraftModel},
    embedder::Embedder,
    engine::Shared,
    grammar::Compiler,
    graph::{GraphShared, Purpose},
    lookup::PromptLookup,
    measures::Measures,
    memory::{self, Demand},
    runner::Runner,
    scheduler::{Limits, Scheduler},
    served::{Bounds, Served, panic_message},
    speculation::Drafter,
    worker::{Command, GraphId},
};

/// Rows of a step: what a prompt is cut into. Enough for a matrix product to be at its full speed; few enough for the others to decode several times a second
/// beside a long prompt.
const STEP_ROWS: usize = 128;
/// What models without a name are called where they are measured.
const BY_BYTES: &str = "(by its bytes)";

impl Shared {
    /// Loads the GGUF or the folder that `name` is. Where memory does not suffice, models that nobody uses go, one after the other.
    pub(crate) fn load_making_room(&self, file: &ModelFile, name: &str) -> Result<Graph, Error> {
        loop {
            match self.load_guarded(|| self.load_file(file, name)) {
                Err(Error { kind: ErrorKind::OutOfMemory, .. }) if self.unload_one(name) => {}
                loaded => return loaded,
            }
        }
    }

    /// Unloads a model that nobody uses, if there is one, and waits until its memory is free.
    fn unload_one(&self, sake: &str) -> bool {
        let unloaded = self.graphs().unload_one(sake);
        if unloaded {
            self.settle();
        }
        unloaded
    }

    fn load_file(&self, file: &ModelFile, name: &str) -> Result<Graph, Error> {
        let model = self.open(file)?;
        // One that embeds has no use for guesses.
        let draft = self.options.draft_model.as_ref().filter(|_| matches!(model.network, AnyNetwork::Decoder(_)));
        let draft = draft.map(|draft| self.open(draft)).transpose();
        let draft = draft.map_err(|error| Error { message: format!("the draft model: {}", error.message), ..error })?;
        self.serve(name, model, draft, file.sha256.clone())
    }

    fn open(&self, ModelFile { path, sha256 }: &ModelFile) -> Result<Model, Error> {
        if path.is_dir() {
            let folder = Folder::open(path, self.options.quantize).map_err(|error| failed(error.to_string()))?;
            self.check_weights(folder.weight_bytes())?;
            return Model::from_folder(&folder, self.options.context, &self.device.device).map_err(|error| failed(error.to_string()));
        }
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let bytes = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        self.check_weights(bytes)?;
        Model::open(path, sha256.as_deref(), self.options.context, &self.device.device).map_err(|error| failed(error.to_string()))
    }

    /// Loads a GGUF from its bytes, or finds the model that has been loaded from the same.
    pub(crate) fn load_bytes(&self, bytes: &[u8]) -> Result<Graph, Error> {
        let hash = Sha256::digest(bytes).into();
        self.load_guarded(|| {
            if let Some(graph) = self.graphs().by_hash(&hash) {
                return Ok(graph);
            }
            let graph = self.serve(BY_BYTES, self.model(bytes)?, None, Some(hex(&hash)))?;
            self.graphs().share(hash, &graph);
            Ok(graph)
        })
    }

    /// The model that a GGUF's bytes are.
    pub(crate) fn model(&self, bytes: &[u8]) -> Result<Model, Error> {
        self.check_weights(bytes.len() as u64)?;
        let gguf = Gguf::parse(bytes).map_err(|error| failed(error.to_string()))?;
        Model::from_gguf(&gguf, self.options.context, &self.device.device).map_err(|error| failed(error.to_string()))
    }

    /// Hands a loaded model to the engine's thread, with the one that guesses for it, if it is one that generates.
    /// `sha256` is of its file, where that is known.
    pub(crate) fn serve(&self, name: &str, model: Model, draft: Option<Model>, sha256: Option<String>) -> Result<Graph, Error> {
        let draft = match (&model.network, draft) {
            (AnyNetwork::Decoder(_), Some(draft)) => Some(Draft::new(draft, &model.tokenizer)?),
            _ => None,
        };
        let Model { network, tokenizer, template, context_length, facts } = model;
        let about = About { tokenizer, context_length, facts, sha256 };
        let measures = Measures::of(name);
        match network {
            AnyNetwork::Decoder(network) => self.serve_decoder(network, draft, template, about, measures),
            AnyNetwork::Encoder(encoder) => self.serve_encoder(encoder, about, measures),
        }
    }

    /// Without a KV cache there is nothing to plan: a text may fill the model's context, or the one that was asked for.
    fn serve_encoder(&self, encoder: Box<dyn Encoder>, about: About, measures: Measures) -> Result<Graph, Error> {
        let EngineOptions { sequences, queue, max_wait, context, .. } = self.options;
        let context_length = if context == 0 { about.context_length } else { context.min(about.context_length) };
        let (id, vocabulary) = (self.next_graph(), encoder.vocabulary());
        let embedder = Embedder::new(encoder, sequences.max(1) + queue, max_wait, measures);
        self.commands.send(Command::ServeEmbedder(id, Box::new(embedder))).map_err(|_| Error::shutting_down())?;
        Ok(self.graph(id, About { context_length, ..about }, Purpose::Embeds, vocabulary))
    }

    /// Allocates the KV caches first.
    fn serve_decoder(
        &self,
        network: Box<dyn Network>,
        draft: Option<Draft>,
        template: Option<ChatTemplate>,
        about: About,
        measures: Measures,
    ) -> Result<Graph, Error> {
        let context_length = about.context_length;
        let device: &Device = &self.device.device;
        let networks = || std::iter::once(&network).chain(draft.as_ref().map(|draft| &draft.network));
        let bytes = |network: &dyn Network| {
            network.kv_shape().bytes_per_position(self.options.kv_type, device).map_err(|error| failed(error.to_string()))
        };
        let position_bytes = networks().map(|network| bytes(network.as_ref())).collect::<Result<Vec<_>, _>>()?;
        // Keys and values of a layer are a tensor each.
        let layers = networks().map(|network| 2 * network.kv_shape().layers.max(1));
        let tensor_block_bytes = position_bytes.iter().zip(layers).map(|(bytes, tensors)| bytes * KvCache::BLOCK_LEN / tensors);
        let tensor_block_bytes = tensor_block_bytes.max().unwrap_or(0).max(1) as u64;
        // Both caches have the same number of blocks.
        let position_bytes = position_bytes.iter().sum::<usize>().max(1);
        let plan = Demand {
            position_bytes,
            model_context: context_length,
            context: self.options.context,
            sequences: self.options.sequences.max(1),
            kv_bytes: self.options.kv_bytes,
            free: self.device.memory.free(networks().map(|network| network.weight_bytes() as u64).sum()),
            most_blocks: self.device.largest.map(|largest| largest / tensor_block_bytes),
        }
        .plan()
        .map_err(|message| if self.options.kv_bytes == 0 { no_memory(message) } else { failed(message) })?;
        tracing::info!(context = plan.context, model_context = context_length, blocks = plan.blocks, "KV cache planned");
        let vocabulary = network.vocabulary();
        let runner = self.runner(network, plan.blocks)?;
        let EngineOptions { sequences, queue, prefix_cache, max_wait, speculation, .. } = self.options;
        let limits = Limits { rows: STEP_ROWS, sequences, queue, block_len: KvCache::BLOCK_LEN, prefix_cache };
        let scheduler = Scheduler::new(limits, plan.blocks);
        let id = self.next_graph();
        let speculation = if draft.is_some() && speculation == 0 { EngineOptions::DRAFT_TOKENS } else { speculation };
        let bounds = Bounds { max_wait, speculation };
        let drafter: Box<dyn Drafter> = match draft {
            Some(draft) => {
                let vocabulary = vocabulary.min(draft.network.vocabulary());
                let bounds = draft::Bounds { context: draft.context, rows: STEP_ROWS, vocabulary };
                Box::new(DraftModel::new(self.runner(draft.network, plan.blocks)?, plan.blocks, bounds))
            }
            None => Box::new(PromptLookup),
        };
        let served = Served::new(runner, scheduler, about.tokenizer.clone(), drafter, bounds, measures);
        self.commands.send(Command::Serve(id, Box::new(served))).map_err(|_| Error::shutting_down())?;
        let chat = template.map(|template| Chat::new(template, &about.tokenizer));
        Ok(self.graph(id, About { context_length: plan.context, ..about }, Purpose::Generates(chat), vocabulary))
    }

    fn runner(&self, network: Box<dyn Network>, blocks: usize) -> Result<Runner, Error> {
        Runner::new(network, self.options.kv_type, blocks, self.device.device.clone()).map_err(|error| failed(error.to_string()))
    }

    fn graph(&self, id: GraphId, about: About, purpose: Purpose, vocabulary: usize) -> Graph {
        let About { tokenizer, context_length, facts, sha256 } = about;
        let (commands, sequences) = (self.commands.clone(), AtomicU64::new(0));
        let grammars = Compiler::new(tokenizer.clone(), self.spawner.clone());
        Graph(GraphShared { id, commands, tokenizer, grammars, purpose, facts, sha256, context_length, vocabulary, sequences }.into())
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
                Err(no_memory(format!(
                    "the weights need {need}, but {free} of memory are free: choose a smaller or more strongly quantized model"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// What a graph tells of its model.
struct About {
    tokenizer: Tokenizer,
    context_length: usize,
    facts: Facts,
    sha256: Option<String>,
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A small model that guesses for a large one.
struct Draft {
    network: Box<dyn Network>,
    /// Tokens that it can take.
    context: usize,
}

impl Draft {
    fn new(model: Model, large: &Tokenizer) -> Result<Self, Error> {
        same_vocabulary(large, &model.tokenizer)?;
        match model.network {
            AnyNetwork::Decoder(network) => Ok(Self { network, context: model.context_length }),
            AnyNetwork::Encoder(_) => {
                Err(failed("the draft model embeds and cannot guess: choose a smaller model of the same family, or none"))
            }
        }
    }
}

/// That a token means the same to both. Models of a family may have vocabularies that one of them has padded to a greater length.
fn same_vocabulary(model: &Tokenizer, draft: &Tokenizer) -> Result<(), Error> {
    let common = model.vocabulary().min(draft.vocabulary()) as u32;
    match (0..common).find(|token| model.token_bytes(*token, true) != draft.token_bytes(*token, true)) {
        Some(token) => Err(failed(format!(
            "token {token} of the draft model is another than that of the model: choose a smaller model of the same family, or none"
        ))),
        None => Ok(()),
    }
}

fn no_memory(message: String) -> Error {
    Error::new(ErrorKind::OutOfMemory, message)
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
