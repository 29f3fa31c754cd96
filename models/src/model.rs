//! A loaded model: its network on a device, its tokenizer and its chat template.

use std::path::Path;

use burn::tensor::Device;
use hearth_kernels::Linear;

use crate::{
    Packed,
    arch::{self, Network, Source},
    gguf::{Gguf, GgufError, MappedFile},
    template::{ChatTemplate, TemplateError},
    tokenizer::{Tokenizer, TokenizerError},
};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read or parsed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
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

/// A model ready to compute.
#[derive(Debug)]
pub struct Model {
    /// The forward pass and its weights.
    pub network: Box<dyn Network>,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// The chat template, if the file has one.
    pub template: Option<ChatTemplate>,
    /// The longest context that the model was trained for, in tokens.
    pub context_length: usize,
}

impl Model {
    /// Loads from a GGUF file, memory-mapped, to serve contexts of up to `context` tokens (0: as long as it was trained for). With the file's `sha256` (hexadecimal) on the CPU, its repacked weights are kept beside it and mapped from there; else they are
    /// repacked in memory and the map is closed again.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn open(path: &Path, sha256: Option<&str>, context: usize, device: &Device) -> Result<Self, ModelError> {
        let file = MappedFile::open(path)?;
        let gguf = Gguf::parse(&file)?;
        let packed = sha256.filter(|_| Linear::is_tiled(device)).and_then(|sha256| match Packed::open(&gguf, path, sha256) {
            Ok(packed) => Some(packed),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the repacked weights cannot be kept on disk: every start repacks them");
                None
            }
        });
        Self::from_source(Source { gguf: &gguf, packed: packed.as_ref(), context, device })
    }

    /// Loads from a parsed GGUF, its weights repacked in memory, to serve contexts of up to `context` tokens (0: as long as it was trained for).
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn from_gguf(gguf: &Gguf<'_>, context: usize, device: &Device) -> Result<Self, ModelError> {
        Self::from_source(Source { gguf, packed: None, context, device })
    }

    fn from_source(source: Source<'_>) -> Result<Self, ModelError> {
        let gguf = source.gguf;
        // The cheap parts first: a file with an unknown tokenizer should not cost the repacking of its weights.
        let architecture = gguf.get_str("general.architecture")?;
        let context_length = gguf.get_u32(&format!("{architecture}.context_length"))? as usize;
        let tokenizer = Tokenizer::from_gguf(gguf)?;
        let text = |token: Option<u32>| token.map_or_else(String::new, |token| tokenizer.decode(&[token], true));
        let template = match gguf.opt_str("tokenizer.chat_template")? {
            Some(source) => Some(ChatTemplate::new(source, &text(tokenizer.bos()), &text(tokenizer.eos()))?),
            None => None,
        };
        let network = arch::load(source)?;
        if tokenizer.vocabulary() != network.vocabulary() {
            return Err(ModelError::Architecture(format!(
                "the tokenizer has {} tokens, but the embedding has {}",
                tokenizer.vocabulary(),
                network.vocabulary()
            )));
        }
        Ok(Self { network, tokenizer, template, context_length })
    }
}
