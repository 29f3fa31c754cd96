//! The paged KV cache: for each layer a tensor of key blocks and one of value blocks.

use burn::tensor::{Bytes, DType, Device, Tensor, TensorData};

use crate::linear::is_cpu;

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvType {
    /// 16-bit floating point; f32 on GPUs, which when reached through WebGPU need not know f16.
    #[default]
    F16,
    /// Eight bits, and an f16 scale for every 32 elements of a head, as GGML's blocks of that name: 17 bytes where f16 takes 32. On the CPU alone.
    Q8_0,
}

impl KvType {
    /// Elements of a head under one scale.
    pub(crate) const GROUP: usize = 32;

    /// f16 words that `elements` of a position take on the CPU.
    pub(crate) fn words(self, elements: usize) -> usize {
        match self {
            Self::F16 => elements,
            Self::Q8_0 => elements / Self::GROUP * (Self::GROUP / 2 + 1),
        }
    }
}

/// Why there is no KV cache of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The device cannot attend over it.
    #[error("a KV cache of type q8_0 works on the CPU alone: choose f16 for this GPU, or the CPU")]
    Device,
    /// Heads are not whole groups.
    #[error("a KV cache of type q8_0 takes heads of a multiple of {group} elements, and this model's have {head_dim}: choose f16", group = KvType::GROUP)]
    HeadDim {
        /// Elements of a head.
        head_dim: usize,
    },
}

/// The sizes of a KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Layers of the model.
    pub layers: usize,
    /// Key-value heads of a layer.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

impl KvShape {
    /// Bytes that one position takes over all layers in a cache of type `ty` on `device`, keys and values.
    ///
    /// # Errors
    /// [`KvError`] when there is no such cache.
    pub fn bytes_per_position(&self, ty: KvType, device: &Device) -> Result<usize, KvError> {
        let (columns, element) = self.row(ty, device)?;
        Ok(2 * self.layers * columns * element.size())
    }

    /// What a position has in the keys' tensor of a layer: so many elements of this type. A GPU reached through WebGPU need not know f16: its kernels put the bits of two into
    /// an element.
    fn row(&self, ty: KvType, device: &Device) -> Result<(usize, DType), KvError> {
        let (width, cpu) = (self.kv_heads * self.head_dim, is_cpu(device));
        match ty {
            KvType::Q8_0 if !cpu => Err(KvError::Device),
            KvType::Q8_0 if !self.head_dim.is_multiple_of(KvType::GROUP) => Err(KvError::HeadDim { head_dim: self.head_dim }),
            _ => {
                let element = if cpu { DType::F16 } else { DType::F32 };
                Ok((columns(ty, width, device), element))
            }
        }
    }
}

/// The columns of a layer's tensors for rows of `width` elements.
pub(crate) fn columns(ty: KvType, width: usize, device: &Device) -> usize {
    if is_cpu(device) { ty.words(width) } else { width.div_ceil(2) }
}

/// Key and value blocks of every layer. Owned by the engine, written and read by [`crate::attention`] alone.
///
/// The tensors are moved into the operation and back, so that on the CPU they are written in place without a copy.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<Option<(Tensor<2>, Tensor<2>)>>,
    pub(crate) block_len: usize,
    pub(crate) ty: KvType,
}

impl KvCache {
    /// Positions in a block.
    pub const BLOCK_LEN: usize = 16;

    /// A zeroed cache of [`KvType::F16`] with `blocks` blocks of [`Self::BLOCK_LEN`] positions on `device`.
    pub fn new(shape: KvShape, blocks: usize, device: &Device) -> Self {
        Self::of_type(KvType::F16, shape, blocks, device).expect("every device and shape has f16")
    }

    /// The same of any type.
    ///
    /// # Errors
    /// [`KvError`] when there is no such cache.
    pub fn of_type(ty: KvType, shape: KvShape, blocks: usize, device: &Device) -> Result<Self, KvError> {
        let (columns, element) = shape.row(ty, device)?;
        let size = [blocks * Self::BLOCK_LEN, columns];
        let zeros = || match is_cpu(device) {
            // Zeroed by the system, page by page as they are first written: a cache costs the memory that is used of it.
            true => {
                let words = vec![0u64; (size[0] * size[1] * element.size()).div_ceil(size_of::<u64>())];
                Tensor::<2>::from_data(TensorData::from_bytes(Bytes::from_elems(words), size, element), (device, element))
            }
            false => Tensor::<2>::zeros(size, (device, element)),
        };
        Ok(Self { layers: (0..shape.layers).map(|_| Some((zeros(), zeros()))).collect(), block_len: Self::BLOCK_LEN, ty })
    }

    /// Blocks of the cache.
    pub fn blocks(&self) -> usize {
        let rows = self.layers.iter().flatten().map(|(keys, _)| keys.dims()[0]).next();
        rows.unwrap_or(0) / self.block_len
    }
}
