//! Arguments in elements, an argument each, turned into JSON as they come.

use serde_json::Value;

use super::{
    Tool,
    format::Tags,
    matching::{Found, literal, overlap},
    types::Types,
};

/// Bytes of an argument's name.
const MAX_KEY: usize = 512;

/// What a piece led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// More must come.
    More,
    /// No further element follows.
    Ends,
    /// They are not in this form.
    Broken,
}

/// The state within a call's arguments.
#[derive(Debug)]
pub(super) struct TagReader {
    tags: &'static Tags,
    /// The tool's number.
    tool: usize,
    /// Elements begun.
    count: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Gap,
    Key,
    /// Before a value, where a newline may be the form's.
    Start(Types),
    Value(Types),
}

impl TagReader {
    pub(super) fn new(tags: &'static Tags, tool: usize) -> Self {
        Self { tags, tool, count: 0, stage: Stage::Gap }
    }

    /// Goes on with `rest`, and moves what it has read of it to `read` and its JSON to `json`.
    pub(super) fn read(&mut self, rest: &mut String, tools: &[Tool], read: &mut String, json: &mut String) -> Read {
        loop {
            let (taken, next) = match self.stage {
                Stage::Gap => match literal(rest, self.tags.open) {
                    Found::Whole(end) => (end, Stage::Key),
                    Found::Part => return Read::More,
                    Found::Not => {
                        json.push_str(if self.count == 0 { "{}" } else { "}" });
                        return Read::Ends;
                    }
                },
                Stage::Key => match self.key(rest, &tools[self.tool]) {
                    Found::Whole((key, end, types)) => {
                        json.push_str(if self.count == 0 { "{" } else { ", " });
                        json.push_str(&Value::from(key).to_string());
                        json.push_str(if types.is_text() { ": \"" } else { ": " });
                        self.count += 1;
                        (end, Stage::Start(types))
                    }
                    Found::Part => return Read::More,
                    Found::Not => return Read::Broken,
                },
                Stage::Start(types) => match rest.chars().next() {
                    None => return Read::More,
                    Some(first) => (usize::from(first == '\n' && self.tags.middle.ends_with('\n')), Stage::Value(types)),
                },
                Stage::Value(types) => {
                    let (end, whole) = self.value(rest, types, json);
                    if !whole {
                        read.extend(rest.drain(..end));
                        return Read::More;
                    }
                    (end, Stage::Gap)
                }
            };
            read.extend(rest.drain(..taken));
            self.stage = next;
        }
    }

    /// An argument's name, the bytes up to its value, and what this may be.
    fn key(&self, rest: &str, tool: &Tool) -> Found<(String, usize, Types)> {
        let Tags { middle, middle_json, .. } = self.tags;
        let Some(length) = rest.find(middle.chars().next().unwrap_or('>')).filter(|length| *length <= MAX_KEY) else {
            return if rest.len() > MAX_KEY { Found::Not } else { Found::Part };
        };
        let (key, rest) = (rest[..length].trim(), &rest[length..]);
        let bounded = |found| if matches!(found, Found::Whole(end) if end > MAX_KEY) { Found::Not } else { found };
        match (bounded(literal(rest, middle)), bounded(literal(rest, middle_json))) {
            (Found::Whole(end), Found::Whole(_)) => Found::Whole((key.into(), length + end, Types::of(tool, key))),
            (Found::Whole(end), _) => Found::Whole((key.into(), length + end, Types::TEXT)),
            (_, Found::Whole(end)) => Found::Whole((key.into(), length + end, Types::NO_TEXT)),
            (Found::Part, _) | (_, Found::Part) if rest.len() <= MAX_KEY => Found::Part,
            _ => Found::Not,
        }
    }

    /// Tells a value's JSON as far as it is certain: the bytes that it took, and whether it is whole.
    fn value(&self, rest: &str, types: Types, json: &mut String) -> (usize, bool) {
        let close = self.tags.close.trim_start();
        let newline = close.len() < self.tags.close.len();
        let own = |text: &str| if newline { text.strip_suffix('\n').unwrap_or(text).len() } else { text.len() };
        let Some(at) = rest.find(close) else {
            let certain = own(&rest[..rest.len() - overlap(rest, close)]);
            if !types.is_text() || self.tags.cdata {
                return (0, false);
            }
            json.push_str(&quoted(&rest[..certain]));
            return (certain, false);
        };
        let mut value = &rest[..own(&rest[..at])];
        if self.tags.cdata {
            value = value.strip_prefix("<![CDATA[").and_then(|value| value.strip_suffix("]]>")).unwrap_or(value);
        }
        let said = if types.is_text() { None } else { json_of(value, types) };
        match said {
            Some(said) => json.push_str(said),
            None if types.is_text() => json.extend([&quoted(value), "\""]),
            None => json.extend(["\"", &quoted(value), "\""]),
        }
        (at + close.len(), true)
    }
}

/// `value` if it is JSON of `types`, or what Python writes in its place. Where it may be a text, quotes are the text's.
fn json_of(value: &str, types: Types) -> Option<&str> {
    let value = match value.trim() {
        "True" => "true",
        "False" => "false",
        "None" => "null",
        other => other,
    };
    let json: Value = serde_json::from_str(value).ok()?;
    (if types.has_text() { !json.is_string() && types.has(&json) } else { true }).then_some(value)
}

/// `text` as within the quotes of a JSON string.
fn quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
