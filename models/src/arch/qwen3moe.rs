//! `qwen3moe`: Qwen 3's mixtures of experts. Attention has norms on queries and keys; the feed-forward of a row is that of the few experts that its router chooses.

use burn::tensor::Tensor;
use hearth_kernels::{
    Activation, AttentionShape, Batch, Experts, KvCache, KvShape, Linear, Rope, RopeStyle, Routes, Step, attention, gated, rms_norm, rope,
};

use super::{
    Network, Projection, Source,
    loader::{Loader, MAX_WIDTH, Sizes},
    outputs,
};
use crate::gguf::GgufError;

/// Far above any model.
const MAX_EXPERTS: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Qwen3Moe {
    token_embd: Linear,
    blocks: Vec<Block>,
    output_norm: Tensor<1>,
    output: Linear,
    rope: Rope,
    attention: AttentionShape,
    /// Experts that a row goes through.
    used: usize,
    sizes: Sizes,
    weight_bytes: usize,
}

#[derive(Debug)]
struct Block {
    attn_norm: Tensor<1>,
    attn_q: Projection,
    attn_q_norm: Tensor<1>,
    attn_k: Projection,
    attn_k_norm: Tensor<1>,
    attn_v: Projection,
    attn_output: Linear,
    ffn_norm: Tensor<1>,
    /// The router: a logit for each expert.
    ffn_gate_inp: Linear,
    ffn_gate_exps: Experts,
    ffn_up_exps: Experts,
    ffn_down_exps: Experts,
}

impl Qwen3Moe {
    pub(super) fn load(source: Source<'_>) -> Result<Self, GgufError> {
        let loader = Loader::new(source, "qwen3moe");
        let sizes = loader.sizes_beside_experts()?;
        let Sizes { width, heads, kv_heads, head_dim, .. } = sizes;
        let experts = loader.size("expert_count", MAX_EXPERTS)?;
        let used = loader.size("expert_used_count", experts)?;
        let hidden = loader.size_or("expert_feed_forward_length", MAX_WIDTH, (sizes.hidden / used).max(1))?;
        let attention = AttentionShape { heads, kv_heads, head_dim, scale: (head_dim as f32).sqrt().recip(), cap: None, window: None };
        let rope = loader.rope(&sizes, RopeStyle::Half)?;

        let token_embd = loader.matrix("token_embd.weight", sizes.vocabulary, width)?;
        let output = loader.output(&token_embd, &sizes)?;
        let output_norm = loader.vector("output_norm.weight", width)?;
        let block = |i: usize| {
            let name = |part: &str| format!("blk.{i}.{part}");
            let vector = |part: &str, len| loader.vector(&format!("blk.{i}.{part}.weight"), len);
            let stack = |part: &str, rows, columns| loader.experts(&format!("blk.{i}.{part}.weight"), experts, rows, columns);
            Ok(Block {
                attn_norm: vector("attn_norm", width)?,
                attn_q: loader.projection(&name("attn_q"), heads * head_dim, width)?,
                attn_q_norm: vector("attn_q_norm", head_dim)?,
                attn_k: loader.projection(&name("attn_k"), kv_heads * head_dim, width)?,
                attn_k_norm: vector("attn_k_norm", head_dim)?,
                attn_v: loader.projection(&name("attn_v"), kv_heads * head_dim, width)?,
                attn_output: loader.matrix(&name("attn_output.weight"), width, heads * head_dim)?,
                ffn_norm: vector("ffn_norm", width)?,
                ffn_gate_inp: loader.matrix(&name("ffn_gate_inp.weight"), experts, width)?,
                ffn_gate_exps: stack("ffn_gate_exps", hidden, width)?,
                ffn_up_exps: stack("ffn_up_exps", hidden, width)?,
                ffn_down_exps: stack("ffn_down_exps", width, hidden)?,
            })
        };
        let blocks = (0..sizes.layers).map(block).collect::<Result<_, GgufError>>()?;
        Ok(Self { token_embd, blocks, output_norm, output, rope, attention, used, sizes, weight_bytes: loader.finish()? })
    }
}

impl Network for Qwen3Moe {
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
        let rotate = |x| rope(x, step, &self.rope, head_dim);
        let mut x = self.token_embd.embed(&batch.tokens);
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(x.clone(), &block.attn_norm, eps);
            let q = rotate(rms_norm(block.attn_q.forward(normed.clone()), &block.attn_q_norm, eps));
            let k = rotate(rms_norm(block.attn_k.forward(normed.clone()), &block.attn_k_norm, eps));
            let v = block.attn_v.forward(normed);
            let mut attended = attention(q, k, v, cache, layer, step, self.attention);
            if layer + 1 == self.blocks.len() {
                attended = outputs(attended, batch, step);
                x = outputs(x, batch, step);
            }
            x = x + block.attn_output.forward(attended);

            let normed = rms_norm(x.clone(), &block.ffn_norm, eps);
            let routes = Routes::new(block.ffn_gate_inp.forward(normed.clone()), self.used);
            let gate = block.ffn_gate_exps.forward(normed.clone(), &routes);
            let up = block.ffn_up_exps.forward(normed, &routes);
            let hidden = block.ffn_down_exps.forward(gated(gate, up, Activation::Silu), &routes);
            x = x + routes.mix(hidden);
        }
        self.output.forward(rms_norm(x, &self.output_norm, eps))
    }
}
