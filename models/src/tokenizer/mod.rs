//! Tokenizers built from GGUF metadata (`tokenizer.ggml.*`), equal to llama.cpp's token for token, or from a `tokenizer.json`, equal to Hugging Face's (`hugging_face`).
//!
//! Hugging Face's algorithms do the work where they agree with llama.cpp's: byte-pair encoding (`bpe`) and WordPiece (`wordpiece`). Special tokens (`special`) and
//! SentencePiece (`spm`) are written here, and say why. Nothing here knows of chats: a template's text comes in like any other.

mod bpe;
mod hugging_face;
mod pre;
mod special;
mod spm;
mod stream;
mod vocab;
mod wordpiece;

use std::{borrow::Cow, ops::Range, sync::Arc};

use crate::gguf::{Gguf, GgufError};

pub(crate) use hugging_face::Named;
pub use stream::TextStream;

use bpe::{Bpe, byte_of_letter};
use hugging_face::HuggingFace;
use pre::PreTokenizer;
use special::{Fragment, Specials};
use spm::{SPACE, Spm};
use vocab::{Attributes, DefaultIds, Vocab};
use wordpiece::Words;

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

impl TokenizerError {
    fn metadata(key: &str, problem: String) -> Self {
        Self::Metadata { key: key.into(), problem }
    }

    fn encode(error: impl std::fmt::Display) -> Self {
        Self::Encode(error.to_string())
    }
}

impl From<GgufError> for TokenizerError {
    fn from(error: GgufError) -> Self {
        match error {
            GgufError::Metadata { key, problem } => Self::Metadata { key, problem },
            other => Self::Metadata { key: "tokenizer.ggml".into(), problem: other.to_string() },
        }
    }
}

/// Text to tokens and back. Clones share the vocabulary; usable from any thread.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    vocab: Vocab,
    specials: Specials,
    algorithm: Algorithm,
    /// How the vocabulary spells texts.
    spelling: Spelling,
    /// Whether a text that nothing but a special token precedes gets a space before it.
    space_prefix: bool,
    /// The token before a text, where one is wanted.
    first: Option<u32>,
    /// The token after it.
    last: Option<u32>,
}

#[derive(Debug)]
enum Algorithm {
    Spm(Spm),
    Bpe(Box<Bpe>),
    Words(Words),
    /// All of it, special tokens included.
    HuggingFace(Box<HuggingFace>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Spaces are `▁`.
    Marked,
    /// Bytes are letters of GPT-2's alphabet.
    Bytes,
}

impl Tokenizer {
    /// Builds the tokenizer that `tokenizer.ggml.*` describes.
    ///
    /// # Errors
    /// [`TokenizerError`]
    pub fn from_gguf(gguf: &Gguf<'_>) -> Result<Self, TokenizerError> {
        let model = gguf.get_str("tokenizer.ggml.model")?;
        let defaults = match model {
            "llama" => DefaultIds { bos: Some(1), eos: Some(2), unknown: Some(0), separator: None },
            "bert" => DefaultIds { bos: Some(101), eos: None, unknown: Some(100), separator: Some(102) },
            "gpt2" | "gemma4" => DefaultIds::default(),
            other => {
                return Err(TokenizerError::Unsupported(format!("`{other}`; this version reads `llama`, `gpt2`, `gemma4` and `bert`")));
            }
        };
        let (vocab, ids) = Vocab::read(gguf, defaults)?;
        let specials = Specials::new(&vocab.tokens)?;
        let (algorithm, spelling, bos_by_default) = match model {
            "llama" => (Algorithm::Spm(Spm::new(gguf, &vocab, ids)?), Spelling::Marked, true),
            "bert" => (Algorithm::Words(Words::new(gguf, &vocab, ids)?), Spelling::Marked, true),
            _ => {
                let pre = PreTokenizer::from_name(if model == "gemma4" {
                    model
                } else {
                    gguf.opt_str("tokenizer.ggml.pre")?.unwrap_or("default")
                })?;
                let (spelling, bos) = (if pre.byte_level { Spelling::Bytes } else { Spelling::Marked }, pre.begins);
                (Algorithm::Bpe(Box::new(Bpe::new(gguf, pre, ids)?)), spelling, bos)
            }
        };
        // Gemma 4's first files say that it begins with nothing, and it does not work so.
        let forced = matches!(&algorithm, Algorithm::Bpe(_)) && bos_by_default && spelling == Spelling::Marked;
        let add_bos = forced || gguf.opt_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(bos_by_default);
        let add_eos = gguf.opt_bool("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        let space_prefix = gguf.opt_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true) && matches!(&algorithm, Algorithm::Spm(_));
        let (first, last) = match &algorithm {
            Algorithm::Words(_) => (vocab.bos, vocab.separator),
            _ => (vocab.bos.filter(|_| add_bos), vocab.eos.filter(|_| add_eos)),
        };
        Ok(Self { inner: Arc::new(Inner { vocab, specials, algorithm, spelling, space_prefix, first, last }) })
    }

    /// Builds the tokenizer of a `tokenizer.json`, for an embedding of `rows` tokens, with the tokens that begin and end a text and the ids of further ones that end
    /// a generation.
    ///
    /// # Errors
    /// [`TokenizerError`]
    pub(crate) fn from_hugging_face(json: &[u8], begin: &Named, end: &Named, ends: &[u32], rows: usize) -> Result<Self, TokenizerError> {
        Ok(Self { inner: Arc::new(HuggingFace::build(json, begin, end, ends, rows)?) })
    }

    /// The tokens of `text`. With `add_special`, begin and end tokens are added where the model wants them; with `parse_special`, control tokens written out in the
    /// text (`<|im_start|>`) become their ids, as a rendered chat template needs.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`]
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>, TokenizerError> {
        self.encode_without(text, add_special, parse_special, None)
    }

    /// [`Self::encode`] with control tokens parsed, but those that [`Self::mark`] has marked: they are the text that they were before.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`]
    pub fn encode_marked(&self, text: &str, add_special: bool, mark: char) -> Result<Vec<u32>, TokenizerError> {
        self.encode_without(text, add_special, true, Some(mark))
    }

    /// `text` with `mark`, a character that it must not have, within each control token that is written out in it.
    pub fn mark<'t>(&self, text: &'t str, mark: char) -> Cow<'t, str> {
        let places = self.inner.specials.inside_control(text);
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut marked = String::with_capacity(text.len() + places.len() * mark.len_utf8());
        let mut from = 0;
        for place in places {
            marked.push_str(&text[from..place]);
            marked.push(mark);
            from = place;
        }
        marked.push_str(&text[from..]);
        Cow::Owned(marked)
    }

    fn encode_without(&self, text: &str, add_special: bool, parse_special: bool, mark: Option<char>) -> Result<Vec<u32>, TokenizerError> {
        let inner = &*self.inner;
        if let Algorithm::HuggingFace(whole) = &inner.algorithm {
            return match mark.filter(|mark| text.contains(*mark)) {
                Some(mark) => whole.encode_marked(inner.specials.split(text, true), add_special, mark),
                None => whole.encode(text, add_special, parse_special),
            };
        }
        let mut output = Vec::with_capacity(text.len() / 3 + 2);
        output.extend(inner.first.filter(|_| add_special));
        let mut after_special = true;
        for fragment in inner.specials.split(text, parse_special) {
            let text = match fragment {
                Fragment::Token(id) => {
                    output.push(id);
                    after_special = true;
                    continue;
                }
                Fragment::Text(text) => match mark.filter(|mark| text.contains(*mark)) {
                    Some(mark) => Cow::Owned(text.replace(mark, "")),
                    None => Cow::Borrowed(text),
                },
            };
            match &inner.algorithm {
                Algorithm::Spm(spm) => {
                    let prefix = if inner.space_prefix && after_special { SPACE } else { "" };
                    spm.encode(&format!("{prefix}{}", text.replace(' ', SPACE)), &mut output);
                }
                Algorithm::Bpe(bpe) if inner.spelling == Spelling::Marked => bpe.encode(&text.replace(' ', SPACE), &mut output)?,
                Algorithm::Bpe(bpe) => bpe.encode(&text, &mut output)?,
                Algorithm::Words(words) => words.encode(&text, &mut output)?,
                Algorithm::HuggingFace(_) => unreachable!("it has taken the whole text"),
            }
            after_special = false;
        }
        output.extend(inner.last.filter(|_| add_special));
        Ok(output)
    }

    /// The bytes of one token as they stand in a text; control tokens are empty unless `special`. An id outside the vocabulary has none.
    pub fn token_bytes(&self, token: u32, special: bool) -> Vec<u8> {
        let Some(token) = self.inner.vocab.tokens.get(token as usize) else { return Vec::new() };
        let (text, attributes) = (&token.text, token.attributes);
        if attributes.any(Attributes::HIDDEN) && !special {
            return Vec::new();
        }
        if attributes.any(Attributes::SPECIAL) {
            return text.clone().into_bytes();
        }
        if attributes.any(Attributes::BYTE) {
            let byte = text.strip_prefix("<0x").and_then(|hex| u8::from_str_radix(hex.strip_suffix('>')?, 16).ok());
            return byte.map_or_else(|| text.clone().into_bytes(), |byte| vec![byte]);
        }
        if !attributes.any(Attributes::NORMAL) {
            return Vec::new();
        }
        match self.inner.spelling {
            Spelling::Marked => text.replace(SPACE, " ").into_bytes(),
            Spelling::Bytes => {
                let mut bytes = Vec::with_capacity(text.len());
                for letter in text.chars() {
                    match byte_of_letter(letter) {
                        Some(byte) => bytes.push(byte),
                        // A token outside the alphabet, which some vocabularies carry by mistake: its text as it is.
                        None => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
                bytes
            }
        }
    }

    /// Text of tokens, invalid UTF-8 replaced. A space that the tokenizer put before a text stays: tokens continue a text, and nobody but the caller knows where one
    /// begins.
    pub fn decode(&self, tokens: &[u32], special: bool) -> String {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for &token in tokens {
            bytes.extend(self.token_bytes(token, special));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.inner.vocab.tokens.len()
    }

    /// The begin-of-sequence token, if any.
    pub fn bos(&self) -> Option<u32> {
        self.inner.vocab.bos
    }

    /// The end-of-sequence token, if any.
    pub fn eos(&self) -> Option<u32> {
        self.inner.vocab.eos
    }

    /// The control tokens that are written out in `text`, in their order, each where it begins and ends.
    pub fn control_tokens(&self, text: &str) -> Vec<(Range<usize>, u32)> {
        self.inner.specials.control(text)
    }

    /// The tokens that end a generation, ascending.
    pub fn ends(&self) -> &[u32] {
        &self.inner.vocab.ends
    }

    /// Whether `token` ends a generation (end of sequence, of turn or of message).
    pub fn is_end(&self, token: u32) -> bool {
        self.inner.vocab.ends.binary_search(&token).is_ok()
    }
}
