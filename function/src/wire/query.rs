//! What stands behind a path's question mark, as fields of a table: checked and documented as a body's are.

use serde_json::{Map, Value};

use super::{
    ApiError,
    fields::Fields,
    table::{Kind, Table},
};

/// Of an endpoint that knows no query: whatever is there is let be.
pub(crate) static NONE: Table = Table { name: "NoQuery", plural: "queries", about: "Nothing.", fields: &[], open: true };

/// Reads a query. Of a name that is there twice the last counts; an array's name may end in brackets, as some clients write it.
pub(crate) fn read(query: &str, table: &'static Table) -> Result<Fields, ApiError> {
    let mut map = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let name = name.strip_suffix("[]").unwrap_or(&name);
        let value = match table.field(name).map(|field| field.kind) {
            // What is no number stays a text, which the check then names.
            Some(Kind::Integer(..)) => text.parse().map_or_else(|_| Value::from(&*text), |number: i64| Value::from(number)),
            Some(Kind::Flag) => text.parse().map_or_else(|_| Value::from(&*text), |flag: bool| Value::from(flag)),
            _ => Value::from(&*text),
        };
        map.insert(name.to_owned(), value);
    }
    Fields::of(Value::Object(map), table)
}
