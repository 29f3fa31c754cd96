//! The plain decoder: norm and attention, norm and gated feed-forward, each added to the residual stream. `llama`, `qwen2`, `qwen3`, `qwen3moe` and `phi3` are one
//! each; their files say what they make of it.

use burn::tensor::Tensor;
use hearth_kernels::{AttentionShape, Batch, KvCache, KvShape, Linear, Rope, RopeStyle, Step, attention, rms_norm, rope};

use super::{
    Network, Projection,
    feed_forward::FeedForward,
    loader::{Loader, Sizes},
    outputs,
};
use crate::gguf::GgufError;

/// What one architecture makes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    /// Which elements of a head RoPE turns together.
    pub(super) rope: RopeStyle,
    /// Whether each head's queries and keys are normed before RoPE.
    pub(super) head_norms: bool,
    /// Whether the file has one matrix for queries, keys and values, and one for gate and up.
    pub(super) fused: bool,
    /// Whether feed-forward is a mixture of experts.
    pub(super) experts: bool,
    /// How many positions a row sees at most.
    pub(super) window: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Decoder {
    token_embd: Linear,
    blocks: Vec<Block>,
    output_norm: Tensor<1>,
    output: Linear,
    rope: Rope,
    attention: AttentionShape,
    sizes: Sizes,
    weight_bytes: usize,
}

#[derive(Debug)]
struct Block {
    attn_norm: Tensor<1>,
    attn_q: Projection,
    attn_q_norm: Option<Tensor<1>>,
    attn_k: Projection,
    attn_k_norm: Option<Tensor<1>>,
    attn_v: Projection,
    attn_output: Projection,
    ffn_norm: Tensor<1>,
    feed_forward: FeedForward,
}

impl Decoder {
    pub(super) fn load(loader: Loader<'_>, traits: Traits) -> Result<Self, GgufError> {
        let sizes = if traits.experts { loader.sizes_beside_experts()? } else { loader.sizes()? };
        let Sizes { width, head_dim, .. } = sizes;
        let attention = AttentionShape { window: traits.window, ..loader.attention(&sizes, head_dim)? };
        let rope = loader.rope(&sizes, traits.rope)?;
        let token_embd = loader.matrix("token_embd.weight", sizes.vocabulary, width)?;
        let output = loader.output(&token_embd, &sizes)?;
        let output_norm = loader.vector("output_norm.weight", width)?;
        let blocks = (0..sizes.layers).map(|layer| Block::load(&loader, &sizes, traits, layer)).collect::<Result<_, _>>()?;
        Ok(Self { token_embd, blocks, output_norm, output, rope, attention, sizes, weight_bytes: loader.finish()? })
    }
}

impl Block {
    fn load(loader: &Loader<'_>, sizes: &Sizes, traits: Traits, layer: usize) -> Result<Self, GgufError> {
        let &Sizes { width, heads, kv_heads, head_dim, .. } = sizes;
        let (wide, narrow) = (heads * head_dim, kv_heads * head_dim);
        let name = |part: &str| format!("blk.{layer}.{part}");
        let projection = |part: &str, rows, columns| loader.projection(&name(part), rows, columns);
        let norm = |part: &str, len| loader.vector(&name(part), len);
        let [attn_q, attn_k, attn_v] = match traits.fused {
            true => loader.fused(&name("attn_qkv"), [wide, narrow, narrow], width)?,
            false => [projection("attn_q", wide, width)?, projection("attn_k", narrow, width)?, projection("attn_v", narrow, width)?],
        };
        Ok(Self {
            attn_norm: norm("attn_norm.weight", width)?,
            attn_q,
            attn_q_norm: traits.head_norms.then(|| norm("attn_q_norm.weight", head_dim)).transpose()?,
            attn_k,
            attn_k_norm: traits.head_norms.then(|| norm("attn_k_norm.weight", head_dim)).transpose()?,
            attn_v,
            attn_output: projection("attn_output", width, wide)?,
            ffn_norm: norm("ffn_norm.weight", width)?,
            feed_forward: match traits.experts {
                true => FeedForward::experts(loader, sizes, layer)?,
                false => FeedForward::dense(loader, sizes, traits.fused, layer)?,
            },
        })
    }
}

impl Network for Decoder {
    fn kv_shape(&self) -> KvShape {
        self.sizes.kv_shape()
    }

    fn vocabulary(&self) -> usize {
        self.sizes.vocabulary
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    fn forward(&self, batch: &Batch, step: &Step, cache: &mut KvCache) -> Tensor<2> {
        let Sizes { head_dim, eps, .. } = self.sizes;
        let rotate = |x: Tensor<2>, norm: &Option<Tensor<1>>| {
            let x = match norm {
                Some(norm) => rms_norm(x, norm, eps),
                None => x,
            };
            rope(x, step, &self.rope, head_dim)
        };
        let mut x = self.token_embd.embed(&batch.tokens);
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(x.clone(), &block.attn_norm, eps);
            let [q, k, v] = Projection::forward_three([&block.attn_q, &block.attn_k, &block.attn_v], normed);
            let (q, k) = (rotate(q, &block.attn_q_norm), rotate(k, &block.attn_k_norm));
            let mut attended = attention(q, k, v, cache, layer, step, self.attention);
            if layer + 1 == self.blocks.len() {
                attended = outputs(attended, batch, step);
                x = outputs(x, batch, step);
            }
            x = block.attn_output.add_forward(x, attended);

            let normed = rms_norm(x.clone(), &block.ffn_norm, eps);
            x = block.feed_forward.add_forward(x, normed);
        }
        self.output.forward(rms_norm(x, &self.output_norm, eps))
    }
}
