//! The operations on GPUs, as CubeCL kernels with no readback between them. They run wherever Burn's cube backend does (wgpu today).
//!
//! Weights stay quantized in memory and are dequantized in registers; activations and the KV cache are f32. Every kernel gives each row of a step its own units
//! and sums in one fixed order, so that a row's result does not depend on the rows beside it.

mod attention;
mod choose;
mod elementwise;
mod experts;
mod format;
mod linear;

use burn::backend::{
    ops::FloatTensorOps,
    tensor::{FloatTensor, IntTensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

pub(crate) use format::{max_rows, pack};

use crate::{
    KvType,
    experts::ExpertRange,
    linear::{Packed, PackedShape},
    ops::{Activation, AttentionShape, KernelOps, RopeStyle},
};

/// `tensor` with its elements in row-major order and nothing between them, of 4 bytes each, as the kernels read them.
fn contiguous(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype.size(), 4, "GPU kernels read 32-bit tensors, got {:?}", tensor.dtype);
    into_contiguous(tensor)
}

/// A grid of at least `cubes` cubes as x and z; WebGPU allows 65535 along an axis.
fn grid(cubes: usize) -> (u32, u32) {
    const WIDEST: usize = 32768;
    let deep = cubes.div_ceil(WIDEST);
    (cubes.div_ceil(deep) as u32, deep as u32)
}

/// A weight's codes, scales and factors.
fn planes(weight: Packed<CubeBackend>) -> ([CubeTensor; 3], PackedShape) {
    let Packed::Planes { codes, scales, factors, shape } = weight else { unreachable!("a GPU's weights are in planes") };
    ([codes, scales, factors], shape)
}

impl KernelOps for CubeBackend {
    fn linear(x: FloatTensor<Self>, weight: Packed<Self>) -> FloatTensor<Self> {
        let (planes, shape) = planes(weight);
        linear::linear(x, planes, shape)
    }

    fn linear_three(
        x: FloatTensor<Self>,
        a: Packed<Self>,
        b: Packed<Self>,
        c: Packed<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        (Self::linear(x.clone(), a), Self::linear(x.clone(), b), Self::linear(x, c))
    }

    fn linear_gated(x: FloatTensor<Self>, gate: Packed<Self>, up: Packed<Self>, activation: Activation) -> FloatTensor<Self> {
        Self::gated(Self::linear(x.clone(), gate), Self::linear(x, up), activation)
    }

    fn add_linear(sum: FloatTensor<Self>, x: FloatTensor<Self>, weight: Packed<Self>) -> FloatTensor<Self> {
        Self::float_add(sum, Self::linear(x, weight))
    }

    fn embed(ids: IntTensor<Self>, weight: Packed<Self>) -> FloatTensor<Self> {
        let (planes, shape) = planes(weight);
        linear::embed(ids, planes, shape)
    }

    fn experts(x: FloatTensor<Self>, ids: IntTensor<Self>, weight: Packed<Self>, experts: ExpertRange) -> FloatTensor<Self> {
        let (planes, shape) = planes(weight);
        experts::products(x, ids, planes, experts, shape)
    }

    fn route(logits: FloatTensor<Self>, used: usize) -> (IntTensor<Self>, FloatTensor<Self>) {
        experts::route(logits, used)
    }

    fn mix(x: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self> {
        experts::mix(x, weights)
    }

    fn layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        elementwise::layer_norm(x, weight, bias, eps)
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        elementwise::rms_norm(x, weight, eps)
    }

    fn rope(
        x: FloatTensor<Self>,
        positions: IntTensor<Self>,
        frequencies: FloatTensor<Self>,
        magnitude: f32,
        head_dim: usize,
        style: RopeStyle,
    ) -> FloatTensor<Self> {
        elementwise::rope(x, positions, (frequencies, magnitude), head_dim, style)
    }

    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        elementwise::gated(gate, up, activation)
    }

    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        positions: IntTensor<Self>,
        sequences: IntTensor<Self>,
        tables: IntTensor<Self>,
        ty: KvType,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        assert_eq!(ty, KvType::F16, "`KvCache` makes no other on GPUs");
        attention::attention(q, k, v, keys, values, attention::Places { positions, sequences, tables }, shape)
    }

    fn penalize(logits: FloatTensor<Self>, places: IntTensor<Self>, changes: FloatTensor<Self>) -> FloatTensor<Self> {
        choose::penalize(logits, places, changes)
    }

    fn mask(logits: FloatTensor<Self>, rows: IntTensor<Self>, allowed: IntTensor<Self>) -> FloatTensor<Self> {
        choose::mask(logits, rows, allowed)
    }

    fn survey(logits: FloatTensor<Self>, draws: FloatTensor<Self>) -> IntTensor<Self> {
        choose::survey(logits, draws)
    }

    fn candidates(logits: FloatTensor<Self>, rows: IntTensor<Self>) -> IntTensor<Self> {
        choose::candidates(logits, rows)
    }
}
