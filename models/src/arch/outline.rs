//! What a model takes and reads, told by its header alone: no weight is loaded. The sizes are those that loading it finds, from the same metadata.

use std::path::Path;

use burn::tensor::Device;
use hearth_kernels::{KvError, KvShape, KvType};

use super::{
    ENCODERS, Source,
    gemma::local_layers,
    gemma2, gemma3,
    loader::{Loader, Sizes},
    unsupported,
};
use crate::{
    Facts, Folder, ModelError, Packed, Quantization,
    gguf::{Gguf, GgufError, MappedFile},
};

/// A model's needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What the file says of it.
    pub facts: Facts,
    /// The longest context that it was trained for, in tokens.
    pub context_length: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Bytes of the weights as the CPU keeps them: matrices repacked, vectors as f32.
    pub cpu_bytes: u64,
    /// Bytes of the weights that one token reads on the CPU: of an embedding that is no output head a row alone, of a mixture of experts those that a router chooses.
    pub token_bytes: u64,
    /// The KV cache; a model that embeds has none.
    pub kv: Option<KvOutline>,
}

/// What a KV cache needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvOutline {
    /// Layers, key-value heads (with grouped queries fewer than heads) and the elements of one.
    pub shape: KvShape,
    /// How many positions each layer sees; `None` sees all. The cache keeps every position of every layer all the same.
    pub windows: Vec<Option<usize>>,
}

impl KvOutline {
    /// Bytes of a position over all layers. A GPU takes as many for [`KvType::F16`], the only type that it has.
    ///
    /// # Errors
    /// [`KvError`] where the model's heads do not fit the type.
    pub fn position_bytes(&self, ty: KvType) -> Result<usize, KvError> {
        self.shape.bytes_per_position(ty, &Device::flex())
    }

    /// Bytes of the cache that one token reads after `length` positions: of a layer with a sliding window no more than that.
    ///
    /// # Errors
    /// As for [`Self::position_bytes`].
    pub fn read_bytes(&self, ty: KvType, length: usize) -> Result<u64, KvError> {
        let layer = KvShape { layers: 1, ..self.shape }.bytes_per_position(ty, &Device::flex())?;
        let seen = self.windows.iter().map(|window| window.unwrap_or(usize::MAX).min(length) as u64);
        // A hostile file may name what no machine could hold.
        Ok(seen.fold(0, |sum: u64, positions| sum.saturating_add(positions.saturating_mul(layer as u64))))
    }
}

impl Outline {
    /// That of a GGUF file, or of a folder as Hugging Face has them, whose weights would be quantized so.
    ///
    /// # Errors
    /// As for loading it, short of what only its tensors' bytes or texts could tell.
    pub fn open(path: &Path, quantize: Option<Quantization>) -> Result<Self, ModelError> {
        if path.is_dir() {
            let folder = Folder::open(path, quantize)?;
            return Self::of(&folder.gguf()?);
        }
        let file = MappedFile::open(path)?;
        Self::of(&Gguf::parse(&file)?)
    }

    /// That of a parsed GGUF.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn of(gguf: &Gguf<'_>) -> Result<Self, ModelError> {
        let facts = Facts::of(gguf)?;
        let architecture = facts.architecture.clone();
        let device = Device::flex();
        let loader = Loader::new(Source { gguf, packed: None, context: 0, device: &device }, &architecture);
        let kv = match ENCODERS.contains(&&*architecture) {
            true => None,
            false => Some(kv(&loader, &architecture)?),
        };
        let (cpu_bytes, token_bytes) = weights(gguf, &loader)?;
        Ok(Self { facts, context_length: loader.trained_context()?, vocabulary: loader.vocabulary()?, cpu_bytes, token_bytes, kv })
    }
}

fn kv(loader: &Loader<'_>, architecture: &str) -> Result<KvOutline, ModelError> {
    let sizes = match architecture {
        "qwen3moe" => loader.sizes_beside_experts()?,
        _ => loader.sizes()?,
    };
    Ok(KvOutline { shape: sizes.kv_shape(), windows: windows(loader, &sizes, architecture)? })
}

fn windows(loader: &Loader<'_>, sizes: &Sizes, architecture: &str) -> Result<Vec<Option<usize>>, ModelError> {
    let layers = sizes.layers;
    let some = |window: Option<usize>, period| match window {
        Some(window) => local_layers(loader, layers, period).map(|local| local.into_iter().map(|local| local.then_some(window)).collect()),
        None => Ok(vec![None; layers]),
    };
    Ok(match architecture {
        "llama" => vec![loader.window(0)?; layers],
        "gemma2" => some(loader.window(gemma2::WINDOW)?, gemma2::PERIOD)?,
        "gemma3" => some(loader.window(0)?, gemma3::PERIOD)?,
        "phi3" | "qwen2" | "qwen3" | "qwen3moe" => vec![None; layers],
        other => return Err(unsupported(other)),
    })
}

/// Bytes of all weights on the CPU, and of those that a token reads.
fn weights(gguf: &Gguf<'_>, loader: &Loader<'_>) -> Result<(u64, u64), GgufError> {
    let (experts, used) = (loader.size_or("expert_count", usize::MAX, 1)?, loader.size_or("expert_used_count", usize::MAX, 1)?);
    let is_tied = !gguf.tensors.contains_key("output.weight");
    let (mut all, mut read) = (0_u64, 0_u64);
    for (name, info) in &gguf.tensors {
        let bytes = Packed::tensor_bytes(info).unwrap_or_else(|| info.dimensions.iter().product::<u64>() * size_of::<f32>() as u64);
        all += bytes;
        read += match *name {
            "token_embd.weight" if !is_tied => 0,
            _ if info.dimensions.get(2).is_some_and(|stack| *stack > 1) => bytes / experts as u64 * used.min(experts) as u64,
            _ => bytes,
        };
    }
    Ok((all, read))
}
