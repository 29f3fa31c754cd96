//! `POST /api/chat`.

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::{
    answer::{Form, answer},
    names::{MODEL, wanted},
    options::OPTIONS,
    request::{self, FORMAT, LOGPROBS, STREAM, THINK, TOP_LOGPROBS},
};
use crate::{
    Body,
    generate::{CalledFunction, Message, Prompt, Role, Tool, ToolCall, called},
    openai::chat::tools::{self, TOOLS},
    ports::Ports,
    receive,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Table},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "OllamaChatRequest",
    plural: "requests",
    about: "A chat to continue.",
    fields: &[
        MODEL,
        Field::new("messages", Kind::List(&Kind::Object(&MESSAGE), 0, usize::MAX), "The conversation. With none, the model is loaded."),
        TOOLS,
        FORMAT,
        OPTIONS,
        THINK,
        STREAM,
        LOGPROBS,
        TOP_LOGPROBS,
        Field::ignored("keep_alive"),
    ],
    open: false,
};

static MESSAGE: Table = Table {
    name: "OllamaMessage",
    plural: "messages",
    about: "A message of a conversation. Further fields are let be.",
    fields: &[
        Field::new("role", Kind::Word(&["system", "user", "assistant", "tool"]), "Who speaks.").required(),
        Field::new("content", Kind::Text, "What is said."),
        Field::new("thinking", Kind::Text, "Of an assistant: what it thought. Templates show it to the model where it was trained so."),
        Field::new("tool_calls", Kind::List(&Kind::Object(&CALL), 0, usize::MAX), "Of an assistant: the calls that it made."),
        Field::new("tool_name", Kind::Text, "Of a tool: its name."),
        Field::new("tool_call_id", Kind::Text, "Of a tool: the call that it answers."),
        Field::refused("images", |value| value.as_array().is_some_and(Vec::is_empty)),
    ],
    open: true,
};

static CALL: Table = Table {
    name: "OllamaToolCall",
    plural: "calls",
    about: "A call that the model made. Further fields are let be.",
    fields: &[
        Field::new("id", Kind::Text, "What its answer is known by."),
        Field::new("function", Kind::Object(&CALLED), "The call.").required(),
    ],
    open: true,
};

static CALLED: Table = Table {
    name: "OllamaCalledFunction",
    plural: "calls",
    about: "A function and what it was called with. Further fields are let be.",
    fields: &[
        Field::new("name", Kind::Text, "Its name.").required(),
        Field::new("arguments", Kind::Map(&Kind::Any), "What it was called with; without them, an empty object."),
    ],
    open: true,
};

/// Answers a chat.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TABLE)?;
    let wanted = wanted(ports, &mut fields).await;
    let messages = conversation(&mut fields);
    let prompt = (!messages.is_empty()).then_some(Prompt::Messages(messages));
    let mut asked = request::read(&mut fields, prompt)?;
    let tools = tools::list(&mut fields)?;
    if let Some(generate) = &mut asked.generate {
        generate.tools = tools.into_iter().map(|function| Tool { function }).collect();
    }
    answer(ports, wanted, asked, Form::Chat).await
}

fn conversation(fields: &mut Fields) -> Vec<Message> {
    let mut messages = Vec::new();
    for fields in fields.objects("messages", &MESSAGE) {
        let mut message = read(fields);
        if message.role == Role::Tool && message.name.is_none() {
            message.name = message.tool_call_id.as_deref().and_then(|id| called(&messages, id));
        }
        messages.push(message);
    }
    messages
}

fn read(mut fields: Fields) -> Message {
    let role = match fields.text("role").as_deref() {
        Some("system") => Role::System,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => Role::User,
    };
    let mut message = Message::new(role, fields.text("content").unwrap_or_default());
    match role {
        Role::Assistant => {
            message.reasoning_content = fields.text("thinking").filter(|text| !text.is_empty());
            for mut call in fields.objects("tool_calls", &CALL) {
                let id = call.text("id");
                message
                    .tool_calls
                    .extend(call.object("function", &CALLED).map(|function| ToolCall { id, function: function_of(function) }));
            }
            // An answer that only calls has an empty text here and none on the model's side.
            message.content = message.content.filter(|text| !text.is_empty() || message.tool_calls.is_empty());
        }
        Role::Tool => {
            message.name = fields.text("tool_name");
            message.tool_call_id = fields.text("tool_call_id");
        }
        Role::System | Role::User => {}
    }
    message
}

fn function_of(mut fields: Fields) -> CalledFunction {
    let name = fields.text("name").unwrap_or_default();
    CalledFunction { name, arguments: Value::Object(fields.map("arguments").unwrap_or_default()).to_string() }
}
