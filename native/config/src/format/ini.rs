//! INI, read line by line, so that each key has its line.

use configparser::ini::{Ini, IniDefault};

use super::{Entry, SECTION, Scalar, SyntaxError, Values};

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut options = IniDefault::default();
    options.default_section = String::new();
    options.case_sensitive = true;
    // A secret may hold any of their symbols.
    options.enable_inline_comments = false;
    let mut ini = Ini::new_from_defaults(options);
    let mut entries = Vec::new();
    let mut in_section = false;
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        let fail = |message: String| SyntaxError { line: Some(at), message };
        let read = ini.read(line.to_owned()).map_err(|message| {
            // Its own number is that of the one line it was given.
            fail(message.split_once(": ").map_or(message.clone(), |(_, message)| message.to_owned()))
        })?;
        for (section, keys) in read {
            if keys.is_empty() {
                if section != SECTION {
                    return Err(fail(format!("the section [{section}] is not known: all keys stand in [{SECTION}]")));
                }
                in_section = true;
            }
            for (key, value) in keys {
                if !in_section {
                    return Err(fail(format!("`{key}` stands before any section: begin the file with [{SECTION}]")));
                }
                let value = value.ok_or_else(|| fail(format!("`{key}` has no value: write {key} = value")))?;
                entries.push(Entry { key, line: Some(at), values: Values::One(Scalar::Text(unquoted(value))) });
            }
        }
    }
    Ok(entries)
}

/// Without the quotes around it that INI does not need and people write.
fn unquoted(value: String) -> String {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).map_or(value.clone(), str::to_owned)
}
