//! A line of an answer: the outputs of one compute, or a failure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use crate::{bindings::exports::wasi::nn::tensor::TensorType, failure::Failure};

/// A tensor.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) dimensions: Vec<u32>,
    pub(crate) ty: TensorType,
    pub(crate) data: Vec<u8>,
}

/// Tensors with their names.
pub(crate) type Tensors = Vec<(String, Tensor)>;

/// What a line says.
///
/// # Errors
/// The failure that it tells of, or that it is none of the contract's.
pub(crate) fn read(line: &[u8]) -> Result<Tensors, Failure> {
    let malformed = || Failure::of_server("a piece of its answer cannot be read");
    let mut document: Map<String, Value> = serde_json::from_slice(line).map_err(|_| malformed())?;
    if let Some(error) = document.remove("error") {
        return Err(Failure(error));
    }
    document.into_iter().map(|(name, value)| Some((name, tensor(value)?))).collect::<Option<Tensors>>().ok_or_else(malformed)
}

/// Bytes are a string, integers an array, any other tensor an object.
fn tensor(value: Value) -> Option<Tensor> {
    let flat = |data: Vec<u8>, ty, width: usize| Some(Tensor { dimensions: vec![u32::try_from(data.len() / width).ok()?], ty, data });
    match value {
        Value::String(text) => flat(text.into_bytes(), TensorType::U8, 1),
        Value::Array(numbers) => {
            let numbers = numbers.iter().map(|number| i32::try_from(number.as_i64()?).ok().map(i32::to_le_bytes));
            flat(numbers.collect::<Option<Vec<_>>>()?.concat(), TensorType::I32, 4)
        }
        Value::Object(fields) => {
            let ty = match fields.get("type")?.as_str()? {
                "FP16" => TensorType::Fp16,
                "FP32" => TensorType::Fp32,
                "FP64" => TensorType::Fp64,
                "BF16" => TensorType::Bf16,
                "U8" => TensorType::U8,
                "I32" => TensorType::I32,
                "I64" => TensorType::I64,
                _ => return None,
            };
            let dimensions = fields.get("dimensions")?.as_array()?.iter().map(|length| u32::try_from(length.as_u64()?).ok());
            let data = BASE64_STANDARD.decode(fields.get("data")?.as_str()?).ok()?;
            Some(Tensor { dimensions: dimensions.collect::<Option<_>>()?, ty, data })
        }
        _ => None,
    }
}
