//! Log-probabilities of tokens, of a network's own distribution: log-softmax over a row of logits as the network gave it, before anything changes it. A row is
//! surveyed where it lies, and but a few numbers of it are read.

use burn::{
    backend::Dispatch,
    tensor::{DType, Device, Int, Tensor, TensorData},
};

use crate::{
    Answer, Ask,
    batch::indices,
    choose::{CANDIDATES, NO_TOKEN, SURVEY, from_key},
    ops::KernelOps,
};

/// A token's log-probability, and those of the likeliest tokens at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability; −∞ where that is 0.
    pub logprob: f32,
    /// The likeliest tokens in order, of equals those with the lowest ids first, with their log-probabilities.
    pub top: Vec<(u32, f32)>,
}

impl Odds {
    /// The likeliest tokens that can be asked for.
    pub const MOST: usize = CANDIDATES;
}

/// The rows whose log-probabilities are wanted.
#[derive(Debug)]
pub(crate) struct RawRows {
    /// Each row, and how many of its likeliest tokens.
    rows: Vec<(usize, usize)>,
    /// `[rows]`; `None` where they are all that there are.
    places: Option<Tensor<1, Int>>,
    /// `[rows]`, from 0.
    numbers: Tensor<1, Int>,
    /// `[rows, 2]`: the whole distribution at temperature 1.
    draws: Tensor<2>,
}

/// Those rows, with what was found of them on the device.
#[derive(Debug)]
pub(crate) struct Surveyed {
    rows: Vec<(usize, usize)>,
    logits: Tensor<2>,
    found: Tensor<1, Int>,
}

impl RawRows {
    /// The rows of `asks` that want any.
    pub(crate) fn new(asks: &[Ask], vocabulary: usize, device: &Device) -> Option<Self> {
        let wanted = |ask: &Ask| match ask {
            Ask::Token(rule) => rule.odds,
            Ask::Odds { token, top } => {
                assert!((*token as usize) < vocabulary, "the log-probability of token {token} of {vocabulary}");
                Some(*top)
            }
            Ask::Nothing | Ask::Logits => None,
        };
        let rows: Vec<(usize, usize)> = asks.iter().enumerate().filter_map(|(row, ask)| Some((row, wanted(ask)?))).collect();
        if rows.is_empty() {
            return None;
        }
        let places: Vec<u32> = rows.iter().map(|(row, _)| *row as u32).collect();
        let numbers: Vec<u32> = (0..rows.len() as u32).collect();
        Some(Self {
            places: (rows.len() < asks.len()).then(|| indices(&places, device)),
            numbers: indices(&numbers, device),
            draws: Tensor::from_data(TensorData::new([1.0f32, 0.0].repeat(rows.len()), [rows.len(), 2]), (device, DType::F32)),
            rows,
        })
    }

    /// Surveys them in `logits`, which are as the network gave them.
    pub(crate) fn survey(self, logits: &Tensor<2>) -> Surveyed {
        let logits = match self.places {
            Some(places) => logits.clone().select(0, places),
            None => logits.clone(),
        };
        let survey = <Dispatch as KernelOps>::survey(logits.clone().into_dispatch(), self.draws.into_dispatch());
        let tops = <Dispatch as KernelOps>::candidates(logits.clone().into_dispatch(), self.numbers.into_dispatch());
        Surveyed { rows: self.rows, logits, found: Tensor::cat(vec![Tensor::from_dispatch(survey), Tensor::from_dispatch(tops)], 0) }
    }
}

impl Surveyed {
    /// Adds the log-probabilities to the answers that are tokens by now.
    ///
    /// # Errors
    /// What the device said.
    pub(crate) fn tell(self, answers: &mut [Answer]) -> Result<(), String> {
        let found = self.found.try_into_vec_as::<u32>().map_err(|error| error.to_string())?;
        let (surveys, tops) = found.split_at(self.rows.len() * SURVEY);
        let (surveys, tops) = (surveys.as_chunks::<SURVEY>().0, tops.chunks_exact(2 * CANDIDATES));
        let vocabulary = self.logits.dims()[1];
        // Tokens that are not among the likeliest: the places of their logits, and whose they are.
        let (mut places, mut missing) = (Vec::new(), Vec::new());
        for (number, ((&(row, most), survey), top)) in self.rows.iter().zip(surveys).zip(tops).enumerate() {
            let Answer::Token(Some(token)) = answers[row] else { continue };
            let [best, _, highest, total] = *survey;
            if best == NO_TOKEN {
                answers[row] = Answer::Token(None);
                continue;
            }
            let scale = Scale { highest: f32::from_bits(highest), total: f32::from_bits(total) };
            let top = top.as_chunks::<2>().0.iter().take_while(|[_, token]| *token != NO_TOKEN);
            let mut top: Vec<(u32, f32)> = top.map(|&[key, token]| (token, scale.logprob(from_key(key)))).collect();
            let known = top.iter().find(|(other, _)| *other == token).map(|(_, logprob)| *logprob);
            top.truncate(most);
            if known.is_none() {
                places.push((number * vocabulary) as u32 + token);
                missing.push((row, scale));
            }
            answers[row] = Answer::Odds(Odds { token, logprob: known.unwrap_or(f32::NEG_INFINITY), top });
        }
        if places.is_empty() {
            return Ok(());
        }
        let places = indices(&places, &self.logits.device());
        let logits = self.logits.flatten::<1>(0, 1).select(0, places).try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
        for ((row, scale), logit) in missing.into_iter().zip(logits) {
            if let Answer::Odds(odds) = &mut answers[row] {
                odds.logprob = scale.logprob(logit);
            }
        }
        Ok(())
    }
}

/// What a row's logits are measured by: the highest, and the sum of e^(logit − highest).
#[derive(Debug, Clone, Copy)]
struct Scale {
    highest: f32,
    total: f32,
}

impl Scale {
    /// −∞ for what is not a number.
    fn logprob(self, logit: f32) -> f32 {
        let below = if logit == self.highest { 0.0 } else { logit - self.highest };
        if below.is_nan() { f32::NEG_INFINITY } else { below - self.total.ln() }
    }
}
