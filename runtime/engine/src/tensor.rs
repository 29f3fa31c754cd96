//! wasi-nn's tensors: plain data at the engine's door, not on a device.

/// The element type of a tensor, as wasi-nn names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TensorType {
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    U8,
    I32,
    I64,
}

/// A tensor of wasi-nn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Length of each dimension.
    pub dimensions: Vec<u32>,
    /// Element type.
    pub ty: TensorType,
    /// Elements in row-major order, little endian.
    pub data: Vec<u8>,
}

/// An input or output by its name.
pub type NamedTensor = (String, Tensor);
