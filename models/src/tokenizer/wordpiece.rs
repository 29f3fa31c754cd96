//! WordPiece as BERT models use it: cleaned and lowercased words, each taken apart by the longest tokens from its beginning.

use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    models::{bpe::Vocab as Ids, wordpiece::WordPiece},
    normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
};

use super::{TokenizerError, spm::SPACE, vocab::Vocab};
use crate::gguf::Gguf;

/// The algorithm and its vocabulary.
#[derive(Debug)]
pub(super) struct Words {
    normalizer: BertNormalizer,
    model: WordPiece,
}

impl Words {
    pub(super) fn new(gguf: &Gguf<'_>, vocab: &Vocab, ids: Ids) -> Result<Self, TokenizerError> {
        let lowercase = gguf.opt_bool("tokenizer.ggml.normalizer.lowercase")?.unwrap_or(true);
        let strip_accents = gguf.opt_bool("tokenizer.ggml.normalizer.strip_accents")?;
        let unknown = vocab
            .unknown
            .ok_or_else(|| TokenizerError::metadata("tokenizer.ggml.unknown_token_id", "missing; WordPiece needs it".into()))?;
        let model = WordPiece::builder()
            .vocab(ids)
            .unk_token(vocab.tokens[unknown as usize].text.clone())
            // GGUF marks the beginnings of words instead of their continuations.
            .continuing_subword_prefix(String::new())
            .max_input_chars_per_word(usize::MAX)
            .build()
            .map_err(|error| TokenizerError::metadata("tokenizer.ggml.tokens", error.to_string()))?;
        Ok(Self { normalizer: BertNormalizer::new(true, true, strip_accents, lowercase), model })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut text = NormalizedString::from(text);
        self.normalizer.normalize(&mut text).map_err(TokenizerError::encode)?;
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(TokenizerError::encode)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            let tokens = self.model.tokenize(&format!("{SPACE}{word}")).map_err(TokenizerError::encode)?;
            output.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }
}
