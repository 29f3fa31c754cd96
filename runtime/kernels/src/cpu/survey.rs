//! Rows of logits: the highest, the sum of their weights, a draw from them, and the highest few in order. A pass of vectors each, over all threads.

#![allow(unsafe_code)]

use super::{
    math::exp,
    norm::sum,
    pool,
    simd::{Kernel, LANES, Simd},
    target,
};
use crate::choose::key;

/// Logits whose maximum and sum of weights are kept. Small enough that more blocks than wanted candidates are in a vocabulary, so that the maxima bound them.
const BLOCK: usize = 256;

/// What [`survey`] finds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Survey {
    /// The token of the highest logit, of equals the lowest; `None` when no logit is a number.
    pub(crate) best: Option<u32>,
    /// The drawn token.
    pub(crate) drawn: Option<u32>,
    pub(crate) highest: f32,
    /// The sum of e^((logit − highest) / temperature).
    pub(crate) total: f32,
}

/// Surveys a row; at temperature 0 only its highest logit. The draw takes the token at the share `uniform` of the sum of weights.
pub(crate) fn survey(logits: &[f32], temperature: f32, uniform: f32) -> Survey {
    let maxima = maxima(logits);
    let highest = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let within = |block: usize| &logits[block * BLOCK..logits.len().min((block + 1) * BLOCK)];
    let holder = |block: &usize| within(*block).contains(&highest);
    // A block whose maximum is −∞ may hold no number at all.
    let Some(block) = (0..maxima.len()).filter(|&block| maxima[block] == highest).find(holder) else { return Survey::default() };
    let place = within(block).iter().position(|&logit| logit == highest).unwrap_or(0);
    let best = Some((block * BLOCK + place) as u32);
    if temperature == 0.0 {
        return Survey { best, highest, ..Survey::default() };
    }
    let mut sums = vec![0.0; maxima.len()];
    pool::for_each_slice(&mut sums, 1, |block, out| {
        // Most blocks of a confident model are too far below to weigh anything.
        if weight(maxima[block], highest, temperature) > 0.0 {
            // SAFETY: the kernel asks for nothing.
            unsafe { target::run(Weights { logits: within(block), highest, temperature, sum: &mut out[0] }) }
        }
    });
    let total: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
    let mut rest = f64::from(uniform) * total;
    // Rounding can leave a little beyond the last: then it is the last of its block, or the likeliest.
    let mut drawn = best;
    for (block, &sum) in sums.iter().enumerate() {
        if rest >= f64::from(sum) {
            rest -= f64::from(sum);
            continue;
        }
        for (place, &logit) in within(block).iter().enumerate() {
            let weight = weight(logit, highest, temperature);
            if weight > 0.0 {
                drawn = Some((block * BLOCK + place) as u32);
                rest -= f64::from(weight);
                if rest < 0.0 {
                    break;
                }
            }
        }
        break;
    }
    Survey { best, drawn, highest, total: total as f32 }
}

/// What a logit weighs: 0 if it is not a number.
#[inline(always)]
fn weight(logit: f32, highest: f32, temperature: f32) -> f32 {
    let power = exp((logit - highest) / temperature);
    // Equals are not subtracted: both may be infinite.
    let power = if logit == highest { 1.0 } else { power };
    if logit.is_nan() { 0.0 } else { power }
}

/// The `count` highest logits that are numbers, in the order of [`key`] and then of tokens.
pub(crate) fn highest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let maxima = maxima(logits);
    // As many blocks as there are candidates have a logit at or above the bound, so that all candidates are.
    let mut bound = f32::NEG_INFINITY;
    if maxima.len() > count {
        let mut order = maxima.clone();
        order.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        bound = order[count - 1];
    }
    let mut found: Vec<(u32, f32)> = Vec::with_capacity(4 * count);
    for (block, logits) in logits.chunks(BLOCK).enumerate().filter(|(block, _)| maxima[*block] >= bound) {
        let tokens = (block * BLOCK) as u32..;
        found.extend(tokens.zip(logits.iter().copied()).filter(|(_, logit)| *logit >= bound));
    }
    let order = |a: &(u32, f32), b: &(u32, f32)| key(b.1).cmp(&key(a.1)).then(a.0.cmp(&b.0));
    if found.len() > count {
        found.select_nth_unstable_by(count - 1, order);
        found.truncate(count);
    }
    found.sort_unstable_by(order);
    found
}

/// The highest number of each block; −∞ where there is none.
fn maxima(logits: &[f32]) -> Vec<f32> {
    let mut maxima = vec![f32::NEG_INFINITY; logits.len().div_ceil(BLOCK)];
    const SLICE: usize = 32;
    pool::for_each_slice(&mut maxima, SLICE, |i, out| {
        let logits = &logits[i * SLICE * BLOCK..logits.len().min((i + 1) * SLICE * BLOCK)];
        // SAFETY: the kernel asks for nothing.
        unsafe { target::run(Maxima { logits, out }) }
    });
    maxima
}

struct Maxima<'a> {
    logits: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Maxima<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (logits, out) in self.logits.chunks(BLOCK).zip(self.out) {
            let mut lanes = [f32::NEG_INFINITY; LANES];
            let (whole, rest) = logits.as_chunks::<LANES>();
            for logits in whole {
                for i in 0..LANES {
                    // What is not a number is not greater.
                    lanes[i] = if logits[i] > lanes[i] { logits[i] } else { lanes[i] };
                }
            }
            *out = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |most, &logit| if logit > most { logit } else { most });
        }
    }
}

struct Weights<'a> {
    logits: &'a [f32],
    highest: f32,
    temperature: f32,
    sum: &'a mut f32,
}

impl Kernel for Weights<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut lanes = [0.0f32; LANES];
        let (whole, rest) = self.logits.as_chunks::<LANES>();
        for logits in whole {
            for i in 0..LANES {
                lanes[i] += weight(logits[i], self.highest, self.temperature);
            }
        }
        for (lane, &logit) in lanes.iter_mut().zip(rest) {
            *lane += weight(logit, self.highest, self.temperature);
        }
        *self.sum = sum(lanes);
    }
}
