//! A model's vocabulary as the grammar's engine sees it: the bytes of each token in a trie, with control tokens apart from all text.

use std::sync::Arc;

use hearth_models::tokenizer::Tokenizer;
use llguidance::{
    ParserFactory, TokenParser,
    api::{ParserLimits, TopLevelGrammar},
    earley::SlicedBiasComputer,
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokRxInfo, TokTrie},
};

use crate::Error;

/// Longer ones the trie does not take; they may not be chosen under a grammar.
const MAX_TOKEN_BYTES: usize = 1000;

/// What a sequence's grammar may cost: some ten milliseconds of work to begin and for a token, some ten megabytes.
fn limits() -> ParserLimits {
    ParserLimits {
        // Four for each property that may be left out, of which `schema` takes 700 in an object.
        max_items_in_row: 4096,
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 200_000,
        step_max_items: 20_000,
        max_lexer_states: 30_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: true,
        verbose_errors: false,
    }
}

/// The vocabulary, ready for grammars. Clones share it.
#[derive(Clone)]
pub(crate) struct Vocabulary(Arc<ParserFactory>);

impl Vocabulary {
    /// Takes a moment for a large vocabulary.
    ///
    /// # Errors
    /// `internal`, should the grammar's engine not take it.
    pub(crate) fn new(tokenizer: &Tokenizer) -> Result<Self, Error> {
        let tokens = tokenizer.vocabulary() as u32;
        let words: Vec<Vec<u8>> = (0..tokens).map(|token| word(tokenizer, token)).collect();
        let ends: Vec<u32> = (0..tokens).filter(|token| tokenizer.is_end(*token)).collect();
        let info = TokRxInfo::new(tokens, ends.first().copied().unwrap_or(INVALID_TOKEN));
        let mut trie = TokTrie::from(&info, &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        // It spells no text itself: a text that a grammar leaves no choice about is chosen in tokens like any other, so that any kind of tokenizer will do.
        let environment: llguidance::toktrie::TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let made = ParserFactory::new(&environment, InferenceCapabilities::default(), &SlicedBiasComputer::general_slices());
        let mut factory = made.map_err(|error| Error::internal(format!("the vocabulary cannot be used with grammars: {error}")))?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(Self(Arc::new(factory)))
    }

    /// A parser at the beginning of `grammar`, or why there is none.
    pub(super) fn parser(&self, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
        self.0.create_parser(grammar).map_err(|error| format!("{error:#}"))
    }
}

/// A token's bytes in texts; of one that has none there, the mark of control tokens and its name.
fn word(tokenizer: &Tokenizer, token: u32) -> Vec<u8> {
    let text = tokenizer.token_bytes(token, false);
    let is_marked = |bytes: &[u8]| bytes.len() > 1 && bytes[0] == TokTrie::SPECIAL_TOKEN_MARKER;
    let word = match text.is_empty() {
        // No text has this byte, so one that begins with it and goes on would only be taken for a control token.
        false if is_marked(&text) => Vec::new(),
        false => text,
        true => match tokenizer.token_bytes(token, true) {
            name if name.is_empty() => Vec::new(),
            name => [&[TokTrie::SPECIAL_TOKEN_MARKER], &name[..]].concat(),
        },
    };
    if word.len() > MAX_TOKEN_BYTES { Vec::new() } else { word }
}
