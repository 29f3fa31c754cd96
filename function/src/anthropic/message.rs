//! A conversation in Anthropic's form: a system text, and turns of blocks. A turn of the user may hold the answers of tools, which are messages of their own on the model's side.

use serde_json::Value;

use crate::{
    generate::{CalledFunction, Message, Role, ToolCall, called},
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table, invalid},
    },
};

pub(super) static SYSTEM: Field =
    Field::new("system", Kind::OneOf(&[Kind::Text, TEXTS]), "Instructions: a text, or blocks that are texts, which a line break joins.");
pub(super) static MESSAGES: Field = Field::new(
    "messages",
    Kind::List(&Kind::Object(&TABLE), 1, usize::MAX),
    "The conversation. Turns of one speaker in a row are one turn. Where the last is the assistant's, the answer goes on from its text.",
)
.required();

static TABLE: Table = Table {
    name: "MessagesMessage",
    plural: "messages",
    about: "A turn of a conversation. Further fields are let be.",
    fields: &[
        Field::new("role", Kind::Word(&["user", "assistant", "system"]), "Who speaks.").required(),
        Field::new(
            "content",
            Kind::OneOf(&[Kind::Text, Kind::List(&BLOCK, 0, usize::MAX)]),
            "What is said: a text, or blocks. Blocks of a text are joined by a line break; the answers of tools are the user's, calls and thinking the assistant's.",
        )
        .required(),
    ],
    open: true,
};

const TEXTS: Kind = Kind::List(&Kind::Tagged("type", &[("text", &TEXT)]), 0, usize::MAX);
static BLOCK: Kind = Kind::Tagged(
    "type",
    &[
        ("text", &TEXT),
        ("tool_use", &TOOL_USE),
        ("tool_result", &TOOL_RESULT),
        ("thinking", &THINKING),
        ("redacted_thinking", &REDACTED_THINKING),
    ],
);
const TYPE: &str = "What it is.";

static TEXT: Table = Table {
    name: "TextBlock",
    plural: "text blocks",
    about: "A text. Further fields are let be.",
    fields: &[Field::new("type", Kind::Word(&["text"]), TYPE).required(), Field::new("text", Kind::Text, "The text.").required()],
    open: true,
};

static TOOL_USE: Table = Table {
    name: "ToolUseBlock",
    plural: "blocks",
    about: "A call that the model made. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["tool_use"]), TYPE).required(),
        Field::new("id", Kind::Text, "What its answer is known by.").required(),
        Field::new("name", Kind::Text, "The tool.").required(),
        Field::new("input", Kind::Map(&Kind::Any), "What it was called with.").required(),
    ],
    open: true,
};

static TOOL_RESULT: Table = Table {
    name: "ToolResultBlock",
    plural: "blocks",
    about: "What a tool answered. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["tool_result"]), TYPE).required(),
        Field::new("tool_use_id", Kind::Text, "The call that it answers.").required(),
        Field::new("content", Kind::OneOf(&[Kind::Text, TEXTS]), "The answer: a text, or blocks that are texts, which a line break joins."),
        // Chat templates have no place for it.
        Field::ignored("is_error"),
    ],
    open: true,
};

static THINKING: Table = Table {
    name: "ThinkingBlock",
    plural: "blocks",
    about: "What the model thought. Further fields are let be.",
    fields: &[
        Field::new("type", Kind::Word(&["thinking"]), TYPE).required(),
        Field::new("thinking", Kind::Text, "The text. Templates show it to the model where it was trained so.").required(),
        Field::ignored("signature"),
    ],
    open: true,
};

static REDACTED_THINKING: Table = Table {
    name: "RedactedThinkingBlock",
    plural: "blocks",
    about: "Thinking that only Anthropic's models can read: it is left out.",
    fields: &[Field::new("type", Kind::Word(&["redacted_thinking"]), TYPE).required(), Field::ignored("data")],
    open: true,
};

/// Reads the system text and the turns, and returns the path of the last turn's content too.
pub(super) fn conversation(fields: &mut Fields) -> Result<(Vec<Message>, String), ApiError> {
    let mut messages = Vec::new();
    messages.extend(fields.take("system").map(|system| Message::new(Role::System, text(system))));
    let mut last = String::new();
    for turn in fields.objects("messages", &TABLE) {
        last = turn.path("content");
        read(turn, &mut messages)?;
    }
    Ok((messages, last))
}

/// A text, or the texts of blocks.
fn text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn read(mut turn: Fields, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let role = match turn.text("role").as_deref() {
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => Role::User,
    };
    let path = turn.path("content");
    let blocks = match turn.take("content") {
        Some(Value::Array(blocks)) => blocks,
        content => {
            append(messages, Message::new(role, text(content.unwrap_or_default())));
            return Ok(());
        }
    };
    let mut message = Message { content: None, ..Message::new(role, "") };
    let mut answered = false;
    for (index, mut block) in blocks.into_iter().enumerate() {
        let tag = block["type"].take();
        match (role, tag.as_str().unwrap_or_default()) {
            (_, "text") => join(&mut message.content, text(block["text"].take())),
            (Role::Assistant, "thinking") => join(&mut message.reasoning_content, text(block["thinking"].take())),
            (Role::Assistant, "redacted_thinking") => {}
            (Role::Assistant, "tool_use") => message.tool_calls.push(ToolCall {
                id: Some(text(block["id"].take())),
                function: CalledFunction { name: text(block["name"].take()), arguments: block["input"].to_string() },
            }),
            (Role::User, "tool_result") => {
                // What was said before it comes before it.
                if let Some(said) = message.content.take() {
                    append(messages, Message::new(role, said));
                }
                let id = text(block["tool_use_id"].take());
                // Templates that show which function answered know it by its name.
                let name = called(messages, &id);
                messages.push(Message { tool_call_id: Some(id), name, ..Message::new(Role::Tool, text(block["content"].take())) });
                answered = true;
            }
            (_, tag) => return Err(invalid(&format!("{path}[{index}].type"), format!("a block '{tag}' is not of this role."))),
        }
    }
    if message.content.is_none() && message.tool_calls.is_empty() {
        if answered {
            return Ok(());
        }
        message.content = Some(String::new());
    }
    append(messages, message);
    Ok(())
}

/// Adds a message, or adds it to the last one where the same speaks on: many templates take no two turns of one speaker in a row.
fn append(messages: &mut Vec<Message>, message: Message) {
    match messages.last_mut() {
        Some(last) if last.role == message.role && message.role != Role::Tool => {
            message.content.into_iter().for_each(|text| join(&mut last.content, text));
            message.reasoning_content.into_iter().for_each(|text| join(&mut last.reasoning_content, text));
            last.tool_calls.extend(message.tool_calls);
        }
        _ => messages.push(message),
    }
}

/// Adds a text after a line break.
fn join(to: &mut Option<String>, text: String) {
    match to {
        Some(before) => {
            before.push('\n');
            before.push_str(&text);
        }
        None => *to = Some(text),
    }
}
