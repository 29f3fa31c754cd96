//! Taking a network's parts out of a GGUF: hyperparameters of the architecture's own keys, tensors with their shapes checked, and a tally of what was taken.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt::Display,
    ops::Range,
};

use burn::tensor::{Tensor, TensorData};
use hearth_kernels::{AttentionShape, Experts, KvShape, Linear};

use super::{Projection, Source};
use crate::gguf::{Gguf, GgufError, TensorInfo};

/// Bounds on hyperparameters, far above any model, so that products of two cannot overflow and a hostile file costs an error.
pub(super) const MAX_LAYERS: usize = 1 << 12;
pub(super) const MAX_WIDTH: usize = 1 << 24;

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

/// A tensor and its bytes.
type Taken<'a> = (&'a TensorInfo, Cow<'a, [u8]>);

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
    pub(super) fn size(&self, name: &str, most: usize) -> Result<usize, GgufError> {
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

    /// What scores or logits are softly capped at, where they are: 0 stands for no cap.
    pub(super) fn cap(&self, name: &str, default: f32) -> Result<Option<f32>, GgufError> {
        match self.f32_or(name, default)? {
            0.0 => Ok(None),
            cap if cap.is_finite() => Ok(Some(cap)),
            cap => Err(GgufError::Metadata { key: self.key(name), problem: format!("{cap} is no number to cap at") }),
        }
    }

    /// How many positions a row of a layer with a sliding window sees: 0 stands for no window.
    pub(super) fn window(&self, default: usize) -> Result<Option<usize>, GgufError> {
        let window = self.source.gguf.opt_u32(&self.key("attention.sliding_window"))?.map_or(default, |window| window as usize);
        Ok((window > 0).then_some(window))
    }

    /// Attention over all positions, its scores multiplied by `1/√scaled_by` where the file names no other scale.
    pub(super) fn attention(&self, sizes: &Sizes, scaled_by: usize) -> Result<AttentionShape, GgufError> {
        let &Sizes { heads, kv_heads, head_dim, .. } = sizes;
        let scale = match self.f32_or("attention.scale", 0.0)? {
            0.0 => (scaled_by as f32).sqrt().recip(),
            scale => scale,
        };
        Ok(AttentionShape { heads, kv_heads, head_dim, scale, cap: None, window: None })
    }

    /// The sizes of an architecture without experts.
    pub(super) fn sizes(&self) -> Result<Sizes, GgufError> {
        if self.source.gguf.opt_u32(&self.key("expert_count"))?.unwrap_or(0) > 0 {
            return Err(GgufError::Metadata { key: self.key("expert_count"), problem: "a mixture of experts is not supported".into() });
        }
        self.sizes_beside_experts()
    }

    /// The sizes of an architecture that reads those of its experts itself.
    pub(super) fn sizes_beside_experts(&self) -> Result<Sizes, GgufError> {
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
        let vocabulary = self.vocabulary()?;
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

    /// The vocabulary: what the embedding has rows for. `Model` compares it with the tokenizer's.
    pub(super) fn vocabulary(&self) -> Result<usize, GgufError> {
        Ok(self.find("token_embd.weight")?.dimensions.get(1).copied().unwrap_or(0) as usize)
    }

    /// A weight matrix `[rows, columns]`.
    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Linear, GgufError> {
        let taken = self.take(name, &[columns as u64, rows as u64])?;
        self.rows(name, &taken, [rows, columns], 0..rows)
    }

    /// Some consecutive rows of a weight matrix `[all, columns]` that was taken, which lie together in it.
    fn rows(&self, name: &str, taken: &Taken<'_>, [all, columns]: [usize; 2], range: Range<usize>) -> Result<Linear, GgufError> {
        let (info, bytes) = taken;
        let packed = self.source.packed.and_then(|packed| packed.rows(name, info.ty, [all, columns], range.clone()));
        let row_bytes = bytes.len() / all.max(1);
        let linear = packed
            .unwrap_or_else(|| {
                let bytes = &bytes[range.start * row_bytes..range.end * row_bytes];
                Linear::new(info.ty, bytes, range.len(), columns, self.source.device)
            })
            .map_err(|e| GgufError::Tensor { name: name.into(), problem: e.to_string() })?;
        self.source.gguf.release(info);
        self.uploaded.update(|sum| sum + linear.bytes());
        Ok(linear)
    }

    /// A stack of `count` weight matrices `[rows, columns]`.
    pub(super) fn experts(&self, name: &str, count: usize, rows: usize, columns: usize) -> Result<Experts, GgufError> {
        let (info, bytes) = self.take(name, &[columns as u64, rows as u64, count as u64])?;
        let packed = self.source.packed.and_then(|packed| packed.experts(name, info.ty, count, rows, columns));
        let experts = packed
            .unwrap_or_else(|| Experts::new(info.ty, &bytes, count, rows, columns, self.source.device))
            .map_err(|e| GgufError::Tensor { name: name.into(), problem: e.to_string() })?;
        self.source.gguf.release(info);
        self.uploaded.update(|sum| sum + experts.bytes());
        Ok(experts)
    }

    /// The projections that the file keeps as one matrix `<name>.weight`, one below the other, each of so many rows.
    pub(super) fn fused<const N: usize>(&self, name: &str, rows: [usize; N], columns: usize) -> Result<[Projection; N], GgufError> {
        let (name, all) = (format!("{name}.weight"), rows.iter().sum::<usize>());
        let taken = self.take(&name, &[columns as u64, all as u64])?;
        let (mut start, mut parts) = (0, Vec::with_capacity(N));
        for rows in rows {
            parts.push(Projection { weight: self.rows(&name, &taken, [all, columns], start..start + rows)?, bias: None });
            start += rows;
        }
        Ok(parts.try_into().expect("one for each"))
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
        info.ty.dequantize(&bytes, &mut values);
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
    fn take(&self, name: &str, dimensions: &[u64]) -> Result<Taken<'a>, GgufError> {
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
