//! The custom operations behind Burn's dispatch, and their safe wrappers over Burn tensors.

use burn::{
    backend::{
        Backend, Dispatch, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::Tensor,
};

use crate::{KvCache, KvType, Step, cache::columns, experts::ExpertRange, linear::Packed};

/// What a backend implements: `flex.rs` for the CPU, `cube.rs` for GPUs.
#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(crate) trait KernelOps: Backend {
    /// `[m, columns] → [m, rows]`.
    fn linear(x: FloatTensor<Self>, #[extension_type] weight: Packed<Self>) -> FloatTensor<Self>;

    /// See [`crate::Linear::forward_three`].
    fn linear_three(
        x: FloatTensor<Self>,
        #[extension_type] a: Packed<Self>,
        #[extension_type] b: Packed<Self>,
        #[extension_type] c: Packed<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`crate::Linear::forward_gated`].
    fn linear_gated(
        x: FloatTensor<Self>,
        #[extension_type] gate: Packed<Self>,
        #[extension_type] up: Packed<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// See [`crate::Linear::add_forward`]. `sum` is moved in and out, so that the CPU adds in place.
    fn add_linear(sum: FloatTensor<Self>, x: FloatTensor<Self>, #[extension_type] weight: Packed<Self>) -> FloatTensor<Self>;

    /// `ids: [n] → [n, columns]`.
    fn embed(ids: IntTensor<Self>, #[extension_type] weight: Packed<Self>) -> FloatTensor<Self>;

    /// `[m, columns] → [ids, rows]`, where row `i` of the result is row `i · m / ids` of `x` through expert `ids[i]`, and zero for an expert that is not in the range.
    fn experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        #[extension_type] weight: Packed<Self>,
        experts: ExpertRange,
    ) -> FloatTensor<Self>;

    /// `[m, experts] → [m, used]`, ids and weights; see [`crate::Routes`].
    fn route(logits: FloatTensor<Self>, used: usize) -> (IntTensor<Self>, FloatTensor<Self>);

    /// `x: [m × used, n], weights: [m, used] → [m, n]`; see [`crate::Routes::mix`].
    fn mix(x: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    /// See [`layer_norm`].
    fn layer_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    /// See [`rope`].
    fn rope(
        x: FloatTensor<Self>,
        positions: IntTensor<Self>,
        frequencies: FloatTensor<Self>,
        magnitude: f32,
        head_dim: usize,
        style: RopeStyle,
    ) -> FloatTensor<Self>;

    /// See [`gated`].
    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// See [`attention`]. The cache's tensors are moved in and out, so that the CPU writes them in place.
    #[allow(clippy::too_many_arguments)] // Burn's dispatch takes tensors one by one
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Changes the elements of `logits` at `places: [n]` by `changes: [n, 3]`, what is added, divisors and what is taken off (see [`crate::Penalty`]), where
    /// they lie.
    fn penalize(logits: FloatTensor<Self>, places: IntTensor<Self>, changes: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Makes the elements of `rows: [n]` of `logits` NaN, where they lie, whose bit in `allowed: [n, words]` is not set.
    fn mask(logits: FloatTensor<Self>, rows: IntTensor<Self>, allowed: IntTensor<Self>) -> FloatTensor<Self>;

    /// What is to be known of each row of `logits: [m, n]`, given `draws: [m, 2]`, the temperature of its weights and the place of its draw: the token of the
    /// highest logit (of equals the lowest), the drawn token, the highest logit, the sum of the weights: `[4 m]`, u32, the last two as bits of f32. A weight is
    /// e^((logit − highest) / temperature); at temperature 0 there is no sum and no draw. Tokens are [`crate::choose::NO_TOKEN`] where no logit is a number.
    fn survey(logits: FloatTensor<Self>, draws: FloatTensor<Self>) -> IntTensor<Self>;

    /// The [`crate::choose::CANDIDATES`] highest logits of each of `rows: [n]` in order: [`crate::choose::key`] and token of each, padded with
    /// [`crate::choose::NO_TOKEN`]: `[n × candidates × 2]`, u32.
    fn candidates(logits: FloatTensor<Self>, rows: IntTensor<Self>) -> IntTensor<Self>;
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

/// A rotary position embedding (RoFormer, Su et al., 2021), its scaling to longer contexts applied.
#[derive(Debug, Clone)]
pub struct Rope {
    /// `[rotated/2]`: θᵢ, radians a position.
    pub frequencies: Tensor<1>,
    /// What cosines and sines are multiplied by: 1, or the attention factor of a scaling that has one (YaRN, LongRoPE).
    pub magnitude: f32,
    /// Which elements make a pair.
    pub style: RopeStyle,
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
    /// Scores are softly kept within ± `cap`: `cap · tanh(scale · score / cap)` goes into the softmax (Gemma 2).
    pub cap: Option<f32>,
    /// A row sees only the last `window` positions, its own included.
    pub window: Option<usize>,
}

/// Root-mean-square norm of each consecutive group of `weight.len()` elements, times `weight`: `[m, n] → [m, n]` with `n` a multiple of the weight's length
/// (several heads normed by one weight).
pub fn rms_norm(x: Tensor<2>, weight: &Tensor<1>, eps: f32) -> Tensor<2> {
    let (n, group) = (x.dims()[1], weight.dims()[0]);
    assert!(n.is_multiple_of(group), "rows of {n} elements are not whole groups of {group} to norm");
    Tensor::from_dispatch(<Dispatch as KernelOps>::rms_norm(x.into_dispatch(), weight.clone().into_dispatch(), eps))
}

/// Layer norm of each row: mean 0 and variance 1, times `weight` plus `bias`: `[m, n] → [m, n]`.
pub fn layer_norm(x: Tensor<2>, weight: &Tensor<1>, bias: &Tensor<1>, eps: f32) -> Tensor<2> {
    assert_eq!([x.dims()[1]; 2], [weight.dims()[0], bias.dims()[0]], "rows, weights and biases of a norm");
    let (weight, bias) = (weight.clone().into_dispatch(), bias.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as KernelOps>::layer_norm(x.into_dispatch(), weight, bias, eps))
}

/// Rotary position embedding of `x: [m, heads × head_dim]` at the step's positions. Elements past `rotated = 2 × frequencies.len()` of a head stay as they are.
pub fn rope(x: Tensor<2>, step: &Step, rope: &Rope, head_dim: usize) -> Tensor<2> {
    let (dims, rotated) = (x.dims(), 2 * rope.frequencies.dims()[0]);
    assert!(
        dims[1].is_multiple_of(head_dim) && rotated <= head_dim,
        "rows of {} elements, heads of {head_dim}, {rotated} of them rotated",
        dims[1]
    );
    assert_eq!(dims[0], step.positions.dims()[0], "rows and positions");
    Tensor::from_dispatch(<Dispatch as KernelOps>::rope(
        x.into_dispatch(),
        step.positions.clone().into_dispatch(),
        rope.frequencies.clone().into_dispatch(),
        rope.magnitude,
        head_dim,
        rope.style,
    ))
}

/// `activation(gate) × up`, elementwise: `[m, n] × [m, n] → [m, n]`.
pub fn gated(gate: Tensor<2>, up: Tensor<2>, activation: Activation) -> Tensor<2> {
    assert_eq!(gate.dims(), up.dims(), "gate and up");
    Tensor::from_dispatch(<Dispatch as KernelOps>::gated(gate.into_dispatch(), up.into_dispatch(), activation))
}

/// Writes `k` and `v` (`[m, kv_heads × head_dim]`, after RoPE) into `cache`'s blocks of layer `layer`, then attends: each row of `q` (`[m, heads × head_dim]`) sees
/// the positions of its own sequence up to its own. Returns `[m, heads × head_dim]`. A row's result does not depend on the other sequences, nor on how the prompt was
/// cut into chunks, to the bit.
///
/// # Panics
/// When shapes do not fit together, or a table names a block outside the cache.
pub fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    cache: &mut KvCache,
    layer: usize,
    step: &Step,
    shape: AttentionShape,
) -> Tensor<2> {
    let (m, width) = (step.positions.dims()[0], shape.kv_heads * shape.head_dim);
    assert!(shape.heads.is_multiple_of(shape.kv_heads), "{} query heads over {} key-value heads", shape.heads, shape.kv_heads);
    assert_eq!(q.dims(), [m, shape.heads * shape.head_dim], "queries");
    assert_eq!(k.dims(), [m, width], "keys");
    assert_eq!(v.dims(), [m, width], "values");
    let (keys, values) = cache.layers[layer].take().expect("a layer's cache is in its place between operations");
    assert_eq!(keys.dims()[1], columns(cache.ty, width, &keys.device()), "the cache's columns");
    let (out, keys, values) = <Dispatch as KernelOps>::attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        keys.into_dispatch(),
        values.into_dispatch(),
        step.positions.clone().into_dispatch(),
        step.sequences.clone().into_dispatch(),
        step.tables.clone().into_dispatch(),
        cache.ty,
        shape,
    );
    cache.layers[layer] = Some((Tensor::from_dispatch(keys), Tensor::from_dispatch(values)));
    Tensor::from_dispatch(out)
}
