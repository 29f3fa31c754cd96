//! The supported architectures, a flat file each, named as GGUF's `general.architecture` names them. What some have in common is said once, in `decoder.rs` and
//! `gemma.rs`.

mod bert;
mod decoder;
mod feed_forward;
mod gemma;
mod gemma2;
mod gemma3;
mod llama;
mod loader;
mod outline;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;
mod rope;

use burn::tensor::{Device, Tensor};
use hearth_kernels::{Activation, Batch, KvCache, KvShape, Linear, Step, gated};

pub use outline::{KvOutline, Outline};

use crate::{ModelError, Packed, gguf::Gguf};

/// The architectures that [`load`] knows.
pub const ARCHITECTURES: [&str; 7] = ["llama", "gemma2", "gemma3", "phi3", "qwen2", "qwen3", "qwen3moe"];

/// The architectures that [`load_encoder`] knows.
pub const ENCODERS: [&str; 1] = ["bert"];

/// A network of either kind.
#[derive(Debug)]
pub enum AnyNetwork {
    /// One that continues a sequence.
    Decoder(Box<dyn Network>),
    /// One that embeds a sequence.
    Encoder(Box<dyn Encoder>),
}

impl AnyNetwork {
    /// Loads the network that `general.architecture` names, whichever kind it is.
    ///
    /// # Errors
    /// As for [`load`] and [`load_encoder`].
    pub fn load(source: Source<'_>) -> Result<Self, ModelError> {
        match ENCODERS.contains(&source.gguf.get_str("general.architecture")?) {
            true => load_encoder(source).map(Self::Encoder),
            false => load(source).map(Self::Decoder),
        }
    }

    /// Size of the vocabulary: rows of the token embedding.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Decoder(network) => network.vocabulary(),
            Self::Encoder(encoder) => encoder.vocabulary(),
        }
    }
}

/// The forward pass of a model that embeds: each row sees all of its sequence, so that there is no KV cache, and what comes out is one vector a sequence.
///
/// It goes layer by layer, so that its caller can do something else in between. `rows` are those of several sequences of these `lengths`, one after the other:
/// `[rows, width]`, f32. No sequence's rows depend on the other sequences, to the bit.
pub trait Encoder: Send + std::fmt::Debug {
    /// Size of the vocabulary.
    fn vocabulary(&self) -> usize;

    /// Length of an embedding.
    fn width(&self) -> usize;

    /// Layers between [`Self::embed`] and [`Self::pool`].
    fn layers(&self) -> usize;

    /// Bytes of the weights on the device.
    fn weight_bytes(&self) -> usize;

    /// The rows of `sequences` before the first layer.
    fn embed(&self, sequences: &[Vec<u32>]) -> Tensor<2>;

    /// The rows after layer number `layer`.
    fn layer(&self, layer: usize, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2>;

    /// The embeddings of the sequences: `[sequences, width]`, each of length 1.
    fn pool(&self, rows: Tensor<2>, lengths: &[usize]) -> Tensor<2>;
}

/// The forward pass of a model that continues a sequence.
pub trait Network: Send + std::fmt::Debug {
    /// The KV cache that it needs.
    fn kv_shape(&self) -> KvShape;

    /// Size of the vocabulary: the length of a row of logits.
    fn vocabulary(&self) -> usize;

    /// Bytes of the weights on the device.
    fn weight_bytes(&self) -> usize;

    /// Runs one step: writes the rows' keys and values into `cache` and returns the logits of `batch.outputs`: `[outputs, vocabulary]`, f32.
    fn forward(&self, batch: &Batch, step: &Step, cache: &mut KvCache) -> Tensor<2>;
}

/// Where a network's weights come from and go to.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The model's file.
    pub gguf: &'a Gguf<'a>,
    /// Its matrices as the CPU's kernels read them, if they are there: what is missing in them is repacked in memory.
    pub packed: Option<&'a Packed>,
    /// The longest context that will be asked for, in tokens; 0 for the one that the model was trained for. LongRoPE has other factors for a long context.
    pub context: usize,
    /// Where the weights go. `packed` is for the CPU alone.
    pub device: &'a Device,
}

/// Loads the network that `general.architecture` names.
///
/// # Errors
/// [`ModelError::Architecture`] for one that is not supported, [`ModelError::Gguf`] when metadata or tensors do not make up a whole one.
pub fn load(source: Source<'_>) -> Result<Box<dyn Network>, ModelError> {
    match source.gguf.get_str("general.architecture")? {
        "llama" => Ok(Box::new(llama::load(source)?)),
        "gemma2" => Ok(Box::new(gemma2::load(source)?)),
        "gemma3" => Ok(Box::new(gemma3::load(source)?)),
        "phi3" => Ok(Box::new(phi3::load(source)?)),
        "qwen2" => Ok(Box::new(qwen2::load(source)?)),
        "qwen3" => Ok(Box::new(qwen3::load(source)?)),
        "qwen3moe" => Ok(Box::new(qwen3moe::load(source)?)),
        other => Err(unsupported(other)),
    }
}

/// Loads the encoder that `general.architecture` names.
///
/// # Errors
/// As for [`load`].
pub fn load_encoder(source: Source<'_>) -> Result<Box<dyn Encoder>, ModelError> {
    match source.gguf.get_str("general.architecture")? {
        "bert" => Ok(Box::new(bert::Bert::load(source)?)),
        other => Err(unsupported(other)),
    }
}

fn unsupported(architecture: &str) -> ModelError {
    ModelError::Architecture(format!(
        "the architecture `{}` is not supported; supported are {}, and for embeddings {}",
        architecture.chars().take(80).collect::<String>(),
        ARCHITECTURES.join(", "),
        ENCODERS.join(", ")
    ))
}

/// A linear layer with or without a bias.
#[derive(Debug)]
struct Projection {
    weight: Linear,
    bias: Option<Tensor<1>>,
}

impl Projection {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.biased(self.weight.forward(x))
    }

    /// [`Self::forward`] of three with one input.
    fn forward_three(three: [&Self; 3], x: Tensor<2>) -> [Tensor<2>; 3] {
        let [a, b, c] = Linear::forward_three(three.map(|it| &it.weight), x);
        let [p, q, r] = three;
        [p.biased(a), q.biased(b), r.biased(c)]
    }

    /// `activation(gate(x)) × up(x)`.
    fn forward_gated(gate: &Self, up: &Self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        match (&gate.bias, &up.bias) {
            (None, None) => Linear::forward_gated(&gate.weight, &up.weight, x, activation),
            _ => gated(gate.forward(x.clone()), up.forward(x), activation),
        }
    }

    /// `sum` and what [`Self::forward`] gives.
    fn add_forward(&self, sum: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        match self.bias {
            None => self.weight.add_forward(sum, x),
            Some(_) => sum + self.forward(x),
        }
    }

    fn biased(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }
}

/// The rows of `x` whose logits are wanted. What follows attention in the last layer works on a row alone, so the other rows end here.
fn outputs(x: Tensor<2>, batch: &Batch, step: &Step) -> Tensor<2> {
    match batch.outputs.len() == batch.tokens.len() {
        true => x,
        false => x.select(0, step.outputs.clone()),
    }
}
