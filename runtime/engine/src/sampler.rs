//! From logits to the next token: penalties, top-k, top-p, min-p, temperature, then a seeded draw, in llama.cpp's order.
//!
//! All state belongs to one sequence, so that what is drawn does not depend on the neighbours in a batch.

use std::collections::{HashMap, VecDeque};

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
}

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
        check("presence_penalty", self.presence_penalty, true, "a finite number")
    }
}

/// A token and its logit, later its weight.
type Candidate = (u32, f32);

/// A sequence's sampler.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
    /// The last tokens, prompt included, for `repeat_penalty`.
    recent: VecDeque<u32>,
    /// How often each token was generated, for the other two penalties.
    counts: HashMap<u32, u32>,
}

impl Sampler {
    /// Tokens that `repeat_penalty` looks back on: llama.cpp's default.
    const REPEAT_WINDOW: usize = 64;

    /// A sampler after `prompt`; `seed` is used unless the request has its own.
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], drawn_seed: u64) -> Self {
        let recent = prompt[prompt.len().saturating_sub(Self::REPEAT_WINDOW)..].iter().copied().collect();
        let random = SplitMix64::new(sampling.seed.unwrap_or(drawn_seed));
        Self { sampling, random, recent, counts: HashMap::new() }
    }

    /// Chooses the next token after `logits`, a row of the vocabulary, and remembers it. `None` when no logit is a number.
    pub(crate) fn sample(&mut self, logits: &mut [f32]) -> Option<u32> {
        self.penalize(logits);
        let token = if self.sampling.temperature == 0.0 { greedy(logits) } else { self.draw(logits) }?;
        if self.recent.len() == Self::REPEAT_WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(token);
        *self.counts.entry(token).or_default() += 1;
        Some(token)
    }

    /// The repeat penalty of Keskar et al. ("CTRL", 2019) over the recent tokens; OpenAI's frequency and presence penalties over those generated.
    fn penalize(&self, logits: &mut [f32]) {
        let Sampling { repeat_penalty, frequency_penalty, presence_penalty, .. } = self.sampling;
        if repeat_penalty != 1.0 {
            let mut recent: Vec<u32> = self.recent.iter().copied().collect();
            recent.sort_unstable();
            recent.dedup();
            for token in recent {
                let logit = &mut logits[token as usize];
                *logit = if *logit > 0.0 { *logit / repeat_penalty } else { *logit * repeat_penalty };
            }
        }
        if frequency_penalty != 0.0 || presence_penalty != 0.0 {
            for (token, count) in &self.counts {
                logits[*token as usize] -= frequency_penalty * *count as f32 + presence_penalty;
            }
        }
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let mut candidates: Vec<Candidate> =
            logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan()).map(|(token, logit)| (token as u32, *logit)).collect();
        if top_k > 0 && top_k < candidates.len() {
            keep_top(&mut candidates, top_k);
        }
        if top_p < 1.0 {
            keep_probable(&mut candidates, top_p);
        }
        let highest = highest(&candidates)?;
        if min_p > 0.0 {
            let bound = highest + min_p.ln();
            candidates.retain(|(_, logit)| *logit >= bound);
        }
        // Relative to the highest, so that neither an infinite logit nor a tiny temperature makes a weight that is not a number.
        let weight = |logit: f32| if logit == highest { 1.0 } else { f64::from((logit - highest) / temperature).exp() };
        let total: f64 = candidates.iter().map(|(_, logit)| weight(*logit)).sum();
        let mut rest = self.random.uniform() * total;
        for (token, logit) in &candidates {
            rest -= weight(*logit);
            if rest < 0.0 {
                return Some(*token);
            }
        }
        // Rounding can leave a little beyond the last.
        candidates.iter().rev().find(|(_, logit)| weight(*logit) > 0.0).map(|(token, _)| *token)
    }
}

/// The token of the highest logit; the lowest id of equals.
pub(crate) fn greedy(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (token, logit) in logits.iter().enumerate() {
        if !logit.is_nan() && best.is_none_or(|(_, highest)| *logit > highest) {
            best = Some((token as u32, *logit));
        }
    }
    best.map(|(token, _)| token)
}

fn highest(candidates: &[Candidate]) -> Option<f32> {
    candidates.iter().map(|(_, logit)| *logit).reduce(f32::max)
}

/// Descending by logit, ascending by id among equals: a total order, so that results do not depend on a sort's details.
fn by_logit(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the `count` highest candidates, sorted; `count` is at least 1 and below their number.
fn keep_top(candidates: &mut Vec<Candidate>, count: usize) {
    candidates.select_nth_unstable_by(count - 1, by_logit);
    candidates.truncate(count);
    candidates.sort_unstable_by(by_logit);
}

/// Keeps the fewest of the highest candidates whose probabilities reach `top_p` together, at least one.
fn keep_probable(candidates: &mut Vec<Candidate>, top_p: f32) {
    let Some(highest) = highest(candidates) else { return };
    let weight = |candidate: &Candidate| if candidate.1 == highest { 1.0 } else { f64::from(candidate.1 - highest).exp() };
    let total: f64 = candidates.iter().map(weight).sum();
    // Mostly a few tokens reach it: sort a growing head instead of a whole vocabulary.
    let mut head = 64;
    loop {
        let whole = head >= candidates.len();
        if whole {
            candidates.sort_unstable_by(by_logit);
        } else {
            candidates.select_nth_unstable_by(head - 1, by_logit);
            candidates[..head].sort_unstable_by(by_logit);
        }
        let mut sum = 0.0;
        let reached = candidates.iter().take(head).position(|candidate| {
            sum += weight(candidate);
            sum >= f64::from(top_p) * total
        });
        match reached {
            Some(last) => return candidates.truncate(last + 1),
            None if whole => return,
            None => head *= 8,
        }
    }
}

#[cfg(test)]
mod tests;
