//! What a sequence's next token is to be chosen by: its request's settings, the tokens that it has for the penalties, and its own random numbers. The choice itself,
//! in llama.cpp's order, is made where the logits are: [`hearth_kernels::Chooser`].
//!
//! All state belongs to one sequence, so that what is drawn does not depend on the neighbours in a batch.

use std::collections::{BTreeMap, VecDeque};

use hearth_kernels::{Penalty, Rule};
use serde::Deserialize;

use crate::{Error, request::seed, rng::SplitMix64};

/// How a token is chosen. The defaults sample the model's own distribution.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sampling {
    /// 0 is greedy.
    pub(crate) temperature: f32,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub(crate) top_k: usize,
    /// Keep the likeliest tokens up to this probability together.
    pub(crate) top_p: f32,
    /// Keep tokens at least this likely in comparison with the likeliest.
    pub(crate) min_p: f32,
    /// Without one, one is drawn.
    #[serde(deserialize_with = "seed")]
    pub(crate) seed: Option<u64>,
    /// Divides positive and multiplies negative logits of recent tokens, the prompt's included.
    pub(crate) repeat_penalty: f32,
    /// Is subtracted for each time that a token was generated.
    pub(crate) frequency_penalty: f32,
    /// Is subtracted once for a token that was generated.
    pub(crate) presence_penalty: f32,
    /// Is added to the logits of tokens, before the penalties.
    pub(crate) logit_bias: BTreeMap<u32, f32>,
}

/// Tokens with a bias at most, and how far one goes.
const MAX_BIASED: usize = 1024;
const MAX_BIAS: f32 = 100.0;

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: None,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
        }
    }
}

impl Sampling {
    /// That every number makes sense.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let check = |name: &str, value: f32, good: bool, range: &str| {
            if good && value.is_finite() { Ok(()) } else { Err(Error::invalid(format!("`sampling.{name}` is {value}; give {range}"))) }
        };
        check("temperature", self.temperature, self.temperature >= 0.0, "0 (greedy) or more")?;
        check("top_p", self.top_p, (0.0..=1.0).contains(&self.top_p), "0 to 1")?;
        check("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0 to 1")?;
        check("repeat_penalty", self.repeat_penalty, self.repeat_penalty > 0.0, "more than 0 (1 is none)")?;
        check("frequency_penalty", self.frequency_penalty, true, "a finite number")?;
        check("presence_penalty", self.presence_penalty, true, "a finite number")?;
        if self.logit_bias.len() > MAX_BIASED {
            return Err(Error::invalid(format!("`sampling.logit_bias` has {} tokens; give at most {MAX_BIASED}", self.logit_bias.len())));
        }
        let range = format!("-{MAX_BIAS} to {MAX_BIAS}");
        self.logit_bias.iter().try_for_each(|(token, bias)| check(&format!("logit_bias.{token}"), *bias, bias.abs() <= MAX_BIAS, &range))
    }
}

/// A sequence's sampler.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
    /// The last tokens, prompt included, for `repeat_penalty`.
    recent: VecDeque<u32>,
    /// How often each token was generated, for the other two penalties.
    counts: BTreeMap<u32, u32>,
}

impl Sampler {
    /// Tokens that `repeat_penalty` looks back on: llama.cpp's default.
    const REPEAT_WINDOW: usize = 64;

    /// A sampler after `prompt`; `seed` is used unless the request has its own.
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], drawn_seed: u64) -> Self {
        let recent = prompt[prompt.len().saturating_sub(Self::REPEAT_WINDOW)..].iter().copied().collect();
        let random = SplitMix64::new(sampling.seed.unwrap_or(drawn_seed));
        Self { sampling, random, recent, counts: BTreeMap::new() }
    }

    /// How the next token is to be chosen after those that were taken and then `guessed`.
    pub(crate) fn rule(&self, guessed: &[u32]) -> Rule {
        let &Sampling { temperature, top_k, top_p, min_p, .. } = &self.sampling;
        let mut random = self.random.clone();
        let uniform = if self.draws() { (0..=guessed.len()).fold(0.0, |_, _| random.uniform()) } else { 0.0 };
        Rule { penalties: self.penalties(guessed), temperature, top_k, top_p, min_p, uniform, odds: None }
    }

    /// Remembers the token that was chosen.
    pub(crate) fn take(&mut self, token: u32) {
        if self.draws() {
            self.random.uniform();
        }
        if self.recent.len() == Self::REPEAT_WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(token);
        *self.counts.entry(token).or_default() += 1;
    }

    /// Whether tokens are drawn, each with a random number of its own.
    fn draws(&self) -> bool {
        self.sampling.temperature > 0.0
    }

    /// The request's biases; the repeat penalty of Keskar et al. ("CTRL", 2019) over the recent tokens; OpenAI's frequency and presence penalties over those generated.
    fn penalties(&self, guessed: &[u32]) -> Vec<Penalty> {
        let &Sampling { repeat_penalty, frequency_penalty, presence_penalty, ref logit_bias, .. } = &self.sampling;
        let none = |token| Penalty { token, plus: 0.0, divisor: 1.0, minus: 0.0 };
        let biased = |(&token, &plus): (&u32, &f32)| (token, Penalty { plus, ..none(token) });
        let mut penalties: BTreeMap<u32, Penalty> = logit_bias.iter().map(biased).collect();
        if repeat_penalty != 1.0 {
            for &token in self.recent.iter().chain(guessed).rev().take(Self::REPEAT_WINDOW) {
                penalties.entry(token).or_insert_with(|| none(token)).divisor = repeat_penalty;
            }
        }
        if frequency_penalty != 0.0 || presence_penalty != 0.0 {
            let mut counts = self.counts.clone();
            guessed.iter().for_each(|token| *counts.entry(*token).or_default() += 1);
            for (token, count) in counts {
                penalties.entry(token).or_insert_with(|| none(token)).minus = frequency_penalty * count as f32 + presence_penalty;
            }
        }
        penalties.into_values().collect()
    }
}

#[cfg(test)]
mod tests;
