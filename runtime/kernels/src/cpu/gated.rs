//! The activation of a gated feed-forward layer.

#![allow(unsafe_code)]

use super::{
    math::exp,
    pool,
    simd::{Kernel, Simd},
    target,
};
use crate::Activation;

/// `activation(gate) × up` into `out`, elementwise.
pub(crate) fn gated(gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]) {
    const SLICE: usize = 4096;
    let slice = |i: usize, out: &mut [f32]| {
        let range = i * SLICE..i * SLICE + out.len();
        // SAFETY: the kernel asks for nothing.
        unsafe { target::run(Gated { gate: &gate[range.clone()], up: &up[range], activation, out }) }
    };
    if gate.len() < 4 * SLICE {
        out.chunks_mut(SLICE).enumerate().for_each(|(i, out)| slice(i, out));
    } else {
        pool::for_each_slice(out, SLICE, slice);
    }
}

struct Gated<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    activation: Activation,
    out: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let rows = self.out.iter_mut().zip(self.gate).zip(self.up);
        match self.activation {
            Activation::Silu => {
                for ((out, &x), &up) in rows {
                    *out = x / (1.0 + exp(-x)) * up;
                }
            }
            Activation::GeluTanh => {
                // 1 + tanh(t) = 2 / (1 + exp(−2t)), t = √(2/π) (x + 0.044715 x³).
                for ((out, &x), &up) in rows {
                    let t = 0.797_884_6 * x * (1.0 + 0.044_715 * x * x);
                    *out = x / (1.0 + exp(-2.0 * t)) * up;
                }
            }
        }
    }
}
