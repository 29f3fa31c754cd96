//! The activation of a gated feed-forward layer.

#![allow(unsafe_code)]

use super::{
    math::exp,
    pool,
    simd::{Kernel, Simd},
    target,
};
use crate::Activation;

/// `activation(gate) × up` in place of `gate`, elementwise.
pub(crate) fn gated(gate: &mut [f32], up: &[f32], activation: Activation) {
    const SLICE: usize = 4096;
    if gate.len() < 4 * SLICE {
        some(gate, up, activation);
    } else {
        pool::for_each_slice(gate, SLICE, |i, gate| some(gate, &up[i * SLICE..][..gate.len()], activation));
    }
}

/// The same on this thread.
pub(super) fn some(gate: &mut [f32], up: &[f32], activation: Activation) {
    // SAFETY: the kernel asks for nothing.
    unsafe { target::run(Gated { gate, up, activation }) }
}

struct Gated<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
    activation: Activation,
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let pairs = self.gate.iter_mut().zip(self.up);
        match self.activation {
            Activation::Silu => {
                for (x, &up) in pairs {
                    *x = *x / (1.0 + exp(-*x)) * up;
                }
            }
            Activation::GeluTanh => {
                // 1 + tanh(t) = 2 / (1 + exp(−2t)), t = √(2/π) (x + 0.044715 x³).
                for (x, &up) in pairs {
                    let t = 0.797_884_6 * *x * (1.0 + 0.044_715 * *x * *x);
                    *x = *x / (1.0 + exp(-2.0 * t)) * up;
                }
            }
        }
    }
}
