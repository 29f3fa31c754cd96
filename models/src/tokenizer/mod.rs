//! Tokenizers built from GGUF metadata (`tokenizer.ggml.*`), equal to llama.cpp's token for token.

use crate::gguf::Gguf;

/// Why a tokenizer could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A metadata key is missing or unusable.
    #[error("tokenizer metadata `{key}`: {problem}")]
    Metadata {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The kind of tokenizer or pre-tokenizer is not supported.
    #[error("unsupported tokenizer: {0}")]
    Unsupported(String),
    /// The text could not be encoded.
    #[error("cannot tokenize: {0}")]
    Encode(String),
}

/// Text to tokens and back. Clones share the vocabulary; usable from any thread.
#[derive(Debug, Clone)]
pub struct Tokenizer {}

impl Tokenizer {
    /// Builds the tokenizer that `tokenizer.ggml.*` describes.
    ///
    /// # Errors
    /// [`TokenizerError`]
    pub fn from_gguf(_gguf: &Gguf<'_>) -> Result<Self, TokenizerError> {
        todo!()
    }

    /// The tokens of `text`. With `add_special`, begin and end tokens are added where the model wants them; with `parse_special`, control tokens written out in the
    /// text (`<|im_start|>`) become their ids, as a rendered chat template needs.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`]
    pub fn encode(&self, _text: &str, _add_special: bool, _parse_special: bool) -> Result<Vec<u32>, TokenizerError> {
        todo!()
    }

    /// The bytes of one token as they stand in a text; control tokens are empty unless `special`.
    pub fn token_bytes(&self, _token: u32, _special: bool) -> Vec<u8> {
        todo!()
    }

    /// Text of tokens, invalid UTF-8 replaced.
    pub fn decode(&self, _tokens: &[u32], _special: bool) -> String {
        todo!()
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        todo!()
    }

    /// The begin-of-sequence token, if any.
    pub fn bos(&self) -> Option<u32> {
        todo!()
    }

    /// The end-of-sequence token, if any.
    pub fn eos(&self) -> Option<u32> {
        todo!()
    }

    /// Whether `token` ends a generation (end of sequence, of turn or of message).
    pub fn is_end(&self, _token: u32) -> bool {
        todo!()
    }
}
