//! Log-probabilities as OpenAI's API of completions has them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::generate::TokenLogprob;

/// The `logprobs` of a choice, or of a piece of one.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logprobs<'a> {
    tokens: Vec<&'a str>,
    token_logprobs: Vec<Option<f64>>,
    /// By the token's text, the token itself among them; null for the first of a prompt.
    top_logprobs: Vec<Option<Map<String, Value>>>,
    /// In characters.
    text_offset: Vec<usize>,
}

impl<'a> Logprobs<'a> {
    /// Of tokens whose text begins after `characters`, which then are those after it. `None` where there are none to tell.
    pub(super) fn of(tokens: impl Iterator<Item = &'a TokenLogprob>, characters: &mut usize) -> Option<Self> {
        let mut told = Self::default();
        for token in tokens {
            told.tokens.push(&token.token);
            told.token_logprobs.push(token.logprob);
            told.top_logprobs.push(token.logprob.map(|_| top(token)));
            told.text_offset.push(*characters);
            // A character that several tokens share begins in the first.
            *characters += token.bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        }
        (!told.tokens.is_empty()).then_some(told)
    }
}

fn top(token: &TokenLogprob) -> Map<String, Value> {
    let mut likeliest = Map::new();
    // Pieces of characters read alike: of those that do, the likeliest is told.
    for TokenLogprob { token, logprob, .. } in token.top.iter().chain([token]) {
        likeliest.entry(token).or_insert_with(|| json!(logprob));
    }
    likeliest
}
