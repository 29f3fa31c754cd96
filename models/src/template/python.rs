//! Python's methods of strings, lists and dictionaries, and Jinja's tests and filters where minijinja's do something else.
//!
//! One thing stays more lenient than there: `none` iterates as empty, so that templates written for a list of tools also serve a conversation without any.

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Tuple, ValueKind, from_args},
};
use minijinja_contrib::pycompat;

/// Adds all of it.
pub(super) fn extend(environment: &mut Environment<'_>) {
    minijinja_contrib::add_to_environment(environment);
    environment.set_unknown_method_callback(method);
    // In Python strings and dictionaries are sequences too.
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_filter("indent", indent);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("wordcount", |text: &str| text.split_whitespace().count());
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
            Value::from(Tuple::from(parts.map(Value::from)))
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
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            lines(text, keep_ends.unwrap_or(false)).into_iter().map(Value::from).collect()
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
            // Python strips the last part only where it looked for its end.
            parts.push(rest);
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

/// Jinja's `default(default_value='', boolean=false)`; minijinja's takes no names.
fn default(value: &Value, other: Option<Value>, boolean: Option<bool>, options: Kwargs) -> Result<Value, Error> {
    let other = options.get::<Option<Value>>("default_value")?.or(other);
    let boolean = options.get::<Option<bool>>("boolean")?.or(boolean).unwrap_or(false);
    options.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { other.unwrap_or_else(|| "".into()) } else { value.clone() })
}

/// HTML's escapes as Jinja writes them.
fn escape(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('\'', "&#39;"), ('"', "&#34;")];
    Value::from_safe_string(escapes.iter().fold(value.to_string(), |text, (char, escape)| text.replace(*char, escape)))
}

/// Lines as `str.splitlines` parts them: at more than newlines, and without an empty one after the last.
fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((at, end)) =
        rest.char_indices().find(|(_, char)| matches!(char, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'))
    {
        let length = if rest[at..].starts_with("\r\n") { 2 } else { end.len_utf8() };
        lines.push(&rest[..if keep_ends { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    lines.extend(Some(rest).filter(|rest| !rest.is_empty()));
    lines
}

/// Jinja's `indent(width=4, first=false, blank=false)`; minijinja's drops a newline at the end.
fn indent(text: &str, width: Option<Value>, first: Option<bool>, blank: Option<bool>, options: Kwargs) -> Result<String, Error> {
    let width = options.get::<Option<Value>>("width")?.or(width);
    let first = options.get::<Option<bool>>("first")?.or(first).unwrap_or(false);
    let blank = options.get::<Option<bool>>("blank")?.or(blank).unwrap_or(false);
    options.assert_all_used()?;
    let margin = match width {
        Some(width) if width.as_str().is_some() => width.to_string(),
        width => " ".repeat(width.map_or(Ok(4), i64::try_from)?.clamp(0, 1000) as usize),
    };
    // With a newline of its own a text keeps the one that it ends with.
    let text = format!("{text}\n");
    let mut indented = String::with_capacity(text.len() * 2);
    for (index, line) in lines(&text, false).into_iter().enumerate() {
        if index > 0 {
            indented.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            indented.push_str(&margin);
        }
        indented.push_str(line);
    }
    Ok(indented)
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
