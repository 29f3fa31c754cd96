//! Tokenizers as `tokenizer.json` describes them: Hugging Face's own code, so that the tokens are the same by construction, whatever the file combines.
//!
//! The vocabulary is read out of it into the one that GGUF's tokenizers have: what a token's bytes are and which tokens end a generation is answered alike for both.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer as Whole;

use super::{
    Algorithm, Inner, Spelling, TokenizerError,
    special::{Fragment, Specials},
    spm::SPACE,
    vocab::{Attributes, Token, Vocab},
};

/// A token that a file names by its text or its id, or by neither.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    /// Its text, which goes before the id.
    pub(crate) text: Option<String>,
    /// Its id.
    pub(crate) id: Option<u32>,
}

/// The tokenizer.
pub(super) struct HuggingFace {
    whole: Whole,
    /// The same, to which control tokens in a text are text: made when it is first asked for: few messages have any.
    plain: OnceLock<Box<Whole>>,
    rows: usize,
}

impl std::fmt::Debug for HuggingFace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HuggingFace").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The parts of a `tokenizer.json` that are looked at here.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    decoder: Value,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
}

impl HuggingFace {
    /// Builds it from the bytes of a `tokenizer.json`, with all that goes with it.
    pub(super) fn build(json: &[u8], begin: &Named, end: &Named, ends: &[u32], rows: usize) -> Result<Inner, TokenizerError> {
        let outline: Outline = serde_json::from_slice(json).map_err(|error| TokenizerError::Unsupported(error.to_string()))?;
        let mut whole = read(json, &outline, rows)?;
        // A file may have been saved with what its trainer wanted of batches.
        whole.with_padding(None);
        whole.with_truncation(None).map_err(|error| TokenizerError::Unsupported(error.to_string()))?;
        let vocabulary = whole.get_vocab(true);
        if let Some((text, id)) = vocabulary.iter().find(|(_, id)| **id as usize >= rows) {
            let shown: String = text.chars().take(40).collect();
            return Err(TokenizerError::Unsupported(format!("the token `{shown}` has the id {id}, but the embedding has {rows} rows")));
        }
        let spelling = if decodes_by(&outline.decoder, "ByteLevel", 0) { Spelling::Bytes } else { Spelling::Marked };
        let has_bytes = decodes_by(&outline.decoder, "ByteFallback", 0);
        let has_pieces = decodes_by(&outline.decoder, "WordPiece", 0);
        let added = whole.get_added_tokens_decoder();
        // Embeddings often have more rows than there are tokens.
        let mut tokens: Vec<Token> = (0..rows).map(|id| Token { text: format!("[PAD{id}]"), attributes: Attributes::NONE }).collect();
        for (text, id) in vocabulary {
            let (text, attributes) = match added.get(&id) {
                Some(token) if token.special => (text, Attributes::CONTROL),
                Some(_) if spelling == Spelling::Marked => (text.replace(SPACE, " "), Attributes::USER_DEFINED),
                Some(_) => (text, Attributes::USER_DEFINED),
                None if has_bytes && is_byte(&text) => (text, Attributes::BYTE),
                None if has_pieces => (marked_piece(&text), Attributes::NORMAL),
                None => (text, Attributes::NORMAL),
            };
            tokens[id as usize] = Token { text, attributes };
        }
        let id_of = |named: &Named| {
            let by_text = named.text.as_ref().and_then(|text| whole.token_to_id(text));
            by_text.or(named.id).filter(|id| (*id as usize) < rows)
        };
        let ends = ends.iter().copied().filter(|id| (*id as usize) < rows).collect();
        let vocab = Vocab::of_tokens(tokens, id_of(begin), id_of(end), ends);
        // Which are written out in a message, that is: whole texts are taken apart by the library.
        let specials = Specials::new(&vocab.tokens)?;
        let algorithm = Algorithm::HuggingFace(Box::new(Self { whole, plain: OnceLock::new(), rows }));
        Ok(Inner { vocab, specials, algorithm, spelling, space_prefix: false, first: None, last: None })
    }

    /// The tokens of `text`, as [`super::Tokenizer::encode`] has it.
    pub(super) fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>, TokenizerError> {
        let whole = if parse_special { &self.whole } else { self.plain() };
        self.checked(whole.encode_fast(text, add_special).map_err(TokenizerError::encode)?.get_ids().to_vec())
    }

    /// The tokens of a text that was split at its control tokens, with `mark` in those that are none. Each fragment is taken apart alone, which is what the library does as
    /// well, and no control token is found in it.
    pub(super) fn encode_marked(&self, fragments: Vec<Fragment<'_>>, add_special: bool, mark: char) -> Result<Vec<u32>, TokenizerError> {
        let ids = |text: &str, add_special| {
            let encoding = self.plain().encode_fast(text, add_special).map_err(TokenizerError::encode)?;
            Ok::<_, TokenizerError>(encoding.get_ids().to_vec())
        };
        let mut tokens = Vec::new();
        for fragment in fragments {
            match fragment {
                Fragment::Token(id) => tokens.push(id),
                Fragment::Text(text) => tokens.extend(ids(&text.replace(mark, ""), false)?),
            }
        }
        if add_special {
            // What the file puts before and after any text.
            let (letter, surrounded) = (ids("a", false)?, ids("a", true)?);
            let at = surrounded.windows(letter.len().max(1)).position(|window| window == letter).unwrap_or(0);
            let after = surrounded.get(at + letter.len()..).unwrap_or_default();
            tokens = [&surrounded[..at], &tokens, after].concat();
        }
        self.checked(tokens)
    }

    fn plain(&self) -> &Whole {
        self.plain.get_or_init(|| {
            let mut plain = self.whole.clone();
            plain.set_encode_special_tokens(true);
            Box::new(plain)
        })
    }

    /// What surrounds a text is a template of the file's own, whose ids nobody has compared with the vocabulary.
    fn checked(&self, tokens: Vec<u32>) -> Result<Vec<u32>, TokenizerError> {
        match tokens.iter().find(|id| **id as usize >= self.rows) {
            Some(id) => Err(TokenizerError::Encode(format!("the tokenizer gives the token {id}, but the model has {}", self.rows))),
            None => Ok(tokens),
        }
    }
}

/// Reads the file, without added tokens for which the embedding has no rows: marks of images, in models that were cut down to texts.
fn read(json: &[u8], outline: &Outline, rows: usize) -> Result<Whole, TokenizerError> {
    let fits = |id: u64| id < rows as u64;
    let unreadable = |error: &dyn std::fmt::Display| TokenizerError::Unsupported(error.to_string());
    if outline.added_tokens.iter().all(|token| fits(token.id)) {
        return Whole::from_bytes(json).map_err(|error| unreadable(&error));
    }
    let mut value: Value = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
    if let Some(added) = value["added_tokens"].as_array_mut() {
        added.retain(|token| token["id"].as_u64().is_some_and(fits));
    }
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

/// Whether a decoder is of this type, or one in its sequence is.
fn decodes_by(decoder: &Value, name: &str, depth: usize) -> bool {
    let within = || decoder["decoders"].as_array().is_some_and(|all| depth < 4 && all.iter().any(|one| decodes_by(one, name, depth + 1)));
    decoder["type"] == name || within()
}

/// A WordPiece as GGUF has it: the beginnings of words are marked, not their continuations.
fn marked_piece(text: &str) -> String {
    text.strip_prefix("##").map_or_else(|| format!("{SPACE}{text}"), str::to_owned)
}

/// `<0x0A>`.
fn is_byte(text: &str) -> bool {
    text.strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok())
}
