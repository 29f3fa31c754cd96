//! Root-mean-square norm and layer norm.

#![allow(unsafe_code)]

use super::{
    pool,
    simd::{Kernel, LANES, Simd},
    target,
};

/// Norms each group of `weight.len()` elements of `x` into `out`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let n = weight.len();
    let some = |at: usize, out: &mut [f32]| {
        // SAFETY: the kernel asks for nothing.
        unsafe { target::run(RmsNorm { x: &x[at..at + out.len()], weight, eps, out }) }
    };
    if x.len() < 1 << 16 {
        some(0, out);
    } else {
        pool::for_each_slice(out, n, |i, out| some(i * n, out));
    }
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = self.weight.len();
        for (x, out) in self.x.chunks_exact(n).zip(self.out.chunks_exact_mut(n)) {
            let mean = lanes(x, |x| x * x) / n as f32;
            let scale = 1.0 / (mean + self.eps).sqrt();
            for i in 0..n {
                out[i] = x[i] * scale * self.weight[i];
            }
        }
    }
}

/// Norms each group of `weight.len()` elements of `x` into `out`.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let n = weight.len();
    let some = |at: usize, out: &mut [f32]| {
        // SAFETY: the kernel asks for nothing.
        unsafe { target::run(LayerNorm { x: &x[at..at + out.len()], weight, bias, eps, out }) }
    };
    if x.len() < 1 << 16 {
        some(0, out);
    } else {
        pool::for_each_slice(out, n, |i, out| some(i * n, out));
    }
}

struct LayerNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = self.weight.len();
        for (x, out) in self.x.chunks_exact(n).zip(self.out.chunks_exact_mut(n)) {
            let mean = lanes(x, |x| x) / n as f32;
            let variance = lanes(x, |x| (x - mean) * (x - mean)) / n as f32;
            let scale = 1.0 / (variance + self.eps).sqrt();
            for i in 0..n {
                out[i] = (x[i] - mean) * scale * self.weight[i] + self.bias[i];
            }
        }
    }
}

/// The sum of `term` over `x`, in 16 lanes.
#[inline(always)]
fn lanes(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for i in 0..LANES {
            sums[i] += term(x[i]);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += term(*x);
    }
    sum(sums)
}

/// The sum of 16 lanes, halves onto halves.
#[inline(always)]
pub(super) fn sum(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}
