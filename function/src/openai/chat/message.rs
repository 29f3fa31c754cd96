//! A message of a conversation: its role, and its content as one text.

use serde_json::Value;

use crate::{
    generate::{Message, Role},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table, missing},
    },
};

/// A message. Fields that it does not have are let be: clients send an assistant's message back as they got it, with its provider's additions.
pub(super) static TABLE: Table = Table {
    name: "ChatMessage",
    plural: "messages",
    about: "A message of a conversation. Further fields are let be.",
    fields: &[
        Field::new(
            "role",
            Kind::Word(&["system", "developer", "user", "assistant", "tool"]),
            "Who speaks; 'developer' is read as 'system'.",
        )
        .required(),
        Field::new(
            "content",
            Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Tagged("type", &[("text", &PART)]), 1, usize::MAX)]),
            "What is said: a text, or parts that are texts, which a line break joins.",
        ),
        Field::new("tool_call_id", Kind::Text, "Of a message of a tool: the call that it answers."),
        Field::refused("tool_calls", |value| value.as_array().is_some_and(Vec::is_empty)),
        Field::refused("function_call", |_| false),
        Field::refused("audio", |_| false),
        Field::refused("images", |value| value.as_array().is_some_and(Vec::is_empty)),
    ],
    open: true,
};

static PART: Table = Table {
    name: "ChatTextPart",
    plural: "text parts",
    about: "A part of a message that is a text.",
    fields: &[Field::new("type", Kind::Word(&["text"]), "What it is.").required(), Field::new("text", Kind::Text, "The text.").required()],
    open: true,
};

/// Reads a message.
pub(super) fn read(mut fields: Fields) -> Result<Message, ApiError> {
    let role = match fields.text("role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => Role::System,
    };
    let content = content(&mut fields).ok_or_else(|| missing(&fields.path("content")))?;
    let tool_call_id = fields.text("tool_call_id").filter(|_| role == Role::Tool);
    Ok(Message { tool_call_id, ..Message::new(role, content) })
}

/// A content is a text, or parts that are texts; parts are joined by a line break, so that two do not run into one word.
fn content(fields: &mut Fields) -> Option<String> {
    match fields.take("content")? {
        Value::String(text) => Some(text),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            Some(texts.join("\n"))
        }
        _ => None,
    }
}
