//! A loaded model: its network on a device, its tokenizer and its chat template.

use std::path::Path;

use burn::tensor::Device;

use crate::{
    arch::Network,
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
    /// Loads from a GGUF file, memory-mapped; weights are repacked for `device` and the map is closed again.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn open(_path: &Path, _device: &Device) -> Result<Self, ModelError> {
        todo!()
    }

    /// Loads from a parsed GGUF.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn from_gguf(_gguf: &Gguf<'_>, _device: &Device) -> Result<Self, ModelError> {
        todo!()
    }
}
