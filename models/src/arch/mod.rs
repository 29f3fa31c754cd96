//! The supported architectures, a flat file each, named as GGUF's `general.architecture` names them.

use hearth_kernels::{Batch, KvCache, KvShape, Step};

use burn::tensor::Tensor;

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
