//! The rows of one engine step and where each belongs.

use burn::tensor::{Device, Int, Tensor};

/// The rows of one step: tokens of one or several sequences, prefill chunks and single decode tokens alike.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// The position of each row in its sequence, from 0.
    pub positions: Vec<u32>,
    /// The sequence of each row, an index into `tables`. Rows of a sequence are consecutive and in order of position.
    pub sequences: Vec<u32>,
    /// For each sequence the numbers of its KV-cache blocks, in order; enough of them for its last position here.
    pub tables: Vec<Vec<u32>>,
    /// The rows whose logits are wanted, ascending.
    pub outputs: Vec<u32>,
}

/// A [`Batch`] with its index tensors on the device: made once a step, read by every layer.
#[derive(Debug, Clone)]
pub struct Step {
    /// `[rows]`, i32.
    pub positions: Tensor<1, Int>,
    /// `[rows]`, i32.
    pub sequences: Tensor<1, Int>,
    /// `[sequences, longest table]`, i32, shorter tables padded with 0.
    pub tables: Tensor<2, Int>,
    /// `[outputs]`, i32.
    pub outputs: Tensor<1, Int>,
}

impl Step {
    /// Puts the index tensors of `batch` on `device`.
    pub fn new(_batch: &Batch, _device: &Device) -> Self {
        todo!()
    }
}
