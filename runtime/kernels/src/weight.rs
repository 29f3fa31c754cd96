//! The bit layouts of GGML's tensor types: block sizes and exact dequantization, the reference that every kernel is tested against.

/// A tensor type of GGUF that weights may have. Layouts follow ggml's `ggml-common.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are GGML's own
pub enum WeightType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// Why a weight could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The bytes do not hold `rows × columns` elements of the type.
    #[error("a {rows}x{columns} weight of type {ty:?} needs {need} bytes, got {got}")]
    Length {
        /// The type of the weight.
        ty: WeightType,
        /// Output features.
        rows: usize,
        /// Input features.
        columns: usize,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        got: usize,
    },
    /// The row length is not a multiple of the type's block.
    #[error("a row of {columns} elements is not a multiple of the {block}-element block of type {ty:?}")]
    Block {
        /// The type of the weight.
        ty: WeightType,
        /// Input features.
        columns: usize,
        /// Elements in a block.
        block: usize,
    },
}

impl WeightType {
    /// Elements in a block: 1 for floats, 32 or 256 for quantized types.
    pub fn block_len(self) -> usize {
        todo!()
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        todo!()
    }

    /// The type with this number in GGML's `enum ggml_type`, if supported.
    pub fn from_ggml(_number: u32) -> Option<Self> {
        todo!()
    }

    /// Bytes of `elements` consecutive elements, `None` when they are not whole blocks or the count overflows.
    pub fn bytes_of(self, _elements: usize) -> Option<usize> {
        todo!()
    }

    /// Writes the elements of `bytes` as f32 to `out` (`out.len()` whole blocks), exactly as ggml's `dequantize_row_*` does.
    pub fn dequantize(self, _bytes: &[u8], _out: &mut [f32]) {
        todo!()
    }
}
