//! What a client notes for itself on what is kept.

use serde_json::{Map, Value};

use crate::wire::{
    ApiError,
    fields::Fields,
    table::{Field, Kind, invalid, quoted},
};

/// Notes on one thing.
const MAX_NOTES: usize = 16;
/// Bytes of a note's name. OpenAI counts characters, of which up to four bytes are one.
const MAX_NAME: usize = 4 * 64;
/// Bytes of a note.
const MAX_TEXT: usize = 4 * 512;

pub(crate) const FIELD: Field = Field::new(
    "metadata",
    Kind::Map(&Kind::TextOf(0, MAX_TEXT)),
    "Up to 16 texts by name, which a client notes for itself and nothing here depends on.",
);

/// The notes.
pub(crate) fn read(fields: &mut Fields) -> Result<Map<String, Value>, ApiError> {
    let notes = fields.map("metadata").unwrap_or_default();
    if notes.len() > MAX_NOTES {
        return Err(invalid(&fields.path("metadata"), format!("{} notes, where at most {MAX_NOTES} are taken.", notes.len())));
    }
    match notes.keys().find(|name| name.len() > MAX_NAME) {
        Some(name) => {
            let why = format!("the name {} has {} bytes, where at most {MAX_NAME} are taken.", quoted(name), name.len());
            Err(invalid(&fields.path("metadata"), why))
        }
        None => Ok(notes),
    }
}
