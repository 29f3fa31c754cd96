//! Python's methods of strings, lists and dictionaries, and Jinja's tests where minijinja's mean something else.

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{ValueKind, from_args},
};
use minijinja_contrib::pycompat;

/// Adds all of it.
pub(super) fn extend(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    // In Python strings and dictionaries are sequences too.
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("iterable", |value: &Value| value.is_undefined() || value.kind() == ValueKind::String || value.try_iter().is_ok());
}

fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str()
        && let Some(result) = string_method(text, name, args).transpose()
    {
        return result;
    }
    if matches!(value.kind(), ValueKind::Seq)
        && let Some(result) = list_method(value, name, args).transpose()
    {
        return result;
    }
    if value.kind() == ValueKind::Map && name == "copy" {
        return Ok(value.clone());
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// The methods that `pycompat` lacks; `None` for the others.
fn string_method(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let missing = |what: &str| Error::new(ErrorKind::InvalidOperation, format!("substring `{what}` not found"));
    let position = |byte: usize| Value::from(text[..byte].chars().count());
    Ok(Some(match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let first = name == "partition";
            let parts = if first { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match parts {
                Some((before, after)) => [before, separator, after],
                None if first => [text, "", ""],
                None => ["", "", text],
            };
            parts.map(Value::from).into_iter().collect()
        }
        "rsplit" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            let limit = limit.and_then(|limit| usize::try_from(limit).ok()).map_or(usize::MAX, |limit| limit.saturating_add(1));
            let mut parts: Vec<&str> = match separator {
                Some(separator) => text.rsplitn(limit, separator).collect(),
                None => whitespace_rsplit(text, limit),
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "index" => {
            let (what,): (&str,) = from_args(args)?;
            position(text.find(what).ok_or_else(|| missing(what))?)
        }
        "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            position(text.rfind(what).ok_or_else(|| missing(what))?)
        }
        "swapcase" => text
            .chars()
            .flat_map(|char| if char.is_lowercase() { char.to_uppercase().collect::<Vec<_>>() } else { char.to_lowercase().collect() })
            .collect::<String>()
            .into(),
        "casefold" => text.to_lowercase().into(),
        "ljust" | "rjust" | "center" | "zfill" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            pad(text, name, width.min(10_000), fill).into()
        }
        _ => return Ok(None),
    }))
}

/// Words from the end, at most `limit` parts.
fn whitespace_rsplit(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        if parts.len() + 1 >= limit {
            parts.push(rest.trim_start());
            break;
        }
        let start = rest.rfind(char::is_whitespace).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    parts
}

fn pad(text: &str, how: &str, width: usize, fill: Option<char>) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let run = |count: usize, fill: char| std::iter::repeat_n(fill, count).collect::<String>();
    let space = fill.unwrap_or(' ');
    match how {
        "ljust" => format!("{text}{}", run(missing, space)),
        "rjust" => format!("{}{text}", run(missing, space)),
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", run(missing, '0'))
        }
        // Python's centre leans left where both are odd.
        _ => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", run(left, space), run(missing - left, space))
        }
    }
}

fn list_method(value: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            let found = value.try_iter()?.position(|item| item == *what);
            Value::from(found.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the value is not in the list"))?)
        }
        "copy" => value.clone(),
        _ => return Ok(None),
    }))
}
