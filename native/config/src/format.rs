//! The three languages that a file may be written in, to one list of keys with their lines.

use std::path::Path;

mod ini;
mod json;
mod toml;

/// The table, object or section that may hold the keys; in TOML and JSON they may also stand outside of any.
const SECTION: &str = "service";

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key = value`, keys outside of any table or in `[service]`.
    Toml,
    /// One object, or one in `"service"`.
    Json,
    /// `key = value` in `[service]`; comments have lines of their own.
    Ini,
}

impl Format {
    /// By the end of a file's name; what has another is TOML.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Self::Json,
            Some("ini" | "cfg" | "conf") => Self::Ini,
            _ => Self::Toml,
        }
    }
}

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A text. INI has nothing else, so a text may stand for a number, or for yes and no.
    Text(String),
    /// A number in decimal digits.
    Number(String),
    /// Yes or no.
    Boolean(bool),
}

impl Scalar {
    /// As it would stand on a command line.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Boolean(yes) => yes.to_string(),
        }
    }
}

/// A key of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it is written.
    pub key: String,
    /// From 1; `None` where a key is written with escapes, in JSON.
    pub line: Option<usize>,
    /// One value, or the values of a list.
    pub values: Values,
}

/// The right side of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// `key = value`
    One(Scalar),
    /// `key = [value, value]`
    Many(Vec<Scalar>),
    /// Something else, in words.
    Unfit(&'static str),
}

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// The keys of `text`, in the order of their lines.
///
/// # Errors
/// [`SyntaxError`]
pub fn parse(text: &str, format: Format) -> Result<Vec<Entry>, SyntaxError> {
    // Editors of some systems begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = match format {
        Format::Toml => toml::parse(text)?,
        Format::Json => json::parse(text)?,
        Format::Ini => ini::parse(text)?,
    };
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

/// The line of a byte, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
