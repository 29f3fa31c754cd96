//! GGUF v2 and v3: bounded parsing of the header, and the tensors' bytes in place.
//!
//! Every count, length and offset is checked against the bytes at hand before it is believed: a hostile header costs an error, never memory or a panic. Parsing
//! copies nothing: keys, strings and arrays stay ranges of the file, so that a vocabulary of a quarter million tokens costs one walk over it.

mod cursor;
mod header;
mod map;
mod read;
mod value;
mod writer;

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use hearth_kernels::WeightType;

pub use map::MappedFile;
pub(crate) use map::read_hint;
pub use read::ReadFile;
pub use value::{Array, ElementType, Value};
pub(crate) use writer::Metadata;

/// Why a GGUF could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("cannot read {path}: {source}{hint}")]
    Io {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
        /// What stands in the way (the file's mode) and what would cure it; empty when nothing is known.
        hint: String,
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

/// A tensor's place in the file.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// Dimensions as GGUF stores them: the contiguous one (columns) first.
    pub dimensions: Vec<u64>,
    /// Its type.
    pub ty: WeightType,
    /// Byte range in the whole file. A tensor that is made when it is asked for has a range that only it has, behind the file's end.
    pub range: std::ops::Range<usize>,
}

/// A parsed header over the file's bytes.
#[derive(Debug)]
pub struct Gguf<'a> {
    /// Metadata by key.
    pub metadata: BTreeMap<&'a str, Value<'a>>,
    /// Tensors by name.
    pub tensors: BTreeMap<&'a str, TensorInfo>,
    /// The whole file, or what of it was read at once.
    pub bytes: &'a [u8],
    /// What makes the tensors that do not lie in `bytes`.
    pub(crate) maker: Option<&'a dyn MakeTensor>,
    /// The map that `bytes` are, if it is known.
    map: Option<&'a MappedFile>,
}

/// Tensors that lie in no file as GGUF has them, and are made when they are asked for.
pub(crate) trait MakeTensor: std::fmt::Debug + Send + Sync {
    /// The bytes of the tensor with this range.
    fn make(&self, range: Range<usize>) -> Cow<'_, [u8]>;
}

impl<'a> Gguf<'a> {
    /// Parses the header of `bytes`, the whole file.
    ///
    /// # Errors
    /// [`GgufError::Malformed`], and [`GgufError::Tensor`] for a tensor whose type is unknown or whose bytes are not in the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GgufError> {
        header::parse(bytes, bytes.len())
    }

    /// Says that a tensor has been read: a model being loaded should not be in memory twice, as the file has it and as the device does.
    pub(crate) fn release(&self, tensor: &TensorInfo) {
        if let (Some(map), None) = (self.map, self.maker) {
            map.release(tensor.range.clone());
        }
    }

    /// The bytes of a tensor of this file.
    pub fn tensor_bytes(&self, tensor: &TensorInfo) -> Cow<'a, [u8]> {
        match self.maker {
            Some(maker) => maker.make(tensor.range.clone()),
            None => Cow::Borrowed(&self.bytes[tensor.range.clone()]),
        }
    }

    /// The value of `key`, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.metadata.get(key)
    }
}

/// Typed getters. Each has two forms: `get_x` needs the key, `opt_x` takes its absence as `None`; both refuse a value of another type. An integer of any width and
/// sign serves as any other that holds it.
macro_rules! getters {
    ($($(#[$doc:meta])* $get:ident $opt:ident: $ty:ty = $convert:expr, $what:literal;)*) => {
        impl<'a> Gguf<'a> {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`GgufError::Metadata`] when it is missing or of another type.
            pub fn $get(&self, key: &str) -> Result<$ty, GgufError> {
                self.$opt(key)?.ok_or_else(|| GgufError::Metadata { key: key.into(), problem: concat!("missing; ", $what, " is needed").into() })
            }

            $(#[$doc])*
            /// `None` when the file lacks it.
            ///
            /// # Errors
            /// [`GgufError::Metadata`] when it is of another type.
            pub fn $opt(&self, key: &str) -> Result<Option<$ty>, GgufError> {
                let Some(value) = self.metadata.get(key) else { return Ok(None) };
                let convert: fn(&Value<'a>) -> Option<$ty> = $convert;
                convert(value).map(Some).ok_or_else(|| GgufError::Metadata {
                    key: key.into(),
                    problem: format!(concat!("it is {}, but ", $what, " is needed"), value.describe()),
                })
            }
        )*}
    };
}

getters! {
    /// An unsigned 32-bit integer.
    get_u32 opt_u32: u32 = |v| v.integer().and_then(|i| i.try_into().ok()), "an unsigned 32-bit integer";
    /// A signed 32-bit integer.
    get_i32 opt_i32: i32 = |v| v.integer().and_then(|i| i.try_into().ok()), "a signed 32-bit integer";
    /// An unsigned 64-bit integer.
    get_u64 opt_u64: u64 = |v| v.integer().and_then(|i| i.try_into().ok()), "an unsigned 64-bit integer";
    /// A float.
    get_f32 opt_f32: f32 = |v| match v { Value::F64(f) => Some(*f as f32), _ => None }, "a float";
    /// A boolean.
    get_bool opt_bool: bool = |v| match v { Value::Bool(b) => Some(*b), _ => None }, "a boolean";
    /// A string.
    get_str opt_str: &'a str = |v| match v { Value::String(s) => std::str::from_utf8(s).ok(), _ => None }, "a UTF-8 string";
    /// An array as it stands in the file.
    get_array opt_array: Array<'a> = |v| match v { Value::Array(a) => Some(*a), _ => None }, "an array";
    /// An array of strings.
    get_array_str opt_array_str: Vec<&'a str> = |v| match v { Value::Array(a) => a.strings(), _ => None }, "an array of UTF-8 strings";
    /// An array of strings of any bytes.
    get_array_bytes opt_array_bytes: Vec<&'a [u8]> = |v| match v { Value::Array(a) => a.byte_strings(), _ => None }, "an array of strings";
    /// An array of floats.
    get_array_f32 opt_array_f32: Vec<f32> = |v| match v { Value::Array(a) => a.floats(), _ => None }, "an array of floats";
    /// An array of integers that fit 32 signed bits.
    get_array_i32 opt_array_i32: Vec<i32> = |v| match v { Value::Array(a) => a.integers(), _ => None }, "an array of signed 32-bit integers";
    /// An array of integers that fit 32 unsigned bits.
    get_array_u32 opt_array_u32: Vec<u32> = |v| match v { Value::Array(a) => a.integers(), _ => None }, "an array of unsigned 32-bit integers";
    /// An array of booleans.
    get_array_bool opt_array_bool: Vec<bool> = |v| match v { Value::Array(a) => a.booleans(), _ => None }, "an array of booleans";
}
