//! `llama`: Llama 1 to 3, SmolLM, Mistral and their kin. GGUF stores the query and key weights permuted for interleaved RoPE.

use burn::tensor::Tensor;
use hearth_kernels::{
    Activation, AttentionShape, Batch, KvCache, KvShape, Linear, Rope, RopeStyle, Step, attention, gated, rms_norm, rope,
};

use super::{
    Network, Projection, Source,
    loader::{Loader, Sizes},
    outputs,
};
use crate::gguf::GgufError;

#[derive(Debug)]
pub(super) struct Llama {
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
    attn_k: Projection,
    attn_v: Projection,
    attn_output: Projection,
    ffn_norm: Tensor<1>,
    ffn_gate: Projection,
    ffn_up: Projection,
    ffn_down: Projection,
}

impl Llama {
    pub(super) fn load(source: Source<'_>) -> Result<Self, GgufError> {
        let loader = Loader::new(source, "llama");
        let sizes = loader.sizes()?;
        let Sizes { width, hidden, heads, kv_heads, head_dim, .. } = sizes;
        let scale = loader.f32_or("attention.scale", 0.0)?;
        let attention = AttentionShape {
            heads,
            kv_heads,
            head_dim,
            scale: if scale == 0.0 { (head_dim as f32).sqrt().recip() } else { scale },
            cap: None,
            window: None,
        };
        let rope = loader.rope(&sizes, RopeStyle::Interleaved)?;

        let token_embd = loader.matrix("token_embd.weight", sizes.vocabulary, width)?;
        let output = loader.output(&token_embd, &sizes)?;
        let output_norm = loader.vector("output_norm.weight", width)?;
        let block = |i: usize| {
            let name = |part: &str| format!("blk.{i}.{part}");
            Ok(Block {
                attn_norm: loader.vector(&name("attn_norm.weight"), width)?,
                attn_q: loader.projection(&name("attn_q"), heads * head_dim, width)?,
                attn_k: loader.projection(&name("attn_k"), kv_heads * head_dim, width)?,
                attn_v: loader.projection(&name("attn_v"), kv_heads * head_dim, width)?,
                attn_output: loader.projection(&name("attn_output"), width, heads * head_dim)?,
                ffn_norm: loader.vector(&name("ffn_norm.weight"), width)?,
                ffn_gate: loader.projection(&name("ffn_gate"), hidden, width)?,
                ffn_up: loader.projection(&name("ffn_up"), hidden, width)?,
                ffn_down: loader.projection(&name("ffn_down"), width, hidden)?,
            })
        };
        let blocks = (0..sizes.layers).map(block).collect::<Result<_, GgufError>>()?;
        Ok(Self { token_embd, blocks, output_norm, output, rope, attention, sizes, weight_bytes: loader.finish()? })
    }
}

impl Network for Llama {
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
            let q = rotate(block.attn_q.forward(normed.clone()));
            let k = rotate(block.attn_k.forward(normed.clone()));
            let v = block.attn_v.forward(normed);
            let mut attended = attention(q, k, v, cache, layer, step, self.attention);
            if layer + 1 == self.blocks.len() {
                attended = outputs(attended, batch, step);
                x = outputs(x, batch, step);
            }
            x = x + block.attn_output.forward(attended);

            let normed = rms_norm(x.clone(), &block.ffn_norm, eps);
            let up = block.ffn_up.forward(normed.clone());
            x = x + block.ffn_down.forward(gated(block.ffn_gate.forward(normed), up, Activation::Silu));
        }
        self.output.forward(rms_norm(x, &self.output_norm, eps))
    }
}
