//! The paged KV cache: for each layer a tensor of key blocks and one of value blocks.

use burn::tensor::{Bytes, DType, Device, Tensor, TensorData};

use crate::linear::is_cpu;

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
    /// Bytes that one position takes over all layers: keys and values in f16.
    pub fn bytes_per_position(&self) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * DType::F16.size()
    }
}

/// The columns of a layer's tensors for rows of `width` elements. A GPU reached through WebGPU need not know f16: its kernels put the bits of two into an element.
pub(crate) fn columns(width: usize, device: &Device) -> usize {
    if is_cpu(device) { width } else { width.div_ceil(2) }
}

/// Key and value blocks of every layer. Owned by the engine, written and read by [`crate::attention`] alone.
///
/// The tensors are moved into the operation and back, so that on the CPU they are written in place without a copy.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<Option<(Tensor<2>, Tensor<2>)>>,
    pub(crate) block_len: usize,
}

impl KvCache {
    /// Positions in a block.
    pub const BLOCK_LEN: usize = 16;

    /// A zeroed cache of `blocks` blocks of [`Self::BLOCK_LEN`] positions on `device`.
    pub fn new(shape: KvShape, blocks: usize, device: &Device) -> Self {
        let size = [blocks * Self::BLOCK_LEN, columns(shape.kv_heads * shape.head_dim, device)];
        let zeros = || match is_cpu(device) {
            // Zeroed by the system, page by page as they are first written: a cache costs the memory that is used of it.
            true => {
                let words = vec![0u64; (size[0] * size[1] * DType::F16.size()).div_ceil(size_of::<u64>())];
                Tensor::<2>::from_data(TensorData::from_bytes(Bytes::from_elems(words), size, DType::F16), (device, DType::F16))
            }
            false => Tensor::<2>::zeros(size, (device, DType::F32)),
        };
        Self { layers: (0..shape.layers).map(|_| Some((zeros(), zeros()))).collect(), block_len: Self::BLOCK_LEN }
    }

    /// Blocks of the cache.
    pub fn blocks(&self) -> usize {
        let rows = self.layers.iter().flatten().map(|(keys, _)| keys.dims()[0]).next();
        rows.unwrap_or(0) / self.block_len
    }
}
