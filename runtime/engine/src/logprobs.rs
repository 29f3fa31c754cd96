//! Log-probabilities as a request asks for them and is told them: of generated tokens, and of a prompt's.

use hearth_kernels::Odds;
use hearth_models::tokenizer::Tokenizer;
use serde::Serialize;

use crate::Error;

/// The likeliest tokens that are told at most.
const MOST: usize = 20;
/// Log-probabilities that are kept of a prompt at most, its tokens' own and those of the likeliest.
const MOST_OF_PROMPT: usize = 1 << 18;
/// What stands for the logarithm of 0, which JSON doesn't have.
const IMPOSSIBLE: f32 = -9999.0;

/// Rows of a step of whose logits all are kept at the same time: those of a chunk of a prompt.
pub(crate) const PROMPT_ROWS: usize = 32;

/// That a request asks for no more of the likeliest tokens than are told.
pub(crate) fn check(name: &str, top: Option<usize>) -> Result<(), Error> {
    match top.filter(|top| *top > MOST) {
        None => Ok(()),
        Some(top) => Err(Error::invalid(format!("`{name}` is {top}; give 0 to {MOST}"))),
    }
}

/// That those of a prompt of `tokens` tokens aren't too many.
pub(crate) fn check_prompt(top: Option<usize>, tokens: usize) -> Result<(), Error> {
    match top.map(|top| tokens * (top + 1)).filter(|count| *count > MOST_OF_PROMPT) {
        None => Ok(()),
        Some(count) => Err(Error::invalid(format!(
            "`prompt_logprobs` asks for {count} log-probabilities of {tokens} tokens; at most {MOST_OF_PROMPT} are kept: give a smaller number or a shorter prompt"
        ))),
    }
}

/// A prompt's log-probabilities while its rows are computed. Rows may be computed more than once, where a sequence has lost its blocks; each is asked for once.
#[derive(Debug)]
pub(crate) struct PromptLogprobs {
    first: u32,
    /// Rows after which a token of the prompt follows.
    rows: usize,
    top: usize,
    known: Vec<Odds>,
    taken: bool,
}

impl PromptLogprobs {
    pub(crate) fn new(prompt: &[u32], top: usize) -> Self {
        Self { first: prompt[0], rows: prompt.len() - 1, top, known: Vec::new(), taken: false }
    }

    /// Of the rows `from` to `end`, all that precede it known, those that are still to be asked for.
    pub(crate) fn wanted(&self, from: usize, end: usize) -> std::ops::Range<usize> {
        if self.taken {
            return 0..0;
        }
        let begin = from.max(self.known.len());
        begin..end.min(self.rows).max(begin)
    }

    /// How many of the likeliest tokens.
    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// Takes the next row's.
    pub(crate) fn push(&mut self, odds: Odds) {
        self.known.push(odds);
    }

    /// The prompt's first token and the log-probabilities of the others, once.
    pub(crate) fn take(&mut self) -> Option<(u32, Vec<Odds>)> {
        (!std::mem::replace(&mut self.taken, true)).then(|| (self.first, std::mem::take(&mut self.known)))
    }
}

/// A token as JSON has it.
#[derive(Serialize)]
struct Told {
    id: u32,
    token: String,
    bytes: Vec<u8>,
    logprob: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Told>>,
}

impl Told {
    fn new(id: u32, logprob: Option<f32>, tokenizer: &Tokenizer) -> Self {
        let bytes = tokenizer.token_bytes(id, true);
        let logprob = logprob.map(|logprob| logprob.max(IMPOSSIBLE));
        Self { id, token: String::from_utf8_lossy(&bytes).into_owned(), bytes, logprob, top: None }
    }

    fn of(odds: &Odds, tokenizer: &Tokenizer) -> Self {
        let top = odds.top.iter().map(|(token, logprob)| Self::new(*token, Some(*logprob), tokenizer)).collect();
        Self { top: Some(top), ..Self::new(odds.token, Some(odds.logprob), tokenizer) }
    }
}

/// The output `logprobs`, a JSON document.
pub(crate) fn document(odds: &[Odds], tokenizer: &Tokenizer) -> Vec<u8> {
    to_json(&odds.iter().map(|odds| Told::of(odds, tokenizer)).collect::<Vec<_>>())
}

/// The output `prompt_logprobs`, a JSON document.
pub(crate) fn prompt_document(first: u32, odds: &[Odds], tokenizer: &Tokenizer) -> Vec<u8> {
    let first = std::iter::once(Told::new(first, None, tokenizer));
    to_json(&first.chain(odds.iter().map(|odds| Told::of(odds, tokenizer))).collect::<Vec<_>>())
}

fn to_json(told: &[Told]) -> Vec<u8> {
    serde_json::to_vec(told).expect("numbers and texts are JSON")
}
