//! The tables as JSON schemas, as OpenAPI 3.1 has them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::table::{Effect, Field, Kind, Literal, Table};

/// Schemas by name: a table's own and those of the objects within it.
pub(crate) type Schemas = BTreeMap<&'static str, Value>;

/// Adds `table` to `schemas` and returns the reference to it.
pub(crate) fn reference(table: &'static Table, schemas: &mut Schemas) -> Value {
    if !schemas.contains_key(table.name) {
        // Its place is taken before its fields are looked at, so that a table may hold itself.
        schemas.insert(table.name, Value::Null);
        let schema = object(table, schemas);
        schemas.insert(table.name, schema);
    }
    json!({"$ref": format!("#/components/schemas/{}", table.name)})
}

fn object(table: &'static Table, schemas: &mut Schemas) -> Value {
    let properties: Map<_, _> = table.fields.iter().map(|field| (field.name.to_owned(), property(field, schemas))).collect();
    let required: Vec<_> = table.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "description": table.about, "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !table.open {
        // Which asks for nothing: a client may know a field that this service does not.
        schema["additionalProperties"] = json!({"type": "null"});
    }
    schema
}

pub(crate) fn property(field: &'static Field, schemas: &mut Schemas) -> Value {
    let mut schema = kind(&field.kind, schemas);
    if !field.required {
        schema = or_null(schema);
    }
    schema["description"] = json!(field.about);
    if let Some(default) = field.default {
        schema["default"] = match default {
            Literal::Flag(flag) => json!(flag),
            Literal::Integer(number) => json!(number),
            Literal::Number(number) => json!(number),
            Literal::Text(text) => json!(text),
        };
    }
    match field.effect {
        Effect::Counts => {}
        Effect::Nothing => schema["x-effect"] = json!("none"),
        Effect::Refused(_) => schema["x-effect"] = json!("refused"),
    }
    schema
}

/// `null` as well, which is the same as a field that is not there.
fn or_null(mut schema: Value) -> Value {
    if let Some(of_type) = schema.get("type").cloned() {
        schema["type"] = json!([of_type, "null"]);
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
        return schema;
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.push(json!({"type": "null"}));
        return schema;
    }
    // Without any of these anything will do.
    if schema.get("$ref").is_none() && schema.get("oneOf").is_none() { schema } else { json!({"anyOf": [schema, {"type": "null"}]}) }
}

fn kind(of: &'static Kind, schemas: &mut Schemas) -> Value {
    match of {
        Kind::Any => json!({}),
        Kind::Text => json!({"type": "string"}),
        // JSON schema counts characters and this service bytes; no text of so many bytes has more characters.
        Kind::TextOf(low, high) => json!({"type": "string", "minLength": low.min(&1), "maxLength": high}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Number(low, high) => between("number", low.is_finite().then(|| json!(low)), high.is_finite().then(|| json!(high))),
        Kind::Integer(low, high) => between("integer", bound(*low), bound(*high)),
        Kind::List(item, low, high) => {
            let mut schema = json!({"type": "array", "items": kind(item, schemas)});
            if *low > 0 {
                schema["minItems"] = json!(low);
            }
            if *high < usize::MAX {
                schema["maxItems"] = json!(high);
            }
            schema
        }
        Kind::Map(value) => json!({"type": "object", "additionalProperties": kind(value, schemas)}),
        Kind::Object(table) => reference(table, schemas),
        Kind::Tagged(tag, tables) | Kind::TaggedOr(tag, tables) => {
            let references: Vec<_> = tables.iter().map(|(_, table)| reference(table, schemas)).collect();
            let mapping: Map<_, _> =
                tables.iter().zip(&references).map(|((name, _), reference)| ((*name).to_owned(), reference["$ref"].clone())).collect();
            json!({"oneOf": references, "discriminator": {"propertyName": tag, "mapping": mapping}})
        }
        Kind::OneOf(kinds) => json!({"anyOf": kinds.iter().map(|of| kind(of, schemas)).collect::<Vec<_>>()}),
    }
}

/// Numbers between bounds that there may be.
fn between(of_type: &str, low: Option<Value>, high: Option<Value>) -> Value {
    let mut schema = json!({"type": of_type});
    for (name, bound) in [("minimum", low), ("maximum", high)] {
        if let Some(bound) = bound {
            schema[name] = bound;
        }
    }
    schema
}

/// A bound, unless it is that of 64 bits, which JSON's readers would round.
fn bound(number: i128) -> Option<Value> {
    i64::try_from(number).ok().filter(|number| *number > i64::MIN && *number < i64::MAX).map(Value::from)
}
