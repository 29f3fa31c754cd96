//! JSON. A key's line is that of the place from which its text is borrowed.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};
use serde_json::Value;

use super::{Entry, SECTION, Scalar, SyntaxError, Values, line_of};

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut entries = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = Object { text, entries: &mut entries, is_section: false };
    object.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
        let message = error.to_string();
        // The line is told apart from what is wrong.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        SyntaxError { line: Some(error.line()), message: message.to_owned() }
    })?;
    Ok(entries)
}

struct Object<'t, 'e> {
    text: &'t str,
    entries: &'e mut Vec<Entry>,
    is_section: bool,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of keys and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { text, entries, is_section } = self;
        while let Some((key, line)) = map.next_key_seed(KeySeed { text })? {
            if key == SECTION && !is_section {
                map.next_value_seed(Object { text, entries, is_section: true })?;
                continue;
            }
            let values = match map.next_value()? {
                Value::Array(list) => match list.into_iter().map(scalar).collect() {
                    Some(values) => Values::Many(values),
                    None => Values::Unfit("a list of something else than texts, numbers, true and false"),
                },
                Value::Object(_) => Values::Unfit("an object"),
                Value::Null => Values::Unfit("null"),
                value => scalar(value).map_or(Values::Unfit("no value"), Values::One),
            };
            entries.push(Entry { key, line, values });
        }
        Ok(())
    }
}

fn scalar(value: Value) -> Option<Scalar> {
    match value {
        Value::String(text) => Some(Scalar::Text(text)),
        Value::Number(number) => Some(Scalar::Number(number.to_string())),
        Value::Bool(yes) => Some(Scalar::Boolean(yes)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

struct KeySeed<'t> {
    text: &'t str,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (String, Option<usize>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = (String, Option<usize>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        let offset = key.as_ptr().addr().checked_sub(self.text.as_ptr().addr()).filter(|offset| *offset <= self.text.len());
        Ok((key.to_owned(), offset.map(|offset| line_of(self.text, offset))))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok((key.to_owned(), None))
    }
}
