//! What Gemma 2 and 3 have in common: layers of a sliding window among those of full attention, norms after attention and feed-forward as well as before, and the
//! embedding scaled by the root of its width.

use burn::tensor::Tensor;
use hearth_kernels::{Activation, AttentionShape, Batch, KvCache, KvShape, Linear, Rope, Step, attention, rms_norm, rope};

use super::{
    Network,
    loader::{Loader, Sizes},
    outputs,
};
use crate::gguf::{ElementType, GgufError, Value};

/// What one generation makes of it.
#[derive(Debug)]
pub(super) struct Traits {
    /// Whether each head's queries and keys are normed before RoPE.
    pub(super) head_norms: bool,
    /// Layers to one of full attention, where the file does not say.
    pub(super) period: usize,
    /// The layers with a sliding window: all are global where this has none.
    pub(super) local: Reach,
    pub(super) global: Reach,
    /// What logits are softly capped at.
    pub(super) logit_cap: Option<f32>,
}

/// How far a layer sees, and the RoPE that goes with it.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub(super) rope: Rope,
    pub(super) attention: AttentionShape,
}

#[derive(Debug)]
pub(super) struct Gemma {
    token_embd: Linear,
    blocks: Vec<Block>,
    output_norm: Tensor<1>,
    output: Linear,
    traits: Traits,
    sizes: Sizes,
    weight_bytes: usize,
}

#[derive(Debug)]
struct Block {
    is_local: bool,
    attn_norm: Tensor<1>,
    attn_q: Linear,
    attn_q_norm: Option<Tensor<1>>,
    attn_k: Linear,
    attn_k_norm: Option<Tensor<1>>,
    attn_v: Linear,
    attn_output: Linear,
    post_attention_norm: Tensor<1>,
    ffn_norm: Tensor<1>,
    ffn_gate: Linear,
    ffn_up: Linear,
    ffn_down: Linear,
    post_ffw_norm: Tensor<1>,
}

impl Gemma {
    pub(super) fn load(loader: Loader<'_>, sizes: Sizes, traits: Traits) -> Result<Self, GgufError> {
        let Sizes { layers, width, hidden, heads, kv_heads, head_dim, .. } = sizes;
        let is_local = match traits.local.attention.window {
            Some(_) => local_layers(&loader, layers, traits.period)?,
            None => vec![false; layers],
        };
        let token_embd = loader.matrix("token_embd.weight", sizes.vocabulary, width)?;
        let output = loader.output(&token_embd, &sizes)?;
        let output_norm = loader.vector("output_norm.weight", width)?;
        let block = |(i, is_local): (usize, bool)| {
            let vector = |part: &str, len| loader.vector(&format!("blk.{i}.{part}.weight"), len);
            let matrix = |part: &str, rows, columns| loader.matrix(&format!("blk.{i}.{part}.weight"), rows, columns);
            Ok(Block {
                is_local,
                attn_norm: vector("attn_norm", width)?,
                attn_q: matrix("attn_q", heads * head_dim, width)?,
                attn_q_norm: traits.head_norms.then(|| vector("attn_q_norm", head_dim)).transpose()?,
                attn_k: matrix("attn_k", kv_heads * head_dim, width)?,
                attn_k_norm: traits.head_norms.then(|| vector("attn_k_norm", head_dim)).transpose()?,
                attn_v: matrix("attn_v", kv_heads * head_dim, width)?,
                attn_output: matrix("attn_output", width, heads * head_dim)?,
                post_attention_norm: vector("post_attention_norm", width)?,
                ffn_norm: vector("ffn_norm", width)?,
                ffn_gate: matrix("ffn_gate", hidden, width)?,
                ffn_up: matrix("ffn_up", hidden, width)?,
                ffn_down: matrix("ffn_down", width, hidden)?,
                post_ffw_norm: vector("post_ffw_norm", width)?,
            })
        };
        let blocks = is_local.into_iter().enumerate().map(block).collect::<Result<_, GgufError>>()?;
        Ok(Self { token_embd, blocks, output_norm, output, traits, sizes, weight_bytes: loader.finish()? })
    }
}

/// Which layers see a window only: as the file lists them, or all but each last of a period.
pub(super) fn local_layers(loader: &Loader<'_>, layers: usize, period: usize) -> Result<Vec<bool>, GgufError> {
    let key = loader.key("attention.sliding_window_pattern");
    if let Some(Value::Array(array)) = loader.gguf().get(&key) {
        let listed = match array.element_type() {
            ElementType::Bool => loader.gguf().get_array_bool(&key)?,
            _ => loader.gguf().get_array_u32(&key)?.iter().map(|&flag| flag != 0).collect(),
        };
        return match listed.len() == layers {
            true => Ok(listed),
            false => Err(GgufError::Metadata { key, problem: format!("lists {} layers of {layers}", listed.len()) }),
        };
    }
    let period = loader.size_or("attention.sliding_window_pattern", usize::MAX, period)?;
    Ok((0..layers).map(|layer| layer % period < period - 1).collect())
}

impl Network for Gemma {
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
        let Sizes { width, head_dim, eps, .. } = self.sizes;
        let mut x = self.token_embd.embed(&batch.tokens).mul_scalar((width as f32).sqrt());
        for (layer, block) in self.blocks.iter().enumerate() {
            let reach = if block.is_local { &self.traits.local } else { &self.traits.global };
            let rotate = |x: Tensor<2>, norm: &Option<Tensor<1>>| {
                let x = match norm {
                    Some(norm) => rms_norm(x, norm, eps),
                    None => x,
                };
                rope(x, step, &reach.rope, head_dim)
            };
            let normed = rms_norm(x.clone(), &block.attn_norm, eps);
            let [q, k, v] = Linear::forward_three([&block.attn_q, &block.attn_k, &block.attn_v], normed);
            let (q, k) = (rotate(q, &block.attn_q_norm), rotate(k, &block.attn_k_norm));
            let mut attended = attention(q, k, v, cache, layer, step, reach.attention);
            if layer + 1 == self.blocks.len() {
                attended = outputs(attended, batch, step);
                x = outputs(x, batch, step);
            }
            x = x + rms_norm(block.attn_output.forward(attended), &block.post_attention_norm, eps);

            let normed = rms_norm(x.clone(), &block.ffn_norm, eps);
            let hidden = block.ffn_down.forward(Linear::forward_gated(&block.ffn_gate, &block.ffn_up, normed, Activation::GeluTanh));
            x = x + rms_norm(hidden, &block.post_ffw_norm, eps);
        }
        let logits = self.output.forward(rms_norm(x, &self.output_norm, eps));
        match self.traits.logit_cap {
            Some(cap) => logits.div_scalar(cap).tanh().mul_scalar(cap),
            None => logits,
        }
    }
}
