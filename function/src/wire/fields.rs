//! An object's fields, taken one by one; every error names the field by its path. `null` is the same as a field that is not there, as in OpenAI's API.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::ApiError;

/// The fields of an object that were not taken yet.
pub(crate) struct Fields {
    map: Map<String, Value>,
    path: String,
}

impl Fields {
    /// The fields of `value`, which is called `path` in errors; the root's path is empty.
    pub(crate) fn of(value: Value, path: impl Into<String>) -> Result<Self, ApiError> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            other if path.is_empty() => {
                Err(ApiError::bad_request(format!("The request body must be a JSON object, but is {}.", kind(&other))))
            }
            other => Err(wrong_type(&path, "an object", &other)),
        }
    }

    /// The path of the field `name`.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of `name`, unless it is absent or null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&self.path(name), "a string", &other)),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(&self.path(name), "a boolean", &other)),
        }
    }

    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let path = self.path(name);
        let number = value.as_f64().ok_or_else(|| wrong_type(&path, "a number", &value))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        Err(out_of_range(&path, &value, range.start(), range.end()))
    }

    /// A whole number; `128.0` is one, as some clients know only floating point.
    pub(crate) fn integer(&mut self, name: &str, range: RangeInclusive<i128>) -> Result<Option<i128>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let path = self.path(name);
        let Value::Number(number) = &value else { return Err(wrong_type(&path, "an integer", &value)) };
        let whole = match (number.as_i128(), number.as_f64()) {
            (Some(whole), _) => whole,
            // Above 2^53 a float no longer says which integer is meant.
            (None, Some(float)) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => float as i128,
            _ => return Err(ApiError::parameter(&path, format!("Invalid '{path}': {number} is not an integer.")).code("invalid_type")),
        };
        if range.contains(&whole) {
            return Ok(Some(whole));
        }
        Err(out_of_range(&path, &value, range.start(), range.end()))
    }

    /// Drops fields that are known and change nothing here.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Refuses what is left and not null.
    pub(crate) fn refuse_rest(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.map.iter().find(|(_, value)| !value.is_null()) else { return Ok(()) };
        let path = shorten(&self.path(name));
        Err(ApiError::parameter(&path, format!("Unrecognized request argument supplied: {path}.")).code("unknown_parameter"))
    }
}

/// 400 for a field of the wrong type.
pub(crate) fn wrong_type(path: &str, expected: &str, got: &Value) -> ApiError {
    ApiError::parameter(path, format!("Invalid type for '{path}': expected {expected}, but got {} instead.", kind(got)))
        .code("invalid_type")
}

fn out_of_range(path: &str, got: &Value, low: &impl std::fmt::Display, high: &impl std::fmt::Display) -> ApiError {
    ApiError::parameter(path, format!("Invalid '{path}': {got} is not between {low} and {high}.")).code("invalid_value")
}

/// What a value is, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a client's text, for a message: an error never repeats megabytes.
pub(crate) fn shorten(text: &str) -> String {
    const CHARACTERS: usize = 80;
    match text.char_indices().nth(CHARACTERS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
