//! The supported architectures, a flat file each, named as GGUF's `general.architecture` names them.

mod gemma3;
mod llama;
mod loader;
mod rope;

use burn::tensor::{Device, Tensor};
use hearth_kernels::{Batch, KvCache, KvShape, Linear, Step};

use crate::{ModelError, Packed, gguf::Gguf};

/// The architectures that [`load`] knows.
pub const ARCHITECTURES: [&str; 2] = ["llama", "gemma3"];

/// A model's forward pass.
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
        "llama" => Ok(Box::new(llama::Llama::load(source)?)),
        "gemma3" => Ok(Box::new(gemma3::Gemma3::load(source)?)),
        other => Err(ModelError::Architecture(format!(
            "the architecture `{}` is not supported; supported are {}",
            other.chars().take(80).collect::<String>(),
            ARCHITECTURES.join(", ")
        ))),
    }
}

/// A linear layer with or without a bias.
#[derive(Debug)]
struct Projection {
    weight: Linear,
    bias: Option<Tensor<1>>,
}

impl Projection {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.weight.forward(x);
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
