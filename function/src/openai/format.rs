//! What an answer's text is held to: OpenAI's `response_format`, and llama.cpp's and vLLM's shorter ways to say it.

use serde_json::Value;

use crate::{
    generate::Grammar,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table, invalid},
    },
};

pub(crate) static RESPONSE_FORMAT: Field = Field::new(
    "response_format",
    Kind::Tagged("type", &[("text", &TEXT), ("json_object", &JSON_OBJECT), ("json_schema", &JSON_SCHEMA)]),
    "What the answer's text is held to: any text, a JSON object, or JSON of a schema.",
);
pub(crate) const SCHEMA: Field =
    Field::new("json_schema", Kind::Map(&Kind::Any), "A JSON schema that the text is held to, as llama.cpp's server has it.");
pub(crate) const GUIDED_JSON: Field =
    Field::new("guided_json", Kind::Map(&Kind::Any), "A JSON schema that the text is held to, as vLLM's server has it.");
pub(crate) const GRAMMAR: Field =
    Field::new("grammar", Kind::Text, "A grammar that the text is held to, in llguidance's dialect of Lark; it begins at 'start'.");
pub(crate) const REGEX: Field = Field::new("regex", Kind::Text, "A regular expression that the whole text is held to.");
pub(crate) const GUIDED_REGEX: Field = Field::new("guided_regex", Kind::Text, "vLLM's name of 'regex'.");

pub(crate) static TEXT: Table = Table {
    name: "ResponseFormatText",
    plural: "formats",
    about: "Any text.",
    fields: &[Field::new("type", Kind::Word(&["text"]), "What it is.").required()],
    open: false,
};

pub(crate) static JSON_OBJECT: Table = Table {
    name: "ResponseFormatJsonObject",
    plural: "formats",
    about: "A JSON object.",
    fields: &[
        Field::new("type", Kind::Word(&["json_object"]), "What it is.").required(),
        Field::new("schema", Kind::Map(&Kind::Any), "Its JSON schema, as llama.cpp's server has it."),
    ],
    open: false,
};

static JSON_SCHEMA: Table = Table {
    name: "ResponseFormatJsonSchema",
    plural: "formats",
    about: "JSON of a schema.",
    fields: &[
        Field::new("type", Kind::Word(&["json_schema"]), "What it is.").required(),
        Field::new("json_schema", Kind::Object(&NAMED_SCHEMA), "The schema.").required(),
    ],
    open: false,
};

static NAMED_SCHEMA: Table = Table {
    name: "NamedJsonSchema",
    plural: "schemas",
    about: "A JSON schema with a name.",
    fields: &[
        Field::new("name", Kind::Text, "Its name; nothing here depends on it."),
        Field::new("description", Kind::Text, "What it is for; nothing here depends on it."),
        Field::new("schema", Kind::Map(&Kind::Any), "The schema.").required(),
        Field::new("strict", Kind::Flag, "Hold the text to the schema, as is done here in any case."),
    ],
    open: false,
};

/// What the text is held to, and the parameter that says so.
pub(crate) fn read(fields: &mut Fields) -> Result<Option<(&'static str, Grammar)>, ApiError> {
    let mut found: Option<(&'static str, Grammar)> = None;
    for (name, grammar) in [
        ("response_format", response_format(fields)),
        ("json_schema", fields.map("json_schema").map(schema)),
        ("guided_json", fields.map("guided_json").map(schema)),
        ("grammar", fields.text("grammar").filter(|text| !text.is_empty()).map(Grammar::Lark)),
        ("regex", fields.text("regex").filter(|text| !text.is_empty()).map(Grammar::Regex)),
        ("guided_regex", fields.text("guided_regex").filter(|text| !text.is_empty()).map(Grammar::Regex)),
    ] {
        let Some(grammar) = grammar else { continue };
        if let Some((other, _)) = found {
            return Err(invalid(name, format!("'{other}' says what the text is held to already: send one of them.")));
        }
        found = Some((name, grammar));
    }
    Ok(found)
}

fn response_format(fields: &mut Fields) -> Option<Grammar> {
    let mut format = fields.take("response_format")?;
    match format["type"].as_str()? {
        "json_object" => match format["schema"].take() {
            Value::Null => Some(Grammar::JsonObject(true)),
            schema => Some(Grammar::JsonSchema(schema)),
        },
        "json_schema" => Some(Grammar::JsonSchema(format["json_schema"]["schema"].take())),
        _ => None,
    }
}

fn schema(map: serde_json::Map<String, Value>) -> Grammar {
    Grammar::JsonSchema(Value::Object(map))
}
