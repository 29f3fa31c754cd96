//! `config.json`: the values that hyperparameters are made of, each by its type, and null as good as left out where nothing else is said.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{FolderError, files::read_json};

/// Bytes of a `config.json`. Most have a thousand; labels and factors of RoPE make some longer.
const MAX_BYTES: u64 = 4 << 20;

/// A `config.json`, or an object in it.
#[derive(Debug)]
pub(super) struct Config {
    path: PathBuf,
    /// Where in the file the object stands: `text_config.`, or nothing.
    within: String,
    object: Map<String, Value>,
}

impl Config {
    /// Reads the folder's `config.json`; `None` where it has none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FolderError> {
        Self::read_from(&folder.join("config.json"))
    }

    /// Reads another file of the kind.
    pub(super) fn read_from(path: &Path) -> Result<Option<Self>, FolderError> {
        Ok(read_json(path, MAX_BYTES)?.map(|object| Self { path: path.into(), within: String::new(), object }))
    }

    #[cfg(test)]
    pub(super) fn of(object: Value) -> Self {
        let Value::Object(object) = object else { panic!("an object is needed") };
        Self { path: "config.json".into(), within: String::new(), object }
    }

    /// An error about `key`.
    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>) -> FolderError {
        FolderError::File { path: self.path.clone(), problem: format!("`{}{key}`: {}", self.within, problem.into()) }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether null stands at `key`, where that is not as good as left out.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(Value::is_null)
    }

    /// Whether nothing stands at `key`, or an array of nothing.
    pub(super) fn is_empty(&self, key: &str) -> bool {
        self.get(key).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
    }

    fn typed<'c, T>(&'c self, key: &str, what: &str, convert: impl Fn(&'c Value) -> Option<T>) -> Result<Option<T>, FolderError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(60).collect();
            self.wrong(key, format!("it is {shown}, but {what} is needed"))
        })
    }

    pub(super) fn opt_u32(&self, key: &str) -> Result<Option<u32>, FolderError> {
        self.typed(key, "an unsigned 32-bit integer", |value| value.as_u64()?.try_into().ok())
    }

    pub(super) fn opt_f64(&self, key: &str) -> Result<Option<f64>, FolderError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(super) fn opt_bool(&self, key: &str) -> Result<Option<bool>, FolderError> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    pub(super) fn opt_str(&self, key: &str) -> Result<Option<&str>, FolderError> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn opt_strings(&self, key: &str) -> Result<Option<Vec<&str>>, FolderError> {
        self.typed(key, "an array of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    pub(super) fn opt_floats(&self, key: &str) -> Result<Option<Vec<f32>>, FolderError> {
        self.typed(key, "an array of numbers", |value| value.as_array()?.iter().map(|v| Some(v.as_f64()? as f32)).collect())
    }

    /// One id or several.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>, FolderError> {
        let ids = |value: &Value| match value {
            Value::Array(values) => values.iter().map(|v| v.as_u64()?.try_into().ok()).collect(),
            value => Some(vec![value.as_u64()?.try_into().ok()?]),
        };
        Ok(self.typed(key, "a token's id or an array of them", ids)?.unwrap_or_default())
    }

    pub(super) fn u32(&self, key: &str) -> Result<u32, FolderError> {
        self.opt_u32(key)?.ok_or_else(|| self.wrong(key, "missing; an unsigned 32-bit integer is needed"))
    }

    pub(super) fn f64(&self, key: &str) -> Result<f64, FolderError> {
        self.opt_f64(key)?.ok_or_else(|| self.wrong(key, "missing; a number is needed"))
    }

    /// The object at `key`.
    pub(super) fn object(&self, key: &str) -> Result<Option<Self>, FolderError> {
        let object = self.typed(key, "an object", Value::as_object)?;
        Ok(object.map(|object| Self { path: self.path.clone(), within: format!("{}{key}.", self.within), object: object.clone() }))
    }
}
