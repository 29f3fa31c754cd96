//! Log-probabilities as OpenAI's chat API has them.

use serde::Serialize;
use serde_json::Value;

use crate::generate::TokenLogprob;

/// Most tokens that are told at a place.
pub(crate) const MAX_TOP: u32 = 20;

/// What OpenAI writes for a token that cannot be: JSON has no infinity.
const IMPOSSIBLE: f64 = -9999.0;

/// The `logprobs` of a choice.
#[derive(Debug, Serialize)]
pub(crate) struct Logprobs<'a> {
    content: Vec<Token<'a>>,
    refusal: (),
}

/// A token and the likeliest at its place.
#[derive(Debug, Serialize)]
pub(crate) struct Token<'a> {
    #[serde(flatten)]
    token: Candidate<'a>,
    top_logprobs: Vec<Candidate<'a>>,
}

#[derive(Debug, Serialize)]
struct Candidate<'a> {
    token: &'a str,
    logprob: f64,
    bytes: &'a [u8],
}

impl<'a> Logprobs<'a> {
    /// `None` where there are none to tell.
    pub(crate) fn of(tokens: &'a [TokenLogprob]) -> Option<Self> {
        (!tokens.is_empty()).then(|| Self { content: tokens.iter().map(Token::from).collect(), refusal: () })
    }
}

impl<'a> From<&'a TokenLogprob> for Token<'a> {
    fn from(token: &'a TokenLogprob) -> Self {
        Self { token: token.into(), top_logprobs: token.top.iter().map(Candidate::from).collect() }
    }
}

/// Each token as a document of its own.
pub(crate) fn tokens(tokens: &[TokenLogprob]) -> Vec<Value> {
    let told = Logprobs::of(tokens).map(|told| told.content).unwrap_or_default();
    told.iter().map(|token| serde_json::to_value(token).unwrap_or_default()).collect()
}

impl<'a> From<&'a TokenLogprob> for Candidate<'a> {
    fn from(token: &'a TokenLogprob) -> Self {
        Self { token: &token.token, logprob: token.logprob.unwrap_or(IMPOSSIBLE), bytes: &token.bytes }
    }
}
