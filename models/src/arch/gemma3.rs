//! `gemma3`: Gemma 3's text models. Five layers of a sliding window to one of full attention, each with a RoPE base of its own; norms on queries and keys, and after
//! attention and feed-forward as well as before; the embedding scaled by the root of its width.

use burn::tensor::Tensor;
use hearth_kernels::{
    Activation, AttentionShape, Batch, KvCache, KvShape, Linear, Rope, RopeStyle, Step, attention, gated, rms_norm, rope,
};

use super::{
    Network, Source,
    loader::{Loader, Sizes},
    outputs,
};
use crate::gguf::{ElementType, GgufError, Value};

/// Layers to one of full attention, where the file does not say.
const PATTERN: usize = 6;
/// Layers of the 27B model, which alone scales attention by the width a head and not by the head's own length.
const LAYERS_27B: usize = 62;

#[derive(Debug)]
pub(super) struct Gemma3 {
    token_embd: Linear,
    blocks: Vec<Block>,
    output_norm: Tensor<1>,
    output: Linear,
    local: Reach,
    global: Reach,
    logit_cap: f32,
    sizes: Sizes,
    weight_bytes: usize,
}

/// How far a layer sees, and the RoPE that goes with it.
#[derive(Debug)]
struct Reach {
    rope: Rope,
    attention: AttentionShape,
}

#[derive(Debug)]
struct Block {
    is_local: bool,
    attn_norm: Tensor<1>,
    attn_q: Linear,
    attn_q_norm: Tensor<1>,
    attn_k: Linear,
    attn_k_norm: Tensor<1>,
    attn_v: Linear,
    attn_output: Linear,
    post_attention_norm: Tensor<1>,
    ffn_norm: Tensor<1>,
    ffn_gate: Linear,
    ffn_up: Linear,
    ffn_down: Linear,
    post_ffw_norm: Tensor<1>,
}

impl Gemma3 {
    pub(super) fn load(source: Source<'_>) -> Result<Self, GgufError> {
        let loader = Loader::new(source, "gemma3");
        let sizes = loader.sizes()?;
        let Sizes { layers, width, hidden, heads, kv_heads, head_dim, .. } = sizes;
        let window = source.gguf.opt_u32(&loader.key("attention.sliding_window"))?.filter(|&w| w > 0).map(|w| w as usize);
        let is_local = if window.is_some() { local_layers(&loader, layers)? } else { vec![false; layers] };

        let scaled_by = if layers == LAYERS_27B { width / heads } else { head_dim };
        let scale = loader.f32_or("attention.scale", 0.0)?;
        let scale = if scale == 0.0 { (scaled_by as f32).sqrt().recip() } else { scale };
        let attention = AttentionShape { heads, kv_heads, head_dim, scale, cap: None, window: None };
        // Context was extended on the layers of full attention only: the local ones keep the base and scale of the first training.
        let local_base = loader.f32_or("rope.freq_base_swa", 10_000.0)?;
        let global = Reach { rope: loader.rope(&sizes, RopeStyle::Half)?, attention };
        let local =
            Reach { rope: loader.plain_rope(&sizes, local_base, RopeStyle::Half)?, attention: AttentionShape { window, ..attention } };
        loader.refuse("attn_logit_softcapping", "capping attention scores")?;
        let logit_cap = loader.f32_or("final_logit_softcapping", 0.0)?;

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
                attn_q_norm: vector("attn_q_norm", head_dim)?,
                attn_k: matrix("attn_k", kv_heads * head_dim, width)?,
                attn_k_norm: vector("attn_k_norm", head_dim)?,
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
        Ok(Self { token_embd, blocks, output_norm, output, local, global, logit_cap, sizes, weight_bytes: loader.finish()? })
    }
}

/// Which layers see a window only: as the file lists them, or all but each last of a period.
fn local_layers(loader: &Loader<'_>, layers: usize) -> Result<Vec<bool>, GgufError> {
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
    let period = loader.size_or("attention.sliding_window_pattern", usize::MAX, PATTERN)?;
    Ok((0..layers).map(|layer| layer % period < period - 1).collect())
}

impl Network for Gemma3 {
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
            let reach = if block.is_local { &self.local } else { &self.global };
            let rotate = |x| rope(x, step, &reach.rope, head_dim);
            let normed = rms_norm(x.clone(), &block.attn_norm, eps);
            let q = rotate(rms_norm(block.attn_q.forward(normed.clone()), &block.attn_q_norm, eps));
            let k = rotate(rms_norm(block.attn_k.forward(normed.clone()), &block.attn_k_norm, eps));
            let v = block.attn_v.forward(normed);
            let mut attended = attention(q, k, v, cache, layer, step, reach.attention);
            if layer + 1 == self.blocks.len() {
                attended = outputs(attended, batch, step);
                x = outputs(x, batch, step);
            }
            x = x + rms_norm(block.attn_output.forward(attended), &block.post_attention_norm, eps);

            let normed = rms_norm(x.clone(), &block.ffn_norm, eps);
            let up = block.ffn_up.forward(normed.clone());
            let hidden = block.ffn_down.forward(gated(block.ffn_gate.forward(normed), up, Activation::GeluTanh));
            x = x + rms_norm(hidden, &block.post_ffw_norm, eps);
        }
        let logits = self.output.forward(rms_norm(x, &self.output_norm, eps));
        match self.logit_cap {
            0.0 => logits,
            cap => logits.div_scalar(cap).tanh().mul_scalar(cap),
        }
    }
}
