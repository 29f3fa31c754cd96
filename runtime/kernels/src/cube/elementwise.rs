//! Norm, rotary embedding and gated activation: little arithmetic, one pass over memory each.

use std::f32::consts::FRAC_2_PI;

use burn::tensor::{DType, Shape};
use burn_cubecl::{ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{contiguous, grid};
use crate::ops::{Activation, RopeStyle};

/// Units of a cube.
const UNITS: u32 = 64;

/// An uninitialized tensor like `x`.
fn empty_like(x: &CubeTensor) -> CubeTensor {
    let (m, n) = (x.meta.shape()[0], x.meta.shape()[1]);
    empty_device_dtype(x.client.clone(), x.device.clone(), Shape::from([m, n]), DType::F32)
}

/// See [`crate::rms_norm`].
pub(super) fn rms_norm(x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
    let (x, weight) = (contiguous(x), contiguous(weight));
    let out = empty_like(&x);
    let len = weight.meta.shape()[0];
    let groups = x.meta.num_elements() / len.max(1);
    if groups == 0 {
        return out;
    }
    let (wide, deep) = grid(groups);
    // SAFETY: the kernel leaves cubes past the last group idle, and a group is `len` elements of `x`, which is a multiple of it.
    #[allow(unsafe_code)]
    unsafe {
        rms_norm_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            groups as u32,
            len as u32,
            eps,
        );
    }
    out
}

/// A cube norms one group.
#[cube(launch_unchecked)]
fn rms_norm_kernel(x: &[f32], weight: &[f32], out: &mut [f32], groups: u32, len: u32, eps: f32) {
    let unit = UNIT_POS_X;
    // Cubes past the last group norm it again rather than leave others waiting at the barrier.
    let group = min(CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X, groups - 1u32);
    let start = group * len;
    let mut squares = Shared::<[f32]>::new_slice(comptime!(UNITS as usize));
    let mut sum = 0.0f32;
    let mut index = unit;
    while index < len {
        let value = x[(start + index) as usize];
        sum = fma(value, value, sum);
        index += UNITS;
    }
    squares[unit as usize] = sum;
    sync_cube();
    let mut total = 0.0f32;
    for other in 0..UNITS {
        total += squares[other as usize];
    }
    let scale = 1.0f32 / (total / f32::cast_from(len) + eps).sqrt();
    let mut index = unit;
    while index < len {
        out[(start + index) as usize] = x[(start + index) as usize] * scale * weight[index as usize];
        index += UNITS;
    }
}

/// See [`crate::rope`].
pub(super) fn rope(
    x: CubeTensor,
    positions: CubeTensor,
    (frequencies, magnitude): (CubeTensor, f32),
    head_dim: usize,
    style: RopeStyle,
) -> CubeTensor {
    let (x, positions, frequencies) = (contiguous(x), contiguous(positions), contiguous(frequencies));
    let out = empty_like(&x);
    let elements = x.meta.num_elements();
    if elements == 0 {
        return out;
    }
    let pairs = frequencies.meta.shape()[0];
    assert!(2 * pairs <= head_dim, "RoPE rotates {} elements, more than the {head_dim} of a head", 2 * pairs);
    let (wide, deep) = grid(elements.div_ceil(UNITS as usize));
    let width = x.meta.shape()[1];
    // SAFETY: the kernel leaves units past the last element idle; a partner lies in the same head, and there is a position for each row.
    #[allow(unsafe_code)]
    unsafe {
        rope_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            x.into_buffer_arg(),
            positions.into_buffer_arg(),
            frequencies.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            elements as u32,
            width as u32,
            head_dim as u32,
            pairs as u32,
            magnitude,
            style == RopeStyle::Interleaved,
        );
    }
    out
}

/// A unit turns one element.
#[cube(launch_unchecked)]
fn rope_kernel(
    x: &[f32],
    positions: &[i32],
    frequencies: &[f32],
    out: &mut [f32],
    elements: u32,
    width: u32,
    head_dim: u32,
    pairs: u32,
    magnitude: f32,
    #[comptime] interleaved: bool,
) {
    let element = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if element < elements {
        let value = x[element as usize];
        let index = (element % width) % head_dim;
        if index < 2u32 * pairs {
            let mut pair = index / 2u32;
            let mut second = index % 2u32 == 1u32;
            let mut distance = 1u32;
            if comptime!(!interleaved) {
                pair = index % pairs;
                second = index >= pairs;
                distance = pairs;
            }
            let angle = f32::cast_from(positions[(element / width) as usize]) * frequencies[pair as usize];
            let cosine = wave(angle, 1u32) * magnitude;
            let sine = wave(angle, 0u32) * magnitude;
            if second {
                let partner = x[(element - distance) as usize];
                out[element as usize] = fma(partner, sine, value * cosine);
            } else {
                let partner = x[(element + distance) as usize];
                out[element as usize] = fma(-partner, sine, value * cosine);
            }
        } else {
            out[element as usize] = value;
        }
    }
}

/// `sin(angle + phase · π/2)` for non-negative angles up to about 10⁵.
///
/// Shading languages promise 2⁻¹¹ of absolute error, and that only within ±π, which is not enough for a position in a long context. So: Cody and Waite's reduction
/// by π/2 in three parts, then the minimax polynomials of Moshier's Cephes library (`sinf`, `cosf`).
#[cube]
fn wave(angle: f32, phase: u32) -> f32 {
    let quarter = (angle * FRAC_2_PI + 0.5f32).floor();
    let mut r = angle - quarter * 1.570_312_5f32;
    r -= quarter * 4.837_513e-4f32;
    r -= quarter * 7.549_79e-8f32;
    let turn = (u32::cast_from(quarter) + phase) % 4u32;
    let r2 = r * r;
    let sine = ((-1.951_529_6e-4f32 * r2 + 8.332_161e-3f32) * r2 - 1.666_665_5e-1f32) * r2 * r + r;
    let cosine = ((2.443_315_7e-5f32 * r2 - 1.388_731_6e-3f32) * r2 + 4.166_664_6e-2f32) * r2 * r2 - 0.5f32 * r2 + 1.0f32;
    let value = select((turn & 1u32) == 0u32, sine, cosine);
    select(turn >= 2u32, -value, value)
}

/// See [`crate::gated`].
pub(super) fn gated(gate: CubeTensor, up: CubeTensor, activation: Activation) -> CubeTensor {
    let (gate, up) = (contiguous(gate), contiguous(up));
    let out = empty_like(&gate);
    let elements = gate.meta.num_elements();
    if elements == 0 {
        return out;
    }
    let (wide, deep) = grid(elements.div_ceil(UNITS as usize));
    // SAFETY: the kernel leaves units past the last element idle, and the three tensors have one shape.
    #[allow(unsafe_code)]
    unsafe {
        gated_kernel::launch_unchecked(
            &out.client.clone(),
            CubeCount::Static(wide, 1, deep),
            CubeDim::new_1d(UNITS),
            gate.into_buffer_arg(),
            up.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            elements as u32,
            activation == Activation::Silu,
        );
    }
    out
}

/// A unit computes one element.
#[cube(launch_unchecked)]
fn gated_kernel(gate: &[f32], up: &[f32], out: &mut [f32], elements: u32, #[comptime] silu: bool) {
    let element = (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    if element < elements {
        let x = gate[element as usize];
        // GELU's ½(1 + tanh u) is σ(2u); a shader's own tanh overflows on some drivers.
        let mut slope = x;
        if comptime!(!silu) {
            slope = 1.595_769_f32 * x * (0.044_715f32 * x * x + 1.0f32);
        }
        // Beyond 80, σ is 0 in f32 and exp would overflow.
        let sigmoid = 1.0f32 / (1.0f32 + min(-slope, 80.0f32).exp());
        out[element as usize] = x * sigmoid * up[element as usize];
    }
}
