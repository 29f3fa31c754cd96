//! A message of a conversation, in the shape in which the model's side takes it, which is OpenAI's.

use serde::Serialize;

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
    /// What is said; null only where an assistant called tools and said nothing.
    pub content: Option<String>,
    /// What the model thought before it said so. Whether a template shows it to the model again is the template's matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The calls that the model made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a `tool` message answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The function that a `tool` message is from, or the name of who speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message that is a text and nothing more.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: Some(content.into()), reasoning_content: None, tool_calls: Vec::new(), tool_call_id: None, name: None }
    }
}

/// A call of an earlier turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "function")]
pub struct ToolCall {
    /// What the answer to it is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The call itself.
    pub function: CalledFunction,
}

/// The function that a [`ToolCall`] calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CalledFunction {
    /// Its name.
    pub name: String,
    /// The arguments' JSON text.
    pub arguments: String,
}

/// The function of the last call of this id.
pub(crate) fn called(messages: &[Message], id: &str) -> Option<String> {
    let mut calls = messages.iter().rev().flat_map(|message| message.tool_calls.iter().rev());
    calls.find(|call| call.id.as_deref() == Some(id)).map(|call| call.function.name.clone())
}
