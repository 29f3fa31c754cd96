//! A message of a conversation: its role, its content as one text, and the calls that it made or answers.

use serde_json::Value;

use crate::{
    generate::{CalledFunction, Message, Role, ToolCall, called},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table, missing},
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
            Kind::Word(&["system", "developer", "user", "assistant", "tool", "function"]),
            "Who speaks. 'developer' is read as 'system', and 'function', which is the old form, as 'tool'.",
        )
        .required(),
        Field::new(
            "content",
            Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Tagged("type", &[("text", &PART)]), 1, usize::MAX)]),
            "What is said: a text, or parts that are texts, which a line break joins. An assistant that called tools need not have said anything.",
        ),
        Field::new(
            "reasoning_content",
            Kind::Text,
            "Of an assistant: what it thought. Templates show it to the model where it was trained so.",
        ),
        Field::new("tool_calls", Kind::List(&Kind::Object(&CALL), 0, usize::MAX), "Of an assistant: the calls that it made."),
        Field::new("tool_call_id", Kind::Text, "Of a tool: the call that it answers."),
        Field::new("name", Kind::Text, "Of a tool: the function's name, unless the call tells it."),
        Field::new("function_call", Kind::Object(&CALLED), "The old form of 'tool_calls'."),
        Field::refused("audio", |_| false),
        Field::refused("images", |value| value.as_array().is_some_and(Vec::is_empty)),
    ],
    open: true,
};

static PART: Table = Table {
    name: "ChatTextPart",
    plural: "text parts",
    about: "A part of a message that is a text. Further fields are let be.",
    fields: &[Field::new("type", Kind::Word(&["text"]), "What it is.").required(), Field::new("text", Kind::Text, "The text.").required()],
    open: true,
};

static CALL: Table = Table {
    name: "ChatToolCall",
    plural: "calls",
    about: "A call that the model made. Further fields are let be.",
    fields: &[
        Field::new("id", Kind::Text, "What its answer is known by."),
        Field::new("type", Kind::Word(&["function"]), "What is called.").or(Literal::Text("function")),
        Field::new("function", Kind::Object(&CALLED), "The call.").required(),
    ],
    open: true,
};

static CALLED: Table = Table {
    name: "ChatCalledFunction",
    plural: "calls",
    about: "A function and what it was called with. Further fields are let be.",
    fields: &[
        Field::new("name", Kind::Text, "Its name.").required(),
        Field::new("arguments", Kind::OneOf(&[Kind::Text, Kind::Map(&Kind::Any)]), "The arguments' JSON text; an object is taken too.")
            .required(),
    ],
    open: true,
};

/// Reads a conversation.
pub(crate) fn conversation(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let mut messages = Vec::<Message>::new();
    for fields in fields.objects("messages", &TABLE) {
        let mut message = read(fields)?;
        if message.role == Role::Tool && message.name.is_none() {
            // Templates that show which function answered know it by its name, and OpenAI's clients tell the call.
            message.name = message.tool_call_id.as_deref().and_then(|id| called(&messages, id));
        }
        messages.push(message);
    }
    Ok(messages)
}

fn read(mut fields: Fields) -> Result<Message, ApiError> {
    let role = match fields.text("role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::Tool,
        _ => Role::System,
    };
    let mut tool_calls = Vec::new();
    if role == Role::Assistant {
        for mut call in fields.objects("tool_calls", &CALL) {
            let id = call.text("id");
            tool_calls.extend(call.object("function", &CALLED).map(|function| ToolCall { id, function: called_function(function) }));
        }
        let old = fields.object("function_call", &CALLED);
        tool_calls.extend(old.map(|function| ToolCall { id: None, function: called_function(function) }));
    }
    let content = content(&mut fields);
    if content.is_none() && tool_calls.is_empty() {
        return Err(missing(&fields.path("content")));
    }
    let of = |wanted: Role, value: Option<String>| value.filter(|_| role == wanted);
    Ok(Message {
        role,
        content,
        reasoning_content: of(Role::Assistant, fields.text("reasoning_content")),
        tool_calls,
        tool_call_id: of(Role::Tool, fields.text("tool_call_id")),
        name: of(Role::Tool, fields.text("name")),
    })
}

fn called_function(mut fields: Fields) -> CalledFunction {
    let name = fields.text("name").unwrap_or_default();
    let arguments = match fields.take("arguments") {
        Some(Value::String(text)) => text,
        Some(object) => object.to_string(),
        None => String::new(),
    };
    CalledFunction { name, arguments }
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
