//! The outputs of one compute as a line of JSON: an object with a member for each output. Bytes that are UTF-8 are a string, integers are an array of numbers, any other tensor is an
//! object with its type, its dimensions and its bytes in base64. A line with the member `error` is a failure's document.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    nn::Tensors,
    ports::{NnError, Tensor, TensorType},
};

const TYPES: [(&str, TensorType); 7] = {
    use TensorType::{Bf16, Fp16, Fp32, Fp64, I32, I64, U8};
    [("FP16", Fp16), ("FP32", Fp32), ("FP64", Fp64), ("BF16", Bf16), ("U8", U8), ("I32", I32), ("I64", I64)]
};

/// A line that is none of the contract.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The line of these outputs, with its end.
pub(super) fn write(outputs: Tensors) -> Vec<u8> {
    finish(Value::Object(outputs.into_iter().map(|(name, tensor)| (name, value(tensor))).collect()))
}

/// The line of a failure.
pub(super) fn write_error(error: &NnError) -> Vec<u8> {
    finish(json!({"error": document(error)}))
}

/// The document of a failure.
pub(super) fn document(error: &NnError) -> Value {
    serde_json::from_str(&error.data)
        .unwrap_or_else(|_| json!({"kind": "internal", "message": "The model's host failed and gave no reason."}))
}

fn finish(document: Value) -> Vec<u8> {
    let mut line = document.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn value(tensor: Tensor) -> Value {
    let Tensor { dimensions, ty, data } = tensor;
    let flat = dimensions.len() == 1;
    let data = match ty {
        TensorType::U8 if flat => match String::from_utf8(data) {
            Ok(text) => return Value::String(text),
            Err(error) => error.into_bytes(),
        },
        TensorType::I32 if flat => return data.as_chunks::<4>().0.iter().map(|bytes| Value::from(i32::from_le_bytes(*bytes))).collect(),
        _ => data,
    };
    let name = TYPES.iter().find(|(_, known)| *known == ty).map(|(name, _)| *name);
    json!({"type": name, "dimensions": dimensions, "data": BASE64_STANDARD.encode(data)})
}

/// What a line says.
///
/// # Errors
/// [`Malformed`]
pub(super) fn read(line: &[u8]) -> Result<Result<Tensors, NnError>, Malformed> {
    let mut document: Map<String, Value> = serde_json::from_slice(line).map_err(|_| Malformed)?;
    if let Some(error) = document.remove("error") {
        return Ok(Err(NnError { data: error.to_string() }));
    }
    let outputs = document.into_iter().map(|(name, value)| Some((name, tensor(value)?)));
    outputs.collect::<Option<Tensors>>().map(Ok).ok_or(Malformed)
}

fn tensor(value: Value) -> Option<Tensor> {
    let flat = |data: Vec<u8>, ty, width: usize| Some(Tensor { dimensions: vec![u32::try_from(data.len() / width).ok()?], ty, data });
    match value {
        Value::String(text) => flat(text.into_bytes(), TensorType::U8, 1),
        Value::Array(numbers) => {
            let numbers = numbers.iter().map(|number| i32::try_from(number.as_i64()?).ok().map(i32::to_le_bytes));
            flat(numbers.collect::<Option<Vec<_>>>()?.concat(), TensorType::I32, 4)
        }
        Value::Object(fields) => {
            let (_, ty) = TYPES.into_iter().find(|(name, _)| fields.get("type").is_some_and(|ty| ty == name))?;
            let dimensions = fields.get("dimensions")?.as_array()?.iter().map(|length| u32::try_from(length.as_u64()?).ok());
            let data = BASE64_STANDARD.decode(fields.get("data")?.as_str()?).ok()?;
            Some(Tensor { dimensions: dimensions.collect::<Option<_>>()?, ty, data })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_as_they_were() {
        let tensor = |dimensions: &[u32], ty, data: &[u8]| Tensor { dimensions: dimensions.to_vec(), ty, data: data.to_vec() };
        let outputs: Tensors = [
            ("text", tensor(&[7], TensorType::U8, "a\n\"ßxy".as_bytes())),
            ("none", tensor(&[0], TensorType::U8, b"")),
            ("broken", tensor(&[2], TensorType::U8, &[0xff, 0])),
            ("tokens", tensor(&[2], TensorType::I32, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])),
            ("matrix", tensor(&[1, 2], TensorType::I32, &[0; 8])),
            ("embeddings", tensor(&[2, 1], TensorType::Fp32, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0])),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
        let line = write(outputs.clone());
        assert_eq!((line.iter().filter(|byte| **byte == b'\n').count(), line.last()), (1, Some(&b'\n')));
        assert_eq!(read(&line).unwrap().unwrap(), outputs);
    }

    #[test]
    fn failures_keep_their_documents() {
        let error = NnError { data: r#"{"kind":"queue_full","message":"busy"}"#.into() };
        assert_eq!(read(&write_error(&error)).unwrap().unwrap_err().data, error.data);
        assert!(read(&write_error(&NnError { data: "?".into() })).unwrap().unwrap_err().data.contains("internal"));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let object = |ty: &str, data: &str| format!(r#"{{"a": {{"type": "{ty}", "dimensions": [1], "data": "{data}"}}}}"#);
        for line in ["", "[]", "{", "{\"a\": 1}", "{\"a\": [1.5]}", "{\"a\": [4294967296]}", &object("F8", "AA=="), &object("U8", "A")] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(read(object("U8", "AA==").as_bytes()).unwrap().unwrap()[0].1.data, [0]);
    }
}
