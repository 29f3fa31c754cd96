//! The custom operations behind Burn's dispatch, and their safe wrappers over Burn tensors.

use burn::{
    backend::{
        Backend, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::Tensor,
};

use crate::{KvCache, Step, linear::PackedShape};

/// What a backend implements: `flex.rs` for the CPU, `cube.rs` for GPUs.
#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(crate) trait KernelOps: Backend {
    /// `[m, columns] → [m, rows]`.
    fn linear(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        mins: FloatTensor<Self>,
        shape: PackedShape,
    ) -> FloatTensor<Self>;

    /// `ids: [n] → [n, columns]`.
    fn embed(
        ids: IntTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        mins: FloatTensor<Self>,
        shape: PackedShape,
    ) -> FloatTensor<Self>;

    /// See [`rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    /// See [`rope`].
    fn rope(
        x: FloatTensor<Self>,
        positions: IntTensor<Self>,
        frequencies: FloatTensor<Self>,
        head_dim: usize,
        style: RopeStyle,
    ) -> FloatTensor<Self>;

    /// See [`gated`].
    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// See [`attention`]. The cache's tensors are moved in and out, so that the CPU writes them in place.
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        positions: IntTensor<Self>,
        sequences: IntTensor<Self>,
        tables: IntTensor<Self>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The activation of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(x)`.
    Silu,
    /// GELU in its tanh approximation.
    GeluTanh,
}

/// How RoPE pairs the elements of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeStyle {
    /// `(2i, 2i + 1)`: GGML's `NORM` (llama).
    Interleaved,
    /// `(i, i + dim/2)`: GGML's `NEOX` (gemma, qwen).
    Half,
}

/// The sizes and options of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// What scores are multiplied by before the softmax.
    pub scale: f32,
    /// A row sees only the last `window` positions, its own included.
    pub window: Option<usize>,
}

/// Root-mean-square norm of each consecutive group of `weight.len()` elements, times `weight`: `[m, n] → [m, n]` with `n` a multiple of the weight's length
/// (several heads normed by one weight).
pub fn rms_norm(_x: Tensor<2>, _weight: &Tensor<1>, _eps: f32) -> Tensor<2> {
    todo!()
}

/// Rotary position embedding of `x: [m, heads × head_dim]` at the step's positions. `frequencies: [rotated/2]` holds θᵢ, radians a position (scaling applied);
/// elements past `rotated = 2 × frequencies.len()` of a head stay as they are.
pub fn rope(_x: Tensor<2>, _step: &Step, _frequencies: &Tensor<1>, _head_dim: usize, _style: RopeStyle) -> Tensor<2> {
    todo!()
}

/// `activation(gate) × up`, elementwise: `[m, n] × [m, n] → [m, n]`.
pub fn gated(_gate: Tensor<2>, _up: Tensor<2>, _activation: Activation) -> Tensor<2> {
    todo!()
}

/// Writes `k` and `v` (`[m, kv_heads × head_dim]`, after RoPE) into `cache`'s blocks of layer `layer`, then attends: each row of `q` (`[m, heads × head_dim]`) sees
/// the positions of its own sequence up to its own. Returns `[m, heads × head_dim]`. A row's result does not depend on the other sequences, nor on how the prompt was
/// cut into chunks, to the bit.
pub fn attention(_q: Tensor<2>, _k: Tensor<2>, _v: Tensor<2>, _cache: &mut KvCache, _layer: usize, _step: &Step, _shape: AttentionShape) -> Tensor<2> {
    todo!()
}
