//! The paged KV cache: for each layer a tensor of key blocks and one of value blocks.

use burn::tensor::{Device, Tensor};

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
    /// Bytes that one position takes over all layers on `device` (keys and values; f16 on the CPU).
    pub fn bytes_per_position(&self, _device: &Device) -> usize {
        todo!()
    }
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
    pub fn new(_shape: KvShape, _blocks: usize, _device: &Device) -> Self {
        todo!()
    }
}
