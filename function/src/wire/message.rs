//! A message of a conversation: its role, and its content as one text.

use serde::Serialize;
use serde_json::Value;

use super::{
    ApiError,
    fields::{Fields, kind, shorten, wrong_type},
};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions. OpenAI's newer name `developer` is read as this one, as it is the one that models' templates know.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// What a tool answered.
    Tool,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// The call that a `tool` message answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// Reads the message called `path`. Fields that it does not know are let be: clients send an assistant's message back as they got it, with its provider's additions.
    pub(super) fn read(value: Value, path: &str) -> Result<Self, ApiError> {
        let mut fields = Fields::of(value, path)?;
        let role = role(&mut fields)?;
        for name in ["tool_calls", "function_call", "audio", "images"] {
            match fields.take(name) {
                None => {}
                Some(Value::Array(items)) if items.is_empty() => {}
                Some(_) => return Err(unsupported(&fields.path(name))),
            }
        }
        let content = match fields.take("content") {
            Some(value) => content(value, &fields.path("content"))?,
            None => return Err(missing(&fields.path("content"))),
        };
        let tool_call_id = fields.string("tool_call_id")?.filter(|_| role == Role::Tool);
        Ok(Self { role, content, tool_call_id })
    }
}

fn role(fields: &mut Fields) -> Result<Role, ApiError> {
    let path = fields.path("role");
    match fields.string("role")?.as_deref() {
        None => Err(missing(&path)),
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Ok(Role::Tool),
        Some(other) => {
            let known = "'system', 'developer', 'user', 'assistant' and 'tool'";
            Err(ApiError::parameter(&path, format!("Invalid value for '{path}': '{}'. Supported values are {known}.", shorten(other)))
                .code("invalid_value"))
        }
    }
}

/// A content is a text, or parts that are texts; parts are joined by a line break, so that two do not run into one word.
fn content(value: Value, path: &str) -> Result<String, ApiError> {
    let parts = match value {
        Value::String(text) => return Ok(text),
        Value::Array(parts) if parts.is_empty() => {
            return Err(ApiError::parameter(path, format!("Invalid '{path}': an empty array of parts.")).code("invalid_value"));
        }
        Value::Array(parts) => parts,
        other => {
            return Err(ApiError::parameter(
                path,
                format!("Invalid type for '{path}': expected a string or an array of text parts, but got {} instead.", kind(&other)),
            )
            .code("invalid_type"));
        }
    };
    let texts = parts.into_iter().enumerate().map(|(index, part)| {
        let mut part = Fields::of(part, format!("{path}[{index}]"))?;
        let of_type = part.string("type")?.ok_or_else(|| missing(&part.path("type")))?;
        if of_type != "text" {
            let path = part.path("type");
            return Err(ApiError::parameter(
                &path,
                format!("Invalid value for '{path}': '{}'. This service takes parts of type 'text' only.", shorten(&of_type)),
            )
            .code("invalid_value"));
        }
        match part.take("text") {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong_type(&part.path("text"), "a string", &other)),
            None => Err(missing(&part.path("text"))),
        }
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// 400 for a field that has to be there.
pub(super) fn missing(path: &str) -> ApiError {
    ApiError::parameter(path, format!("Missing required parameter: '{path}'.")).code("missing_required_parameter")
}

/// 400 for a known field that would change the answer and cannot yet.
pub(super) fn unsupported(path: &str) -> ApiError {
    ApiError::parameter(path, format!("'{path}' is not supported by this service: leave it out.")).code("unsupported_parameter")
}
