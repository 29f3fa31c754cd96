//! A loaded model: its network on a device, its tokenizer and its chat template.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use burn::tensor::Device;
use hearth_kernels::Linear;

use crate::{
    Packed,
    arch::{ARCHITECTURES, AnyNetwork, ENCODERS, Source},
    folder::{Folder, FolderError},
    gguf::{Gguf, GgufError},
    template::{ChatTemplate, TemplateError},
    tokenizer::{Tokenizer, TokenizerError},
};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read or parsed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A folder's files do not make up a model.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The tokenizer's metadata is unusable.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template does not compile.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The architecture is not supported, or its tensors do not fit its metadata.
    #[error("{0}")]
    Architecture(String),
}

#[cfg(not(target_family = "wasm"))]
type ModelFile = crate::gguf::MappedFile;
/// A map is there as a whole; what is read would be in memory twice.
#[cfg(target_family = "wasm")]
type ModelFile = crate::gguf::ReadFile;

/// A model ready to compute.
#[derive(Debug)]
pub struct Model {
    /// The forward pass and its weights.
    pub network: AnyNetwork,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// The chat template, if the file has one.
    pub template: Option<ChatTemplate>,
    /// The longest context that the model was trained for, in tokens.
    pub context_length: usize,
    /// What its file says of it.
    pub facts: Facts,
}

/// What a model's file says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The architecture's name in GGUF.
    pub architecture: String,
    /// Numbers of a token's embedding.
    pub embedding_length: usize,
    /// Numbers of all tensors.
    pub parameters: u64,
    /// The type that most bytes of the tensors have.
    pub weights: String,
    /// Bytes of the tensors.
    pub bytes: u64,
}

impl Facts {
    pub(crate) fn of(gguf: &Gguf<'_>) -> Result<Self, GgufError> {
        let architecture = gguf.get_str("general.architecture")?;
        let (mut parameters, mut bytes, mut types) = (0, 0, BTreeMap::<String, u64>::new());
        for tensor in gguf.tensors.values() {
            parameters += tensor.dimensions.iter().product::<u64>();
            bytes += tensor.range.len() as u64;
            *types.entry(format!("{:?}", tensor.ty).replace('K', "_K")).or_default() += tensor.range.len() as u64;
        }
        Ok(Self {
            architecture: architecture.into(),
            embedding_length: gguf.get_u32(&format!("{architecture}.embedding_length"))? as usize,
            parameters,
            weights: types.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(name, _)| name).unwrap_or_default(),
            bytes,
        })
    }
}

impl Model {
    /// Loads from a GGUF file, memory-mapped where there is such a thing, to serve contexts of up to `context` tokens (0: as long as it was trained for). With the file's `sha256` (hexadecimal) on the CPU, its repacked weights are kept beside it and read from there; else they are
    /// repacked in memory and the map is closed again.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn open(path: &Path, sha256: Option<&str>, context: usize, device: &Device) -> Result<Self, ModelError> {
        let file = ModelFile::open(path)?;
        let gguf = file.gguf()?;
        let kept = || match Packed::open(&gguf, path, sha256?) {
            Ok(packed) => Some(packed),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the repacked weights cannot be kept on disk: every start repacks them");
                None
            }
        };
        Self::from_parts(&gguf, || Ok(Tokenizer::from_gguf(&gguf)?), kept, context, device)
    }

    /// Loads a folder as Hugging Face has them, its weights changed, quantized and repacked in memory, to serve contexts of up to `context` tokens (0: as long as
    /// it was trained for). Nothing is kept on disk: the key to keep it by would be the hash of all its files, and nobody has hashed them.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn from_folder(folder: &Folder, context: usize, device: &Device) -> Result<Self, ModelError> {
        let gguf = folder.gguf()?;
        Self::from_parts(&gguf, || Ok(folder.tokenizer()?), || None, context, device).map_err(|error| match error {
            ModelError::Gguf(error) => ModelError::Folder(folder.explain(error)),
            other => other,
        })
    }

    /// Loads from a parsed GGUF, its weights repacked in memory, to serve contexts of up to `context` tokens (0: as long as it was trained for).
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn from_gguf(gguf: &Gguf<'_>, context: usize, device: &Device) -> Result<Self, ModelError> {
        Self::from_parts(gguf, || Ok(Tokenizer::from_gguf(gguf)?), || None, context, device)
    }

    /// What becomes of texts is made beside the weights: either takes long enough that a start would wait for it. `kept` gives the repacked weights where they are on
    /// disk.
    fn from_parts(
        gguf: &Gguf<'_>,
        tokenizer: impl FnOnce() -> Result<Tokenizer, ModelError> + Send,
        kept: impl FnOnce() -> Option<Packed>,
        context: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let architecture = gguf.get_str("general.architecture")?;
        let context_length = gguf.get_u32(&format!("{architecture}.context_length"))? as usize;
        let texts = || {
            let tokenizer = tokenizer()?;
            let text = |token: Option<u32>| token.map_or_else(String::new, |token| tokenizer.decode(&[token], true));
            let template = match gguf.opt_str("tokenizer.chat_template")? {
                Some(source) => Some(ChatTemplate::new(source, &text(tokenizer.bos()), &text(tokenizer.eos()))?),
                None => None,
            };
            Ok::<_, ModelError>((tokenizer, template))
        };
        let (texts, network) = both(texts, || {
            let known = ARCHITECTURES.iter().chain(&ENCODERS).any(|known| *known == architecture);
            let packed = if known && Linear::is_tiled(device) { kept().or_else(|| Packed::in_memory(gguf).ok()) } else { None };
            AnyNetwork::load(Source { gguf, packed: packed.as_ref(), context, device })
        });
        let ((tokenizer, template), network) = (texts?, network?);
        if tokenizer.vocabulary() != network.vocabulary() {
            return Err(ModelError::Architecture(format!(
                "the tokenizer has {} tokens, but the embedding has {}",
                tokenizer.vocabulary(),
                network.vocabulary()
            )));
        }
        Ok(Self { network, tokenizer, template, context_length, facts: Facts::of(gguf)? })
    }
}

/// Runs `aside` on a thread of its own beside `here`, or after it where no thread can be started.
fn both<A: Send, B>(aside: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    let aside = Mutex::new(Some(aside));
    let run = || {
        let aside = aside.lock().unwrap_or_else(PoisonError::into_inner).take();
        aside.expect("it is run once")()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, run);
        let here = here();
        let aside = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => run(),
        };
        (aside, here)
    })
}
