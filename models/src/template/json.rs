//! `tojson` as Hugging Face defines it: Python's `json.dumps` with non-ASCII characters as they are, not HTML-safe as Jinja's own.

use std::fmt::Write;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

/// How deep values may nest.
const MAX_DEPTH: usize = 100;

struct Style {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
}

/// The filter: `value | tojson(indent=none, ensure_ascii=false, separators=none, sort_keys=false)`.
pub(super) fn tojson(value: &Value, ensure_ascii: Option<bool>, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let option = |name: &str| -> Result<Option<Value>, Error> { Ok(options.get::<Option<Value>>(name)?.filter(|value| !value.is_none())) };
    let indent = match option("indent")?.or(indent.filter(|value| !value.is_none())) {
        None => None,
        Some(value) if value.as_str().is_some() => value.as_str().map(str::to_owned),
        Some(value) => Some(" ".repeat(usize::try_from(i64::try_from(value)?.max(0)).unwrap_or(0).min(64))),
    };
    let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if let Some(separators) = option("separators")? {
        let mut parts = separators.try_iter()?;
        if let (Some(first), Some(second)) = (parts.next(), parts.next()) {
            (item, key) = (first.to_string(), second.to_string());
        }
    }
    let flag = |name: &str| -> Result<Option<bool>, Error> { Ok(option(name)?.map(|value| value.is_true())) };
    let style = Style {
        indent,
        item,
        key,
        ascii: flag("ensure_ascii")?.or(ensure_ascii).unwrap_or(false),
        sort: flag("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut text = String::new();
    style.write(value, 0, &mut text)?;
    Ok(text.into())
}

impl Style {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: the value nests more than {MAX_DEPTH} deep")));
        }
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => text.push_str(&value.to_string()),
            ValueKind::Number => text.push_str(&float(f64::try_from(value.clone())?)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), text),
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = value.try_iter()?.peekable();
                if items.peek().is_none() {
                    text.push_str("[]");
                    return Ok(());
                }
                text.push('[');
                for (index, item) in items.enumerate() {
                    self.before(index, depth + 1, text);
                    self.write(&item, depth + 1, text)?;
                }
                self.line(depth, text);
                text.push(']');
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if keys.is_empty() {
                    text.push_str("{}");
                    return Ok(());
                }
                if self.sort {
                    keys.sort();
                }
                text.push('{');
                for (index, key) in keys.iter().enumerate() {
                    self.before(index, depth + 1, text);
                    match key.kind() {
                        ValueKind::String => self.string(key.as_str().unwrap_or_default(), text),
                        _ => {
                            text.push('"');
                            self.write(key, MAX_DEPTH, text)?;
                            text.push('"');
                        }
                    }
                    text.push_str(&self.key);
                    self.write(&value.get_item(key)?, depth + 1, text)?;
                }
                self.line(depth, text);
                text.push('}');
            }
            other => return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: a value of type {other} is not JSON"))),
        }
        Ok(())
    }

    /// What stands before item `index`.
    fn before(&self, index: usize, depth: usize, text: &mut String) {
        if index > 0 {
            text.push_str(&self.item);
        }
        self.line(depth, text);
    }

    fn line(&self, depth: usize, text: &mut String) {
        if let Some(indent) = &self.indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn string(&self, string: &str, text: &mut String) {
        text.push('"');
        for char in string.chars() {
            match char {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                // Writing to a string cannot fail.
                '\0'..='\u{1f}' => {
                    let _ = write!(text, "\\u{:04x}", u32::from(char));
                }
                _ if self.ascii && !char.is_ascii() => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
                _ => text.push(char),
            }
        }
        text.push('"');
    }
}

/// A float as Python's `repr` writes it.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (123456789.125, "123456789.125"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
