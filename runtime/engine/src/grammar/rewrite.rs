//! Schemas in other words that mean the same: what the grammar's engine would refuse, said as it takes it.
//!
//! - `oneOf` of alternatives of which no value is valid by two is `anyOf`; programs write their tagged unions so, with references, which the engine does not follow;
//! - the engine takes a reference by the letter, so its escapes (`%20`, `~0`) are undone;
//! - `uniqueItems` false and `propertyNames` of any string say nothing.

use std::{cell::Cell, collections::HashSet};

use serde_json::Value;

use super::schema::{MANY, NAMED, ONE, is_any_name, unescaped};

/// How deep alternatives are looked into for what tells them apart.
const DEPTH: usize = 4;
/// Looks at two alternatives, at two of their properties, or at two of their values, for all of a schema; beyond, `oneOf` is left.
const LOOKS: usize = 1_000_000;

/// Rewrites a schema.
pub(crate) fn plain(mut schema: Value) -> Value {
    let root = schema.clone();
    Rewriter { root: &root, looks: Cell::new(LOOKS) }.rewrite(&mut schema);
    schema
}

struct Rewriter<'a> {
    root: &'a Value,
    looks: Cell<usize>,
}

impl Rewriter<'_> {
    fn rewrite(&self, schema: &mut Value) {
        let Value::Object(fields) = schema else { return };
        if fields.get("uniqueItems") == Some(&Value::Bool(false)) {
            fields.remove("uniqueItems");
        }
        if fields.get("propertyNames").is_some_and(is_any_name) {
            fields.remove("propertyNames");
        }
        if let Some(Value::String(reference)) = fields.get_mut("$ref")
            && let Some(pointer) = unescaped(reference)
            // A name with a slash has no other way to be written.
            && !pointer.contains("~1")
        {
            *reference = format!("#{}", pointer.replace("~0", "~"));
        }
        for (keyword, value) in fields.iter_mut() {
            let keyword = keyword.as_str();
            match value {
                Value::Array(values) if MANY.contains(&keyword) => values.iter_mut().for_each(|value| self.rewrite(value)),
                Value::Object(values) if NAMED.contains(&keyword) => values.values_mut().for_each(|value| self.rewrite(value)),
                value if ONE.contains(&keyword) => self.rewrite(value),
                _ => {}
            }
        }
        if !fields.contains_key("anyOf")
            && let Some(Value::Array(choices)) = fields.get("oneOf")
            && choices.iter().enumerate().all(|(at, one)| choices[..at].iter().all(|other| self.disjoint(one, other, DEPTH)))
        {
            // In its place: the order of a schema's keywords is that of what it says.
            let renamed = |(keyword, value)| if keyword == "oneOf" { ("anyOf".to_owned(), value) } else { (keyword, value) };
            *fields = std::mem::take(fields).into_iter().map(renamed).collect();
        }
    }

    fn may_look(&self, times: usize) -> bool {
        let left = self.looks.get().checked_sub(times);
        self.looks.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Whether it is certain that no value is valid by both.
    fn disjoint(&self, one: &Value, other: &Value, depth: usize) -> bool {
        if *one == Value::Bool(false) || *other == Value::Bool(false) {
            return true;
        }
        if depth == 0 || !self.may_look(1) {
            return false;
        }
        for (this, that) in [(one, other), (other, one)] {
            let meant = this["$ref"].as_str().and_then(unescaped).and_then(|pointer| self.root.pointer(&pointer));
            if meant.is_some_and(|meant| self.disjoint(meant, that, depth - 1)) {
                return true;
            }
        }
        if let (Some(one), Some(other)) = (values(one), values(other)) {
            return self.may_look(one.len() * other.len()) && one.iter().all(|one| other.iter().all(|other| !same(one, other)));
        }
        if let (Some(one), Some(other)) = (types(one), types(other))
            && !one.iter().any(|one| other.contains(one))
        {
            return true;
        }
        // Objects that both must have a property which tells them apart.
        if one["type"] != "object" || other["type"] != "object" {
            return false;
        }
        let (wanted, demanded) = (required(one), required(other));
        if !self.may_look(wanted.len() + demanded.len()) {
            return false;
        }
        wanted.into_iter().filter(|name| demanded.contains(name)).any(|name| {
            let (one, other) = (one["properties"].get(name), other["properties"].get(name));
            one.zip(other).is_some_and(|(one, other)| self.disjoint(one, other, depth - 1))
        })
    }
}

fn required(schema: &Value) -> HashSet<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The only values that are valid, where a schema says so.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    schema.get("const").map(|value| vec![value]).or_else(|| Some(schema.get("enum")?.as_array()?.iter().collect()))
}

/// Whether two values may be the same: 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => true,
        _ => one == other,
    }
}

/// The types of valid values, where a schema says so; an integer is a number.
fn types(schema: &Value) -> Option<Vec<&str>> {
    fn normal(name: &str) -> &str {
        if name == "integer" { "number" } else { name }
    }
    match &schema["type"] {
        Value::String(name) => Some(vec![normal(name.as_str())]),
        Value::Array(names) => names.iter().map(|name| name.as_str().map(normal)).collect(),
        _ => values(schema).map(|values| values.into_iter().map(kind).collect()),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn alternatives_that_are_told_apart_are_any_of_them() {
        let tagged = |tag: Value| json!({"type": "object", "properties": {"k": {"const": tag}}, "required": ["k"]});
        let definitions = json!({"A": tagged(json!("a")), "B": tagged(json!("b"))});
        let apart = [
            json!([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]),
            json!([tagged(json!(1)), tagged(json!(2)), {"type": "null"}]),
            json!([{"type": "integer"}, {"type": ["string", "null"]}]),
            json!([{"const": 1}, {"enum": [2, "1"]}]),
        ];
        for choices in apart {
            let schema = plain(json!({"oneOf": choices, "$defs": definitions}));
            assert_eq!((schema.get("oneOf"), &schema["anyOf"]), (None, &choices));
        }
        let perhaps_both = [
            json!([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]),
            json!([{"type": "integer"}, {"type": "number"}]),
            json!([{"const": 1}, {"const": 1.0}]),
            json!([{"properties": {"k": {"const": 1}}, "required": ["k"]}, {"properties": {"k": {"const": 2}}, "required": ["k"]}]),
            json!([{"type": "object", "properties": {"k": {"const": 1}}}, tagged(json!(2))]),
            json!([{}, {"type": "null"}]),
            json!([{"$ref": "#"}, {"type": "null"}]),
        ];
        for choices in perhaps_both {
            let schema = json!({"oneOf": choices, "$defs": definitions});
            assert_eq!(plain(schema.clone()), schema);
        }
    }

    #[test]
    fn references_lose_their_escapes_and_data_is_left() {
        let schema =
            json!({"items": {"$ref": "#/$defs/a%20b"}, "prefixItems": [{"$ref": "#/$defs/a~0b"}, {"$ref": "#/$defs/a~1b"}, {"$ref": "#"}]});
        let written =
            json!({"items": {"$ref": "#/$defs/a b"}, "prefixItems": [{"$ref": "#/$defs/a~b"}, {"$ref": "#/$defs/a~1b"}, {"$ref": "#"}]});
        assert_eq!(plain(schema), written);
        let data =
            json!({"const": {"$ref": "#/a%20b", "oneOf": [], "uniqueItems": false}, "properties": {"uniqueItems": {"type": "null"}}});
        assert_eq!(plain(data.clone()), data);
        assert_eq!(plain(json!({"uniqueItems": false, "propertyNames": {"type": "string"}, "type": "object"})), json!({"type": "object"}));
        let says_something = json!({"uniqueItems": true, "propertyNames": {"maxLength": 2}});
        assert_eq!(plain(says_something.clone()), says_something);
    }
}
