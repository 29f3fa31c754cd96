//! The rows of one engine step and where each belongs.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

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
    pub fn new(batch: &Batch, device: &Device) -> Self {
        // A table without blocks still has a column: GPUs have no empty buffers.
        let longest = batch.tables.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut tables = vec![0; batch.tables.len().max(1) * longest];
        for (row, table) in tables.chunks_exact_mut(longest).zip(&batch.tables) {
            for (to, &block) in row.iter_mut().zip(table) {
                *to = block as i32;
            }
        }
        let shape = [batch.tables.len().max(1), longest];
        Self {
            positions: indices(&batch.positions, device),
            sequences: indices(&batch.sequences, device),
            tables: Tensor::from_data(TensorData::new(tables, shape), (device, DType::I32)),
            outputs: indices(&batch.outputs, device),
        }
    }
}

/// `[values.len()]`, i32, on `device`.
pub(crate) fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
}
