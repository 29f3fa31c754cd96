//! The grammar of an answer that may or must have calls, in llguidance's dialect of Lark.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{
    Dialect, Tool,
    format::{Arguments, Format, Tags},
    matching::place,
    types::Types,
};

/// Calls of an answer.
const MAX_CALLS: usize = 16;

/// What an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The tools that may be called; none, and there are no calls.
    pub tools: &'a [Tool],
    /// It must be nothing but calls.
    pub must_call: bool,
    /// It may have more than one.
    pub several: bool,
    /// The prompt ends within the thinking.
    pub thinks: bool,
    /// Rules in Lark for `content`, which holds an answer without calls; any text where there are none.
    pub content: Option<&'a str>,
}

/// A part of a text as a vocabulary has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text, in any tokens.
    Text(String),
    /// A control token, which no text becomes.
    Token(u32),
}

impl Dialect {
    /// The grammar of an answer. `pieces` parts a text at the vocabulary's control tokens.
    ///
    /// In forms with an element for each argument, strings are held to their `enum` and to nothing else that their schemas say.
    pub fn grammar(&self, wanted: &Wanted<'_>, pieces: &dyn Fn(&str) -> Vec<Piece>) -> String {
        let Wanted { tools, must_call, several, thinks, content } = *wanted;
        let mut grammar = Grammar { pieces, rules: content.unwrap_or_default().to_owned(), untils: 0 };
        let marker = self.format.marker;
        let answer = if tools.is_empty() {
            content.map_or("TEXT", |_| "content").to_owned()
        } else if must_call {
            grammar.calls(self.format, tools, several, "")
        } else if content.is_some() {
            format!("{} | content", grammar.calls(self.format, tools, several, ""))
        } else if marker.is_empty() {
            // What begins like an object is a call.
            format!("{} | /[ \\t\\r\\n]*[^ \\t\\r\\n{{](.|\\n)*/ | \"\"", grammar.calls(self.format, tools, several, ""))
        } else {
            let text = grammar.until(marker);
            format!("{text} {} | TEXT", grammar.calls(self.format, tools, several, marker))
        };
        grammar.rule("answer", &answer);
        let start = match self.reasoning {
            Some(reasoning) => {
                let thought = grammar.until(reasoning.close);
                let open = grammar.literal(reasoning.open);
                let thought = format!("{thought} /[ \\t\\r\\n]*/");
                if thinks { format!("{thought} answer") } else { format!("({open} {thought})? answer") }
            }
            None => "answer".into(),
        };
        format!("start: {start}\n{}TEXT: /(.|\\n)*/\n", grammar.rules)
    }
}

/// The rules of a grammar as they are written.
struct Grammar<'p> {
    pieces: &'p dyn Fn(&str) -> Vec<Piece>,
    rules: String,
    untils: usize,
}

impl Grammar<'_> {
    fn rule(&mut self, name: &str, body: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.rules, "{name}: {body}");
    }

    /// `text` with the places of a form filled, the tool's name aside.
    fn literal(&self, text: &str) -> String {
        let Some((before, place, after)) = place(text) else { return self.plain(text) };
        let filled = if place == "index" { "/[0-9]{1,3}/" } else { "/[a-zA-Z0-9]{9}/" };
        [self.plain(before), filled.into(), self.literal(after)].join(" ")
    }

    fn plain(&self, text: &str) -> String {
        let piece = |piece| match piece {
            Piece::Text(text) => Value::from(text).to_string(),
            Piece::Token(token) => format!("<[{token}]>"),
        };
        (self.pieces)(text).into_iter().map(piece).collect::<Vec<_>>().join(" ")
    }

    /// Text that ends with the first `marker`.
    fn until(&mut self, marker: &str) -> String {
        if let Some(Piece::Token(_)) = (self.pieces)(marker).first() {
            return format!("TEXT {}", self.plain(marker));
        }
        self.untils += 1;
        let name = format!("until_{}", self.untils);
        let marker = Value::from(marker);
        self.rule(&format!("{name}[lazy]"), &format!("TEXT {marker}"));
        name
    }

    /// One call or several, without `marker` at the beginning, which is there already.
    fn calls(&mut self, format: &Format, tools: &[Tool], several: bool, marker: &str) -> String {
        let (mut first, mut next) = (Vec::new(), Vec::new());
        for (number, tool) in tools.iter().enumerate() {
            let arguments = match &format.arguments {
                Arguments::Json => format!("%json {}", schema(&tool.parameters)),
                Arguments::Tags(tags) => self.elements(tags, tool, number),
            };
            self.rule(&format!("arguments_{number}"), &arguments);
            let opened = |text: &str| text.replace("{name}", &tool.name);
            let begin = opened(&[format.before, format.open].concat());
            first.push(format!("{} arguments_{number}", self.literal(&begin[marker.len()..])));
            next.push(format!("{} arguments_{number}", self.literal(&opened(&[format.between, format.open].concat()))));
        }
        let close: Vec<String> = format.close.iter().map(|close| self.literal(close)).collect();
        self.rule("close", &close.join(" | "));
        self.rule("first", &format!("({}) close", first.join(" | ")));
        let mut calls = "first".to_owned();
        if several && format.many {
            self.rule("next", &format!("({}) close", next.join(" | ")));
            let _ = write!(calls, " next{{0,{}}}", MAX_CALLS - 1);
        }
        if !format.after.is_empty() {
            calls = format!("{calls} {}", self.literal(format.after));
        }
        // A tag may precede what has no marker.
        match (self.pieces)(format.tag).first() {
            Some(Piece::Token(tag)) => format!("(<[{tag}]>)? {calls}"),
            _ => calls,
        }
    }

    /// An element for each argument, in the schema's order.
    fn elements(&mut self, tags: &Tags, tool: &Tool, number: usize) -> String {
        let empty = Map::new();
        let properties = tool.parameters.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required =
            |key: &str| tool.parameters.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|known| known == key));
        let mut elements = vec!["\"\"".to_owned()];
        for (place, (key, schema)) in properties.iter().enumerate() {
            let types = Types::of(tool, key);
            let end = [tags.close, tags.gap].concat();
            let value = match schema.get("enum").and_then(Value::as_array) {
                Some(values) if types.is_text() => {
                    let values: Vec<String> = values.iter().filter_map(Value::as_str).map(|value| self.plain(value)).collect();
                    format!("({}) {}", values.join(" | "), self.plain(&end))
                }
                _ if !types.has_text() => format!("%json {} {}", within(schema, &tool.parameters), self.plain(&end)),
                _ => format!("{} {}", self.until(tags.close.trim_start()), self.plain(tags.gap)),
            };
            let middle = if !types.has_text() { tags.middle_json } else { tags.middle };
            let name = format!("argument_{number}_{place}");
            let element = format!("{} {value}", self.plain(&[tags.open, key, middle].concat()));
            self.rule(&name, &element);
            elements.push(if required(key) { name } else { format!("{name}?") });
        }
        elements.join(" ")
    }
}

/// The schema of a tool's arguments as the grammar holds them: an object, with nothing beside what it says unless it says so, spaced as templates write JSON.
fn schema(parameters: &Value) -> Value {
    let mut schema = parameters.as_object().cloned().unwrap_or_else(|| Map::from_iter([("properties".to_owned(), json!({}))]));
    let composed = ["allOf", "anyOf", "oneOf", "$ref", "patternProperties", "additionalProperties", "unevaluatedProperties"];
    if schema.contains_key("properties") && !composed.iter().any(|key| schema.contains_key(*key)) {
        schema.insert("additionalProperties".into(), false.into());
    }
    if !["type", "allOf", "anyOf", "oneOf", "$ref"].iter().any(|key| schema.contains_key(*key)) {
        schema.insert("type".into(), "object".into());
    }
    spaced(schema)
}

/// The schema of one argument, with the definitions that it may refer to.
fn within(schema: &Value, parameters: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    for definitions in ["$defs", "definitions"] {
        if let Some(given) = parameters.get(definitions) {
            schema.insert(definitions.into(), given.clone());
        }
    }
    spaced(schema)
}

fn spaced(mut schema: Map<String, Value>) -> Value {
    let style = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
    schema.entry("x-guidance").or_insert(style);
    schema.into()
}
