//! An object's fields, read by the table that it was checked by. What is read has its type, since the check has seen to it; a default comes from the table.

use serde_json::{Map, Value};

use super::{
    ApiError,
    table::{Literal, Table, join, whole},
};

/// The fields of a checked object that were not taken yet.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    table: &'static Table,
    path: String,
}

impl Fields {
    /// Checks a request's body and opens it.
    pub(crate) fn of(value: Value, table: &'static Table) -> Result<Self, ApiError> {
        table.check(&value, "")?;
        Ok(Self::checked(value, table, String::new()))
    }

    /// Opens an object within a checked one.
    pub(crate) fn checked(value: Value, table: &'static Table, path: String) -> Self {
        let map = if let Value::Object(map) = value { map } else { Map::new() };
        Self { map, table, path }
    }

    /// The path of the field `name`, for an error.
    pub(crate) fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The value of `name`, unless it is absent or null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        debug_assert!(self.table.open || self.table.field(name).is_some(), "{} has no field {name}", self.table.name);
        // Not `remove`, which would put the last field in its place: an error names the first that is wrong.
        self.map.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    fn default(&self, name: &str) -> Option<Literal> {
        self.table.field(name)?.default
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match (self.take(name), self.default(name)) {
            (Some(Value::String(text)), _) => Some(text),
            (_, Some(Literal::Text(text))) => Some(text.to_owned()),
            _ => None,
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match (self.take(name), self.default(name)) {
            (Some(Value::Bool(flag)), _) | (_, Some(Literal::Flag(flag))) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn number(&mut self, name: &str) -> Option<f64> {
        self.take(name).and_then(|value| value.as_f64()).or(match self.default(name) {
            Some(Literal::Number(number)) => Some(number),
            _ => None,
        })
    }

    pub(crate) fn integer(&mut self, name: &str) -> Option<i128> {
        self.take(name).and_then(|value| whole(&value)).or(match self.default(name) {
            Some(Literal::Integer(number)) => Some(number.into()),
            _ => None,
        })
    }

    /// A whole number that its table keeps within 32 bits.
    pub(crate) fn count(&mut self, name: &str) -> Option<u32> {
        self.integer(name).and_then(|number| u32::try_from(number).ok())
    }

    /// The items of an array, each with its path; none where there is no array.
    pub(crate) fn list(&mut self, name: &str) -> Vec<(String, Value)> {
        let Some(Value::Array(items)) = self.take(name) else { return Vec::new() };
        let path = self.path(name);
        items.into_iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
    }

    /// The strings of an array, or the one string that stands for an array.
    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        let items = match self.take(name) {
            Some(Value::Array(items)) => items,
            Some(item) => vec![item],
            None => Vec::new(),
        };
        items.into_iter().filter_map(|item| if let Value::String(text) = item { Some(text) } else { None }).collect()
    }

    /// The objects of an array.
    pub(crate) fn objects(&mut self, name: &str, table: &'static Table) -> impl Iterator<Item = Self> {
        self.list(name).into_iter().map(move |(path, item)| Self::checked(item, table, path))
    }

    /// An object within this one.
    pub(crate) fn object(&mut self, name: &str, table: &'static Table) -> Option<Self> {
        let value = self.take(name)?;
        Some(Self::checked(value, table, self.path(name)))
    }

    /// An object with any names.
    pub(crate) fn map(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.take(name) {
            Some(Value::Object(map)) => Some(map),
            _ => None,
        }
    }
}
