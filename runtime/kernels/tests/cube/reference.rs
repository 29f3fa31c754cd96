//! Random inputs and plain f64 loops.

use half::f16;
use hearth_kernels::{AttentionShape, WeightType};

/// A small generator of reproducible noise (xorshift64*).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in −1..1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    /// Blocks of `elements` elements with any codes and sensible scales.
    pub(crate) fn weights(&mut self, ty: WeightType, elements: usize) -> Vec<u8> {
        match ty {
            WeightType::F32 => return self.floats(elements).iter().flat_map(|value| value.to_le_bytes()).collect(),
            WeightType::F16 => return self.floats(elements).iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
            WeightType::BF16 => return self.floats(elements).iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect(),
            _ => {}
        }
        // Where a block keeps its halves: scale, or scale and minimum.
        let halves: &[usize] = match ty {
            WeightType::Q4_0 | WeightType::Q5_0 | WeightType::Q8_0 => &[0],
            WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4K | WeightType::Q5K => &[0, 2],
            WeightType::Q2K => &[80, 82],
            WeightType::Q3K => &[108],
            WeightType::Q6K => &[208],
            other => unreachable!("{other:?} has no blocks"),
        };
        let mut bytes: Vec<u8> = (0..elements / ty.block_len() * ty.block_bytes()).map(|_| self.next() as u8).collect();
        for block in bytes.chunks_exact_mut(ty.block_bytes()) {
            for &offset in halves {
                block[offset..offset + 2].copy_from_slice(&f16::from_f32(0.02 * self.float()).to_le_bytes());
            }
        }
        bytes
    }
}

/// `x · Wᵀ` in f64, and for each output `Σ|w·x|`, which its error is relative to.
pub(crate) fn linear(x: &[f32], weight: &[f32], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let products = |x: &[f32], w: &[f32], f: fn(f64) -> f64| x.iter().zip(w).map(|(&x, &w)| f(f64::from(x) * f64::from(w))).sum();
    let rows = || x.chunks_exact(columns).flat_map(|x| weight.chunks_exact(columns).map(move |w| (x, w)));
    (rows().map(|(x, w)| products(x, w, |p| p)).collect(), rows().map(|(x, w)| products(x, w, f64::abs)).collect())
}

/// One row of attention: `keys` and `values` are those of all its sequence, a position a row.
pub(crate) fn attend(q: &[f32], keys: &[f32], values: &[f32], position: usize, shape: AttentionShape) -> Vec<f64> {
    let width = shape.kv_heads * shape.head_dim;
    let first = shape.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let mut out = Vec::new();
    for (head, q) in q.chunks_exact(shape.head_dim).enumerate() {
        let at = |position: usize| position * width + head / (shape.heads / shape.kv_heads) * shape.head_dim;
        let scores: Vec<f64> = (first..=position)
            .map(|p| q.iter().zip(&keys[at(p)..]).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() * f64::from(shape.scale))
            .map(|score| shape.cap.map(f64::from).map_or(score, |cap| cap * (score / cap).tanh()))
            .collect();
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        for element in 0..shape.head_dim {
            let sum: f64 = weights.iter().enumerate().map(|(i, weight)| weight * f64::from(values[at(first + i) + element])).sum();
            out.push(sum / total);
        }
    }
    out
}
