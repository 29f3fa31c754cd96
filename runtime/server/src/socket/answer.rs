//! An answer put together again from the pieces that it was streamed in.

use serde_json::{Map, Value};

/// Names whose texts come whole and not in pieces, so that a repeated one is the same and no second half.
const WHOLE: [&str; 4] = ["role", "type", "id", "name"];
/// Says which element of a list a piece belongs to.
const INDEX: &str = "index";

/// What the pieces have come to. They are put together as OpenAI's clients do: texts are joined, objects merged, and elements of a list found by their `index`.
#[derive(Debug)]
pub(super) struct Answer {
    value: Value,
    /// Bytes that may still come.
    left: usize,
    complete: bool,
}

impl Answer {
    /// An answer of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { value: Value::Null, left: limit, complete: true }
    }

    /// Takes a piece; one too many makes the answer none at all.
    pub(super) fn add(&mut self, piece: &Value) {
        match self.left.checked_sub(piece.to_string().len()) {
            Some(left) if self.complete => {
                self.left = left;
                merge(&mut self.value, piece);
            }
            _ => (self.complete, self.value) = (false, Value::Null),
        }
    }

    /// The whole as JSON; `None` where nothing was said, or more than is kept.
    pub(super) fn text(mut self) -> Option<String> {
        strip(&mut self.value);
        (self.complete && says(&self.value)).then(|| self.value.to_string())
    }
}

fn merge(into: &mut Value, piece: &Value) {
    match (into, piece) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(more),
        (Value::Object(object), Value::Object(more)) => more.iter().for_each(|(name, value)| member(object, name, value)),
        (Value::Array(list), Value::Array(more)) => {
            for element in more {
                let known = element.get(INDEX).and_then(|index| list.iter_mut().find(|known| known.get(INDEX) == Some(index)));
                match known {
                    Some(known) => merge(known, element),
                    None => list.push(element.clone()),
                }
            }
        }
        (into, piece) => *into = piece.clone(),
    }
}

fn member(object: &mut Map<String, Value>, name: &str, value: &Value) {
    match object.get_mut(name) {
        Some(known) if name != INDEX && !WHOLE.contains(&name) => merge(known, value),
        Some(_) if value.is_null() => {}
        _ => drop(object.insert(name.to_owned(), value.clone())),
    }
}

/// Takes out what only said where pieces belong.
fn strip(value: &mut Value) {
    match value {
        Value::Array(list) => {
            for element in list {
                if let Value::Object(object) = element {
                    object.shift_remove(INDEX);
                }
                strip(element);
            }
        }
        Value::Object(object) => object.values_mut().for_each(strip),
        _ => {}
    }
}

/// Whether anything is in it beside the names of whom and what.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => object.iter().any(|(name, value)| !WHOLE.contains(&name.as_str()) && says(value)),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(limit: usize, pieces: &[Value]) -> Option<Value> {
        let mut answer = Answer::new(limit);
        pieces.iter().for_each(|piece| answer.add(piece));
        answer.text().map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn pieces_make_the_whole() {
        let pieces = [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "Par", "refusal": null}),
            json!({"role": "assistant", "content": "is"}),
            json!({"calls": [{"index": 1, "id": "b", "call": {"name": "g", "text": ""}}, {"index": 0, "id": "a", "call": {"name": "f", "text": "{"}}]}),
            json!({"calls": [{"index": 0, "id": "a", "call": {"text": "}"}}, {"index": 1, "call": {"text": "1"}}]}),
            json!({}),
        ];
        let calls = json!([{"id": "b", "call": {"name": "g", "text": "1"}}, {"id": "a", "call": {"name": "f", "text": "{}"}}]);
        assert_eq!(of(1000, &pieces), Some(json!({"role": "assistant", "content": "Paris", "refusal": null, "calls": calls})));
    }

    #[test]
    fn nothing_and_too_much_are_no_answer() {
        assert_eq!(of(1000, &[]), None);
        assert_eq!(of(1000, &[json!({"role": "assistant", "content": ""}), json!({})]), None);
        assert_eq!(of(40, &[json!({"content": "aaaaaaaaaaaaaaa"}), json!({"content": "bbbbbbbbbbbbbbb"}), json!({"content": ""})]), None);
    }
}
