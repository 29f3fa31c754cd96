//! GGUF v2 and v3: bounded parsing of the header, and the tensors' bytes in place.
//!
//! Every count, length and offset is checked against the bytes at hand before it is believed: a hostile header costs an error, never memory or a panic.

use std::collections::BTreeMap;

use hearth_kernels::WeightType;

/// Why a GGUF could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The header is malformed.
    #[error("not a valid GGUF file: {0}")]
    Malformed(String),
    /// A metadata key is missing or of another type.
    #[error("GGUF metadata `{key}`: {problem}")]
    Metadata {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing, or of another shape or type than needed.
    #[error("GGUF tensor `{name}`: {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // GGUF's own value types
pub enum Value {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Vec<Value>),
}

/// A tensor's place in the file.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// Dimensions as GGUF stores them: the contiguous one (columns) first.
    pub dimensions: Vec<u64>,
    /// Its type.
    pub ty: WeightType,
    /// Byte range in the whole file.
    pub range: std::ops::Range<usize>,
}

/// A parsed header over the file's bytes.
#[derive(Debug)]
pub struct Gguf<'a> {
    /// Metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The whole file.
    pub bytes: &'a [u8],
}

impl<'a> Gguf<'a> {
    /// Parses the header of `bytes`, the whole file.
    ///
    /// # Errors
    /// [`GgufError::Malformed`]
    pub fn parse(_bytes: &'a [u8]) -> Result<Self, GgufError> {
        todo!()
    }
}
