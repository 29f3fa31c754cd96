//! A weight matrix on its device, in the tiles that its kernels read.

use burn::tensor::{Device, Tensor};

use crate::{WeightError, WeightType};

/// What a packed weight is, for the kernel that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedShape {
    /// The type that it came from.
    pub(crate) ty: WeightType,
    /// Output features.
    pub(crate) rows: usize,
    /// Input features.
    pub(crate) columns: usize,
}

/// A weight matrix `[rows, columns]` (output features × input features), repacked for its device. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Linear {}

impl Linear {
    /// Repacks GGML's row-major blocks for `device`.
    ///
    /// # Errors
    /// [`WeightError`] when `bytes` is not exactly `rows × columns` elements of `ty` in whole blocks.
    pub fn new(_ty: WeightType, _bytes: &[u8], _rows: usize, _columns: usize, _device: &Device) -> Result<Self, WeightError> {
        todo!()
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        todo!()
    }

    /// Input features.
    pub fn columns(&self) -> usize {
        todo!()
    }

    /// `x · Wᵀ`: `[m, columns] → [m, rows]`, f32. A row of the result does not depend on `m` or on the other rows of `x`, to the bit.
    pub fn forward(&self, _x: Tensor<2>) -> Tensor<2> {
        todo!()
    }

    /// The rows with these ids, dequantized: `[ids.len(), columns]`, f32. For token embeddings, tied or not.
    ///
    /// # Panics
    /// When an id is not below [`Self::rows`]: the engine checks tokens before they come here.
    pub fn embed(&self, _ids: &[u32]) -> Tensor<2> {
        todo!()
    }
}
