//! `bert`: BERT and the sentence embedders made of it (MiniLM, BGE, E5, GTE). Norms come after attention and after feed-forward, and every matrix has a bias.

use burn::tensor::{DType, Tensor, TensorData, activation::softmax};
use hearth_kernels::{Activation, Linear, gated, layer_norm, rms_norm};

use super::{
    Encoder, Projection, Source,
    loader::{Loader, MAX_LAYERS, MAX_WIDTH},
};
use crate::gguf::GgufError;

/// Positions that a file may have at most.
const MAX_POSITIONS: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Bert {
    token_embd: Linear,
    /// The embedding of the first type, "sentence A", which all of a text has: `[1, width]`.
    token_type: Option<Tensor<2>>,
    position_embd: Linear,
    token_embd_norm: Norm,
    blocks: Vec<Block>,
    pooling: Pooling,
    /// `[width]`: makes a root-mean-square norm one of length 1.
    unit: Tensor<1>,
    heads: usize,
    vocabulary: usize,
    eps: f32,
    weight_bytes: usize,
}

/// How the rows of a sequence become its embedding; GGUF's `pooling_type`.
#[derive(Debug, Clone, Copy)]
enum Pooling {
    Mean,
    /// The first row, of the token `[CLS]`.
    First,
    Last,
}

#[derive(Debug)]
struct Norm {
    weight: Tensor<1>,
    bias: Tensor<1>,
}

#[derive(Debug)]
struct Block {
    attn_q: Projection,
    attn_k: Projection,
    attn_v: Projection,
    attn_output: Projection,
    attn_output_norm: Norm,
    ffn_up: Projection,
    ffn_down: Projection,
    layer_output_norm: Norm,
}

impl Bert {
    pub(super) fn load(source: Source<'_>) -> Result<Self, GgufError> {
        let loader = Loader::new(source, "bert");
        let wrong = |name: &str, problem: String| GgufError::Metadata { key: loader.key(name), problem };
        let layers = loader.size("block_count", MAX_LAYERS)?;
        let width = loader.size("embedding_length", MAX_WIDTH)?;
        let hidden = loader.size("feed_forward_length", MAX_WIDTH)?;
        let heads = loader.size("attention.head_count", MAX_WIDTH)?;
        let positions = loader.size("context_length", MAX_POSITIONS)?;
        let vocabulary = loader.vocabulary()?;
        let eps = source.gguf.get_f32(&loader.key("attention.layer_norm_epsilon"))?;
        if !width.is_multiple_of(heads) {
            return Err(wrong("attention.head_count", format!("{heads} heads do not divide the {width} elements of a row")));
        }
        if loader.size_or("attention.head_count_kv", MAX_WIDTH, heads)? != heads {
            return Err(wrong("attention.head_count_kv", format!("key-value heads other than the {heads} heads are not supported")));
        }
        if !(eps >= 0.0 && eps.is_finite()) {
            return Err(wrong("attention.layer_norm_epsilon", format!("{eps} is not a small positive number")));
        }
        if source.gguf.opt_bool(&loader.key("attention.causal"))?.unwrap_or(false) {
            return Err(wrong("attention.causal", "an encoder with causal attention is not supported".into()));
        }
        let pooling = match source.gguf.get_u32(&loader.key("pooling_type"))? {
            1 => Pooling::Mean,
            2 => Pooling::First,
            3 => Pooling::Last,
            other => {
                let problem =
                    format!("{other} does not make one embedding of a text; supported are 1 (mean), 2 (first token) and 3 (last token)");
                return Err(wrong("pooling_type", problem));
            }
        };

        let norm = |name: &str| {
            Ok::<_, GgufError>(Norm {
                weight: loader.vector(&format!("{name}.weight"), width)?,
                bias: loader.vector(&format!("{name}.bias"), width)?,
            })
        };
        let token_embd = loader.matrix("token_embd.weight", vocabulary, width)?;
        let name = "token_types.weight";
        let token_type = match source.gguf.tensors.contains_key(name) {
            true => Some(loader.matrix(name, source.gguf.get_u32("tokenizer.ggml.token_type_count")? as usize, width)?.embed(&[0])),
            false => None,
        };
        let position_embd = loader.matrix("position_embd.weight", positions, width)?;
        let token_embd_norm = norm("token_embd_norm")?;
        let block = |i: usize| {
            let name = |part: &str| format!("blk.{i}.{part}");
            Ok(Block {
                attn_q: loader.projection(&name("attn_q"), width, width)?,
                attn_k: loader.projection(&name("attn_k"), width, width)?,
                attn_v: loader.projection(&name("attn_v"), width, width)?,
                attn_output: loader.projection(&name("attn_output"), width, width)?,
                attn_output_norm: norm(&name("attn_output_norm"))?,
                ffn_up: loader.projection(&name("ffn_up"), hidden, width)?,
                ffn_down: loader.projection(&name("ffn_down"), width, hidden)?,
                layer_output_norm: norm(&name("layer_output_norm"))?,
            })
        };
        let blocks = (0..layers).map(block).collect::<Result<_, GgufError>>()?;
        let unit = Tensor::from_data(TensorData::new(vec![(width as f32).sqrt().recip(); width], [width]), (source.device, DType::F32));
        let weight_bytes = loader.finish()?;
        Ok(Self { token_embd, token_type, position_embd, token_embd_norm, blocks, pooling, unit, heads, vocabulary, eps, weight_bytes })
    }

    fn norm(&self, x: Tensor<2>, norm: &Norm) -> Tensor<2> {
        layer_norm(x, &norm.weight, &norm.bias, self.eps)
    }

    /// Attention of all rows of one sequence to all of them: `[rows, width]` each.
    fn attend(&self, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>) -> Tensor<2> {
        let [rows, width] = q.dims();
        let head_dim = width / self.heads;
        let heads = |x: Tensor<2>| x.reshape([rows, self.heads, head_dim]).swap_dims(0, 1);
        let scores = heads(q).matmul(heads(k).swap_dims(1, 2)).mul_scalar((head_dim as f32).sqrt().recip());
        softmax(scores, 2).matmul(heads(v)).swap_dims(0, 1).reshape([rows, width])
    }
}

/// Each sequence's part of `rows`.
fn split(rows: &Tensor<2>, lengths: &[usize]) -> impl Iterator<Item = Tensor<2>> {
    let mut from = 0;
    lengths.iter().map(move |&length| {
        from += length;
        rows.clone().slice(from - length..from)
    })
}

impl Encoder for Bert {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn width(&self) -> usize {
        self.unit.dims()[0]
    }

    fn layers(&self) -> usize {
        self.blocks.len()
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    fn embed(&self, sequences: &[Vec<u32>]) -> Tensor<2> {
        let positions: Vec<u32> = sequences.iter().flat_map(|tokens| 0..tokens.len() as u32).collect();
        let mut rows = self.token_embd.embed(&sequences.concat());
        if let Some(token_type) = &self.token_type {
            rows = rows + token_type.clone();
        }
        self.norm(rows + self.position_embd.embed(&positions), &self.token_embd_norm)
    }

    fn layer(&self, layer: usize, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2> {
        let block = &self.blocks[layer];
        let [q, k, v] = Projection::forward_three([&block.attn_q, &block.attn_k, &block.attn_v], rows.clone());
        // Sequence by sequence: so none can change another's bits.
        let sequences = split(&q, lengths).zip(split(&k, lengths)).zip(split(&v, lengths));
        let attended = Tensor::cat(sequences.map(|((q, k), v)| self.attend(q, k, v)).collect(), 0);
        let rows = self.norm(block.attn_output.forward(attended) + rows, &block.attn_output_norm);

        let up = block.ffn_up.forward(rows.clone());
        // There is no second matrix to gate it with. The activation is GELU by its tanh, as in llama.cpp; BERT's own differs in the fourth digit.
        let ones = up.ones_like();
        self.norm(block.ffn_down.forward(gated(up, ones, Activation::GeluTanh)) + rows, &block.layer_output_norm)
    }

    fn pool(&self, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2> {
        let pooled = split(&rows, lengths).zip(lengths).map(|(rows, &length)| match self.pooling {
            Pooling::Mean => rows.mean_dim(0),
            Pooling::First => rows.slice(0..1),
            Pooling::Last => rows.slice(length - 1..length),
        });
        // The smallest number keeps a row of zeros what it is.
        rms_norm(Tensor::cat(pooled.collect(), 0), &self.unit, f32::MIN_POSITIVE)
    }
}
