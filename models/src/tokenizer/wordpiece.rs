//! WordPiece as BERT models use it: cleaned and lowercased words, each taken apart by the longest tokens from its beginning.
//!
//! Cleaning and splitting are Hugging Face's. Taking apart is written here: theirs tries ends from the word's own, which for a word of a megabyte takes hours, or
//! gives words up that llama.cpp takes apart; here no try is longer than the longest token.

use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, models::bpe::Vocab as Ids,
    normalizers::BertNormalizer, pre_tokenizers::bert::BertPreTokenizer,
};

use super::{TokenizerError, spm::SPACE, vocab::Vocab};
use crate::gguf::Gguf;

/// The algorithm and its vocabulary.
#[derive(Debug)]
pub(super) struct Words {
    normalizer: BertNormalizer,
    ids: Ids,
    /// Bytes of the longest token.
    longest: usize,
    /// Stands for a word that cannot be taken apart.
    unknown: u32,
}

impl Words {
    pub(super) fn new(gguf: &Gguf<'_>, vocab: &Vocab, ids: Ids) -> Result<Self, TokenizerError> {
        let lowercase = gguf.opt_bool("tokenizer.ggml.normalizer.lowercase")?.unwrap_or(true);
        let strip_accents = gguf.opt_bool("tokenizer.ggml.normalizer.strip_accents")?;
        let unknown = vocab
            .unknown
            .ok_or_else(|| TokenizerError::metadata("tokenizer.ggml.unknown_token_id", "missing; WordPiece needs it".into()))?;
        let longest = ids.keys().map(String::len).max().unwrap_or(0);
        Ok(Self { normalizer: BertNormalizer::new(true, true, strip_accents, lowercase), ids, longest, unknown })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut text = NormalizedString::from(text);
        self.normalizer.normalize(&mut text).map_err(TokenizerError::encode)?;
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(TokenizerError::encode)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            // GGUF marks the beginnings of words instead of their continuations.
            self.take_apart(&format!("{SPACE}{word}"), output);
        }
        Ok(())
    }

    fn take_apart(&self, word: &str, output: &mut Vec<u32>) {
        let begin = output.len();
        let mut rest = word;
        while !rest.is_empty() {
            let limit = rest.floor_char_boundary(self.longest);
            let ends = rest[..limit].char_indices().map(|(at, char)| at + char.len_utf8()).rev();
            let Some((end, id)) = ends.filter_map(|end| Some((end, *self.ids.get(&rest[..end])?))).next() else {
                output.truncate(begin);
                output.push(self.unknown);
                return;
            };
            output.push(id);
            rest = &rest[end..];
        }
    }
}
