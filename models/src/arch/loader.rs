//! Taking a network's parts out of a GGUF: hyperparameters of the architecture's own keys, tensors with their shapes checked, and a tally of what was taken.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt::Display,
};

use burn::tensor::{Tensor, TensorData};
use hearth_kernels::{KvShape, Linear};

use super::{Projection, Source};
use crate::gguf::{Gguf, GgufError, TensorInfo};

/// Bounds on hyperparameters, far above any model, so that products of two cannot overflow and a hostile file costs an error.
const MAX_LAYERS: usize = 1 << 12;
const MAX_WIDTH: usize = 1 << 24;

/// The sizes that every transformer here has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) layers: usize,
    /// Width of the residual stream.
    pub(super) width: usize,
    /// Width of the feed-forward layers.
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    /// Elements of a head that RoPE rotates.
    pub(super) rotated: usize,
    pub(super) vocabulary: usize,
    pub(super) eps: f32,
}

impl Sizes {
    pub(super) fn kv_shape(&self) -> KvShape {
        KvShape { layers: self.layers, kv_heads: self.kv_heads, head_dim: self.head_dim }
    }
}

/// A GGUF being taken apart for one architecture.
pub(super) struct Loader<'a> {
    source: Source<'a>,
    architecture: &'a str,
    taken: RefCell<BTreeSet<&'a str>>,
    /// Bytes put on the device so far.
    uploaded: Cell<usize>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(source: Source<'a>, architecture: &'a str) -> Self {
        Self { source, architecture, taken: RefCell::default(), uploaded: Cell::new(0) }
    }

    /// The key of this architecture's hyperparameter `name`.
    pub(super) fn key(&self, name: impl Display) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub(super) fn gguf(&self) -> &'a Gguf<'a> {
        self.source.gguf
    }

    /// The longest context that the model was trained for, in tokens.
    pub(super) fn trained_context(&self) -> Result<usize, GgufError> {
        self.size("context_length", usize::MAX)
    }

    /// The longest context that will be asked for, in tokens.
    pub(super) fn context(&self) -> Result<usize, GgufError> {
        let trained = self.trained_context()?;
        Ok(if self.source.context == 0 { trained } else { self.source.context.min(trained) })
    }

    /// A float, or `default` when the file does not say.
    pub(super) fn f32_or(&self, name: &str, default: f32) -> Result<f32, GgufError> {
        Ok(self.source.gguf.opt_f32(&self.key(name))?.unwrap_or(default))
    }

    /// A number from 1 to `most`.
    fn size(&self, name: &str, most: usize) -> Result<usize, GgufError> {
        let key = self.key(name);
        let size = self.source.gguf.get_u32(&key)?;
        checked(key, size, most)
    }

    /// A number from 1 to `most`, or `default` when the file does not say.
    pub(super) fn size_or(&self, name: &str, most: usize, default: usize) -> Result<usize, GgufError> {
        let key = self.key(name);
        match self.source.gguf.opt_u32(&key)? {
            Some(size) => checked(key, size, most),
            None => Ok(default),
        }
    }

    /// Refuses a hyperparameter that changes the computation in a way that is not built here.
    pub(super) fn refuse(&self, name: &str, what: &str) -> Result<(), GgufError> {
        let key = self.key(name);
        match self.source.gguf.get(&key) {
            None => Ok(()),
            Some(_) => Err(GgufError::Metadata { key, problem: format!("{what} is not supported") }),
        }
    }

    pub(super) fn sizes(&self) -> Result<Sizes, GgufError> {
        if self.source.gguf.opt_u32(&self.key("expert_count"))?.unwrap_or(0) > 0 {
            return Err(GgufError::Metadata { key: self.key("expert_count"), problem: "a mixture of experts is not supported".into() });
        }
        let width = self.size("embedding_length", MAX_WIDTH)?;
        let heads = self.size("attention.head_count", MAX_WIDTH)?;
        let kv_heads = self.size_or("attention.head_count_kv", MAX_WIDTH, heads)?;
        let head_dim = self.size_or("attention.key_length", MAX_WIDTH, (width / heads).max(1))?;
        let value_dim = self.size_or("attention.value_length", MAX_WIDTH, head_dim)?;
        let rotated = self.size_or("rope.dimension_count", MAX_WIDTH, head_dim)?;
        let wrong = |name: &str, problem: String| Err(GgufError::Metadata { key: self.key(name), problem });
        if !heads.is_multiple_of(kv_heads) {
            return wrong("attention.head_count_kv", format!("{kv_heads} key-value heads do not divide {heads} heads"));
        }
        if value_dim != head_dim {
            return wrong("attention.value_length", format!("values of {value_dim} beside keys of {head_dim} are not supported"));
        }
        if rotated > head_dim || !rotated.is_multiple_of(2) {
            return wrong("rope.dimension_count", format!("{rotated} is not an even number up to the head's {head_dim} elements"));
        }
        if heads.checked_mul(head_dim).is_none_or(|all| all > MAX_WIDTH) {
            return wrong("attention.head_count", format!("{heads} heads of {head_dim} elements are more than {MAX_WIDTH}"));
        }
        let eps = self.source.gguf.get_f32(&self.key("attention.layer_norm_rms_epsilon"))?;
        if !(eps >= 0.0 && eps.is_finite()) {
            return wrong("attention.layer_norm_rms_epsilon", format!("{eps} is not a small positive number"));
        }
        // The vocabulary is what the embedding has rows for; `Model` compares it with the tokenizer's.
        let vocabulary = self.find("token_embd.weight")?.dimensions.get(1).copied().unwrap_or(0) as usize;
        Ok(Sizes {
            layers: self.size("block_count", MAX_LAYERS)?,
            width,
            hidden: self.size("feed_forward_length", MAX_WIDTH)?,
            heads,
            kv_heads,
            head_dim,
            rotated,
            vocabulary,
            eps,
        })
    }

    /// A weight matrix `[rows, columns]`.
    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Linear, GgufError> {
        let (info, bytes) = self.take(name, &[columns as u64, rows as u64])?;
        let packed = self.source.packed.and_then(|packed| packed.matrix(name, info.ty, rows, columns));
        let linear = packed
            .unwrap_or_else(|| Linear::new(info.ty, bytes, rows, columns, self.source.device))
            .map_err(|e| GgufError::Tensor { name: name.into(), problem: e.to_string() })?;
        self.uploaded.update(|sum| sum + linear.bytes());
        Ok(linear)
    }

    /// A weight matrix `<name>.weight`, with `<name>.bias` where the file has one.
    pub(super) fn projection(&self, name: &str, rows: usize, columns: usize) -> Result<Projection, GgufError> {
        let bias = format!("{name}.bias");
        let bias = if self.source.gguf.tensors.contains_key(&*bias) { Some(self.vector(&bias, rows)?) } else { None };
        Ok(Projection { weight: self.matrix(&format!("{name}.weight"), rows, columns)?, bias })
    }

    /// The output head: `output.weight`, or the embedding itself where the file ties them.
    pub(super) fn output(&self, embedding: &Linear, sizes: &Sizes) -> Result<Linear, GgufError> {
        let name = "output.weight";
        match self.source.gguf.tensors.contains_key(name) {
            true => self.matrix(name, sizes.vocabulary, sizes.width),
            false => Ok(embedding.clone()),
        }
    }

    /// A vector of `len` floats.
    pub(super) fn vector(&self, name: &str, len: usize) -> Result<Tensor<1>, GgufError> {
        Ok(self.upload(self.floats(name, len)?))
    }

    pub(super) fn floats(&self, name: &str, len: usize) -> Result<Vec<f32>, GgufError> {
        let (info, bytes) = self.take(name, &[len as u64])?;
        let mut values = vec![0.0; len];
        info.ty.dequantize(bytes, &mut values);
        Ok(values)
    }

    pub(super) fn upload(&self, values: Vec<f32>) -> Tensor<1> {
        let len = values.len();
        self.uploaded.update(|sum| sum + len * size_of::<f32>());
        Tensor::from_data(TensorData::new(values, [len]), self.source.device)
    }

    fn find(&self, name: &str) -> Result<&'a TensorInfo, GgufError> {
        self.source.gguf.tensors.get(name).ok_or_else(|| GgufError::Tensor {
            name: name.into(),
            problem: format!("missing; the architecture `{}` needs it", self.architecture),
        })
    }

    /// A tensor of exactly these dimensions (columns first, as GGUF has them).
    fn take(&self, name: &str, dimensions: &[u64]) -> Result<(&'a TensorInfo, &'a [u8]), GgufError> {
        let info = self.find(name)?;
        // Some converters write trailing dimensions of 1.
        let significant = info.dimensions.iter().rposition(|&d| d != 1).map_or(0, |last| last + 1);
        let needed = dimensions.iter().rposition(|&d| d != 1).map_or(0, |last| last + 1);
        if info.dimensions[..significant] != dimensions[..needed] {
            let problem = format!("has the shape {:?}, but the metadata ask for {dimensions:?}", info.dimensions);
            return Err(GgufError::Tensor { name: name.into(), problem });
        }
        let (&name, info) = self.source.gguf.tensors.get_key_value(name).expect("found above");
        self.taken.borrow_mut().insert(name);
        Ok((info, self.source.gguf.tensor_bytes(info)))
    }

    /// Ends the loading: bytes of the weights on the device.
    ///
    /// # Errors
    /// When the file has a tensor that was not taken: to leave it out would compute another model than the file holds.
    pub(super) fn finish(self) -> Result<usize, GgufError> {
        let taken = self.taken.into_inner();
        match self.source.gguf.tensors.keys().find(|name| !taken.contains(*name)) {
            Some(name) => Err(GgufError::Tensor {
                name: name.to_string(),
                problem: format!("is not a part of the architecture `{}` as supported here", self.architecture),
            }),
            None => Ok(self.uploaded.get()),
        }
    }
}

fn checked(key: String, size: u32, most: usize) -> Result<usize, GgufError> {
    match size as usize {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(GgufError::Metadata { key, problem: format!("{size} is not between 1 and {most}") }),
    }
}
