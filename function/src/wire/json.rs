//! A JSON tree of bounded depth and size: a body of 4 MiB can hold two million brackets, which as a tree would be hundreds of megabytes.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ApiError;

/// Deepest nesting of a request.
pub const MAX_DEPTH: usize = 64;

/// Most values (scalars, arrays, objects) in a request.
pub const MAX_VALUES: usize = 100_000;

/// What compressed bodies begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads one JSON document. A name that an object has twice is an error: which of the two counts would be anyone's guess.
///
/// # Errors
/// 400 that says where the document breaks, or which bound it passes.
pub fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.starts_with(&GZIP) {
        return Err(ApiError::bad_request("The request body is compressed, which is not taken here: send the JSON as it is."));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::bad_request(format!("The request body is not UTF-8: an invalid byte at offset {}.", error.valid_up_to()))
    })?;
    if text.trim_ascii().is_empty() {
        return Err(ApiError::bad_request("The request body is empty: send a JSON object."));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let values = Cell::new(0);
    let tree = Tree { depth: 0, values: &values }.deserialize(&mut deserializer);
    tree.and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| ApiError::bad_request(format!("The request body is not valid JSON: {error}.")))
}

#[derive(Clone, Copy)]
struct Tree<'a> {
    depth: usize,
    values: &'a Cell<usize>,
}

impl Tree<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let values = self.values.get() + 1;
        if values > MAX_VALUES {
            return Err(D::Error::custom(format_args!("it has more than {MAX_VALUES} values")));
        }
        self.values.set(values);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name \"{}\" appears twice in one object", super::table::shorten(&name))));
            }
            let value = entries.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
