//! Which types of JSON a schema lets a value have: where strings stand without quotes, it says what a text is.

use serde_json::Value;

use super::Tool;

/// A set of JSON's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types(u8);

/// References and alternatives that are followed.
const MAX_DEPTH: usize = 16;

const STRING: u8 = 1;
const NAMES: [(&str, u8); 7] =
    [("string", STRING), ("integer", 2), ("number", 2), ("boolean", 4), ("null", 8), ("array", 16), ("object", 32)];

impl Types {
    pub(super) const TEXT: Self = Self(STRING);
    pub(super) const ANY: Self = Self(63);
    pub(super) const NO_TEXT: Self = Self(62);

    /// Those of an argument of `tool`.
    pub(super) fn of(tool: &Tool, key: &str) -> Self {
        match tool.parameters.get("properties").and_then(|properties| properties.get(key)) {
            Some(schema) => Self::of_schema(schema, &tool.parameters, 0),
            None => Self::ANY,
        }
    }

    fn of_schema(schema: &Value, root: &Value, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::ANY;
        }
        let mut types = match schema.get("type") {
            Some(Value::String(name)) => Self::named(name),
            Some(Value::Array(names)) => Self::union(names.iter().map(|name| name.as_str().map_or(Self::ANY, Self::named))),
            _ => Self::ANY,
        };
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            types.0 &= Self::union(values.iter().map(Self::of_value)).0;
        }
        if let Some(value) = schema.get("const") {
            types.0 &= Self::of_value(value).0;
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema.get(keyword).and_then(Value::as_array) {
                types.0 &= Self::union(schemas.iter().map(|schema| Self::of_schema(schema, root, depth + 1))).0;
            }
        }
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(reference.strip_prefix('#')?));
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        for schema in all.chain(reference) {
            types.0 &= Self::of_schema(schema, root, depth + 1).0;
        }
        types
    }

    pub(super) fn of_value(value: &Value) -> Self {
        Self::named(match value {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Null => "null",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        })
    }

    /// Whether they are no other than strings, and whether strings are among them.
    pub(super) fn is_text(self) -> bool {
        self.0 & Self::NO_TEXT.0 == 0
    }

    pub(super) fn has_text(self) -> bool {
        self.0 & STRING != 0
    }

    pub(super) fn has(self, value: &Value) -> bool {
        self.0 & Self::of_value(value).0 != 0
    }

    fn named(name: &str) -> Self {
        NAMES.iter().find(|(known, _)| *known == name).map_or(Self::ANY, |(_, bit)| Self(*bit))
    }

    fn union(types: impl Iterator<Item = Self>) -> Self {
        Self(types.fold(0, |union, types| union | types.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_says_what_a_value_may_be() {
        let tool = Tool {
            name: "t".into(),
            parameters: json!({"properties": {
                "text": {"type": "string"}, "number": {"type": "integer"}, "either": {"type": ["string", "null"]}, "choice": {"enum": ["a", "b"]},
                "one": {"const": 1}, "reference": {"$ref": "#/$defs/list"}, "some": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/list"}]},
                "loop": {"$ref": "#/properties/loop"},
            }, "$defs": {"list": {"type": "array"}}}),
        };
        let said = |key| (Types::of(&tool, key).is_text(), Types::of(&tool, key).has_text());
        for key in ["text", "choice"] {
            assert_eq!(said(key), (true, true), "{key}");
        }
        for key in ["number", "one", "reference"] {
            assert_eq!(said(key), (false, false), "{key}");
        }
        for key in ["either", "some", "loop", "unknown"] {
            assert_eq!(said(key), (false, true), "{key}");
        }
        assert!(Types::of(&tool, "either").has(&Value::Null) && !Types::of(&tool, "either").has(&json!(42)));
    }
}
