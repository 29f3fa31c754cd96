//! From rows of logits to tokens, without the logits leaving their device: biases and penalties, the mask of a grammar, top-k, top-p, min-p, temperature, then a draw, in
//! llama.cpp's order.
//!
//! A token that a mask leaves out gets a logit that is no number, which nothing here ever chooses or counts: so filters see the distribution over the allowed tokens.
//!
//! The device gives the highest token of each row, the sum of the weights with a draw from them, and the [`CANDIDATES`] highest logits in order. What filters keep
//! is nearly always among those; where it cannot be shown to be, the row itself is read. Either way the same candidates come out in the same order: a token never
//! depends on which way was taken.

use burn::{
    backend::Dispatch,
    tensor::{DType, Device, Int, Tensor, TensorData},
};

use crate::{
    batch::indices,
    odds::{Odds, RawRows},
    ops::KernelOps,
};

/// Candidates that the device finds: enough for the usual top-k, and mostly for the usual top-p.
pub(crate) const CANDIDATES: usize = 64;
/// What stands in place of a token where there is none.
pub(crate) const NO_TOKEN: u32 = u32::MAX;
/// Numbers of a row's survey: highest token, drawn token, highest logit, sum of the weights (the last two as bits).
pub(crate) const SURVEY: usize = 4;

/// What is wanted of a row of logits.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Nothing: nobody waits for this row.
    Nothing,
    /// The logits themselves.
    Logits,
    /// The token that a rule chooses.
    Token(Rule),
    /// The log-probability of a token that is known, and of the `top` likeliest.
    Odds {
        /// The token.
        token: u32,
        /// At most [`Odds::MOST`].
        top: usize,
    },
}

/// How a token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What the logits of some tokens are changed by, before all else. No token twice.
    pub penalties: Vec<Penalty>,
    /// 0 takes the token of the highest logit, of equals the one with the lowest id, and asks for nothing below.
    pub temperature: f32,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens up to this probability together.
    pub top_p: f32,
    /// Keep tokens at least this likely in comparison with the likeliest.
    pub min_p: f32,
    /// Where in the distribution the draw falls, 0 to below 1.
    pub uniform: f64,
    /// Tell the token's log-probability too, and those of this many of the likeliest ([`Odds::MOST`] at most).
    pub odds: Option<usize>,
}

/// A change of one token's logit: `plus` is added, then a positive one is divided by `divisor`, a negative one multiplied, then `minus` is taken off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    /// The token.
    pub token: u32,
    /// 0 changes nothing.
    pub plus: f32,
    /// 1 changes nothing.
    pub divisor: f32,
    /// 0 changes nothing.
    pub minus: f32,
}

/// The tokens that a row may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The row of the logits.
    pub row: usize,
    /// A bit for each token, the lowest of the first word for token 0; tokens past the last word may not be chosen.
    pub allowed: Vec<u32>,
}

/// What became of an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// As was asked for.
    Nothing,
    /// The row.
    Logits(Vec<f32>),
    /// The token; `None` when no logit of the row is a number (of those that a mask leaves).
    Token(Option<u32>),
    /// The token with its log-probability, where that was asked for and the token is there.
    Odds(Odds),
}

/// A token and its logit.
type Candidate = (u32, f32);

impl Rule {
    /// Whether anything is kept out of the draw.
    fn filters(&self) -> bool {
        self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0
    }

    /// The temperature of the weights that the device sums up: 0 where nobody needs the sum. Filters see the model's own distribution.
    fn weighed_at(&self) -> f32 {
        if self.temperature > 0.0 && self.filters() { 1.0 } else { self.temperature }
    }

    /// Whether the device's candidates may be enough.
    fn looks_at_candidates(&self) -> bool {
        self.temperature > 0.0 && self.filters() && self.top_k <= CANDIDATES
    }

    /// Cuts `candidates`, the highest of a row in order, down to those that are kept. False when it takes more of the row than these to know; never where they
    /// are `all`. `total` is the sum of the row's weights at temperature 1.
    fn keep(&self, candidates: &mut Vec<Candidate>, mut all: bool, mut total: f64) -> bool {
        let Some(&(_, highest)) = candidates.first() else { return all };
        let weight = |logit: f32| weight(logit, highest, 1.0);
        if self.top_k > 0 {
            if !all && candidates.len() < self.top_k {
                return false;
            }
            candidates.truncate(self.top_k);
            all = true;
            total = candidates.iter().map(|(_, logit)| weight(*logit)).sum();
        }
        if self.top_p < 1.0 {
            let mut sum = 0.0;
            let reached = candidates.iter().position(|(_, logit)| {
                sum += weight(*logit);
                sum >= f64::from(self.top_p) * total
            });
            match reached {
                Some(last) => candidates.truncate(last + 1),
                None if !all => return false,
                None => {}
            }
            all |= reached.is_some();
        }
        if self.min_p > 0.0 {
            let bound = highest + self.min_p.ln();
            match candidates.iter().position(|(_, logit)| *logit < bound) {
                Some(kept) => {
                    candidates.truncate(kept);
                    all = true;
                }
                None if !all => return false,
                None => {}
            }
        }
        all
    }

    /// Draws one of the kept.
    fn draw(&self, candidates: &[Candidate]) -> Option<u32> {
        let &(_, highest) = candidates.first()?;
        let weight = |logit: f32| weight(logit, highest, self.temperature);
        let total: f64 = candidates.iter().map(|(_, logit)| weight(*logit)).sum();
        let mut rest = self.uniform * total;
        for (token, logit) in candidates {
            rest -= weight(*logit);
            if rest < 0.0 {
                return Some(*token);
            }
        }
        // Rounding can leave a little beyond the last.
        candidates.iter().rev().find(|(_, logit)| weight(*logit) > 0.0).map(|(token, _)| *token)
    }

    /// Chooses from a whole row.
    fn choose_from(&self, logits: &[f32], total: f64) -> Option<u32> {
        let numbers = logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan());
        let mut row: Vec<Candidate> = numbers.map(|(token, logit)| (token as u32, *logit)).collect();
        // Mostly few are kept: sort a growing head instead of a whole vocabulary.
        let mut head = (8 * CANDIDATES).max(self.top_k);
        loop {
            let all = head >= row.len();
            if !all {
                row.select_nth_unstable_by(head - 1, by_logit);
            }
            let mut candidates = row[..head.min(row.len())].to_vec();
            candidates.sort_unstable_by(by_logit);
            if self.keep(&mut candidates, all, total) {
                return self.draw(&candidates);
            }
            head *= 8;
        }
    }
}

/// What a logit weighs, relative to the highest, so that neither an infinite logit nor a tiny temperature makes a weight that is not a number.
fn weight(logit: f32, highest: f32, temperature: f32) -> f64 {
    if logit == highest { 1.0 } else { f64::from((logit - highest) / temperature).exp() }
}

/// Descending by logit, ascending by id among equals: a total order, so that results do not depend on a sort's details.
fn by_logit(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    key(b.1).cmp(&key(a.1)).then(a.0.cmp(&b.0))
}

/// A number that is in the order of floats. Zeros are equal whatever their sign; what is not a number is 0, below all that are.
pub(crate) fn key(logit: f32) -> u32 {
    let bits = (logit + 0.0).to_bits();
    if logit.is_nan() {
        0
    } else if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

/// The float of a key.
pub(crate) fn from_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key ^ 1 << 31 } else { !key })
}

/// The asks of a step's rows, with what the device needs to know of them put there: made before the step's first operation, so that nothing has to be uploaded in its
/// midst.
#[derive(Debug)]
pub struct Chooser {
    asks: Vec<Ask>,
    vocabulary: usize,
    /// `[penalties]`, i32: places in the logits, a row after the other; `[penalties, 3]`: what is added, divisors and what is taken off.
    penalties: Option<(Tensor<1, Int>, Tensor<2>)>,
    /// `[rows, 2]`: temperature and place of the draw. `None` where no token is asked for.
    draws: Option<Tensor<2>>,
    /// Rows whose candidates are looked at.
    candidates: Vec<u32>,
    candidate_rows: Option<Tensor<1, Int>>,
    /// Rows whose log-probabilities are wanted.
    odds: Option<RawRows>,
}

impl Chooser {
    /// Puts `asks`, one for each row of logits over `vocabulary` tokens, on `device`.
    ///
    /// # Panics
    /// When a penalized token, or one whose log-probability is wanted, is not in the vocabulary.
    pub fn new(asks: Vec<Ask>, vocabulary: usize, device: &Device) -> Self {
        let (mut places, mut changes) = (Vec::new(), Vec::new());
        let mut draws = Vec::with_capacity(2 * asks.len());
        let mut candidates = Vec::new();
        for (row, ask) in asks.iter().enumerate() {
            let Ask::Token(rule) = ask else {
                draws.extend([0.0; 2]);
                continue;
            };
            for &Penalty { token, plus, divisor, minus } in &rule.penalties {
                assert!((token as usize) < vocabulary, "a penalty for token {token} of {vocabulary}");
                places.push((row * vocabulary) as u32 + token);
                changes.extend([plus, divisor, minus]);
            }
            draws.extend([rule.weighed_at(), rule.uniform as f32]);
            if rule.looks_at_candidates() {
                candidates.push(row as u32);
            }
        }
        let rows_of = |width: usize, values: Vec<f32>| {
            let shape = [values.len() / width, width];
            Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
        };
        let tokens = asks.iter().any(|ask| matches!(ask, Ask::Token(_)));
        Self {
            vocabulary,
            penalties: (!places.is_empty()).then(|| (indices(&places, device), rows_of(3, changes))),
            draws: tokens.then(|| rows_of(2, draws)),
            candidate_rows: (!candidates.is_empty()).then(|| indices(&candidates, device)),
            candidates,
            odds: RawRows::new(&asks, vocabulary, device),
            asks,
        }
    }

    /// Answers the asks from `logits: [asks, vocabulary]`; rows of `masks`, no row twice, choose among the tokens that they allow.
    ///
    /// # Errors
    /// What the device said, when something could not be read.
    ///
    /// # Panics
    /// When there is not one row for each ask.
    pub fn answer(mut self, mut logits: Tensor<2>, masks: &[Mask]) -> Result<Vec<Answer>, String> {
        assert_eq!(logits.dims(), [self.asks.len(), self.vocabulary], "rows of logits");
        let odds = self.odds.take().map(|rows| rows.survey(&logits));
        if let Some((places, changes)) = self.penalties {
            logits = Tensor::from_dispatch(<Dispatch as KernelOps>::penalize(
                logits.into_dispatch(),
                places.into_dispatch(),
                changes.into_dispatch(),
            ));
        }
        if !masks.is_empty() {
            logits = mask(logits, masks);
        }
        let (mut surveys, mut tops) = (Vec::new(), Vec::new());
        if let Some(draws) = self.draws {
            let survey =
                Tensor::<1, Int>::from_dispatch(<Dispatch as KernelOps>::survey(logits.clone().into_dispatch(), draws.into_dispatch()));
            let found = match self.candidate_rows {
                None => survey,
                Some(rows) => {
                    let tops = <Dispatch as KernelOps>::candidates(logits.clone().into_dispatch(), rows.into_dispatch());
                    Tensor::cat(vec![survey, Tensor::from_dispatch(tops)], 0)
                }
            };
            surveys = found.try_into_vec_as::<u32>().map_err(|error| error.to_string())?;
            tops = surveys.split_off(self.asks.len() * SURVEY);
        }
        let mut tops = self.candidates.iter().zip(tops.chunks_exact(2 * CANDIDATES)).peekable();
        let mut answers = vec![Answer::Nothing; self.asks.len()];
        // Rows that must be read, with their sums of weights.
        let mut whole: Vec<(usize, f64)> = Vec::new();
        for (row, (ask, answer)) in self.asks.iter().zip(&mut answers).enumerate() {
            let rule = match ask {
                Ask::Nothing => continue,
                Ask::Odds { token, .. } => {
                    *answer = Answer::Token(Some(*token));
                    continue;
                }
                Ask::Logits => {
                    whole.push((row, 0.0));
                    continue;
                }
                Ask::Token(rule) => rule,
            };
            let survey = &surveys[row * SURVEY..][..SURVEY];
            let total = f64::from(f32::from_bits(survey[3]));
            let token = |token: u32| (token != NO_TOKEN).then_some(token);
            if rule.temperature == 0.0 || survey[0] == NO_TOKEN {
                *answer = Answer::Token(token(survey[0]));
            } else if !rule.filters() {
                *answer = Answer::Token(token(survey[1]));
            } else {
                let top = tops.next_if(|(at, _)| **at as usize == row);
                match top.and_then(|(_, top)| rule.choose_among(top, total)) {
                    Some(token) => *answer = Answer::Token(Some(token)),
                    None => whole.push((row, total)),
                }
            }
        }
        if !whole.is_empty() {
            let rows: Vec<u32> = whole.iter().map(|(row, _)| *row as u32).collect();
            if rows.len() < self.asks.len() {
                let rows = indices(&rows, &logits.device());
                logits = logits.select(0, rows);
            }
            let logits = logits.try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
            for ((row, total), logits) in whole.into_iter().zip(logits.chunks_exact(self.vocabulary)) {
                answers[row] = match &self.asks[row] {
                    Ask::Token(rule) => Answer::Token(rule.choose_from(logits, total)),
                    _ => Answer::Logits(logits.to_vec()),
                };
            }
        }
        if let Some(odds) = odds {
            odds.tell(&mut answers)?;
        }
        Ok(answers)
    }
}

/// `logits` without numbers where `masks` allow no token.
fn mask(logits: Tensor<2>, masks: &[Mask]) -> Tensor<2> {
    let [rows, vocabulary] = logits.dims();
    let device = logits.device();
    let words = vocabulary.div_ceil(32);
    let mut allowed = Vec::with_capacity(masks.len() * words);
    for mask in masks {
        assert!(mask.row < rows, "a mask for row {} of {rows}", mask.row);
        let given = mask.allowed.iter().copied().chain(std::iter::repeat(0));
        allowed.extend(given.take(words).map(u32::cast_signed));
    }
    let places: Vec<u32> = masks.iter().map(|mask| mask.row as u32).collect();
    let allowed = Tensor::<2, Int>::from_data(TensorData::new(allowed, [masks.len(), words]), (&device, DType::I32));
    let places = indices(&places, &device);
    Tensor::from_dispatch(<Dispatch as KernelOps>::mask(logits.into_dispatch(), places.into_dispatch(), allowed.into_dispatch()))
}

impl Rule {
    /// Chooses from a row's candidates, as the device gives them: keys and tokens. `None` when these are not enough.
    fn choose_among(&self, top: &[u32], total: f64) -> Option<u32> {
        let found = top.as_chunks::<2>().0.iter().take_while(|[_, token]| *token != NO_TOKEN);
        let mut candidates: Vec<Candidate> = found.map(|&[key, token]| (token, from_key(key))).collect();
        let all = candidates.len() < CANDIDATES;
        if self.keep(&mut candidates, all, total) { self.draw(&candidates) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_floats() {
        let floats = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        assert!(floats.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(floats.map(|float| from_key(key(float))), floats);
        assert_eq!(key(-0.0), key(0.0));
        assert!([f32::NAN, -f32::NAN].iter().all(|nan| key(*nan) == 0) && key(f32::NEG_INFINITY) > 0);
    }
}
